"""`harness models`: fetch, list, find and remove the weights of the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.api.commands import App, common_options

if TYPE_CHECKING:
    from harness.api.weights import CatalogEntry


_LIST = """\b
Examples:
  harness models list
  harness models list --json"""
_PULL = """\b
Examples:
  harness models pull smollm2-135m minilm spacy-en-md
  harness models pull prompt-guard-2-22m --accept-licence"""
_PATH = """\b
Examples:
  harness models path smollm2-135m"""
_RM = """\b
Examples:
  harness models rm injection-minilm"""


@click.group(epilog=_PULL)
def models() -> None:
    """Fetch and list the weights of the catalog."""


@models.command(epilog=_PULL)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--accept-licence", is_flag=True, help="Accept the licence of weights that ask for it.")
@common_options
def pull(app: App, names: tuple[str, ...], accept_licence: bool) -> None:
    """Fetch weights into the store, once; each file must have its pinned SHA-256."""
    from harness.api import NoProgress
    from harness.api.weights import catalog_entry, is_present
    from harness_start.pulling import pull as fetch

    for name in names:
        catalog_entry(name)  # a misspelt second name is known before the first is fetched
    paths = {}
    for name in names:
        here = is_present(name)
        if app.json:
            paths[name] = str(fetch(name, NoProgress(), offline=app.offline, accept_licence=accept_licence))
            continue
        with app.progress() as progress:
            path = fetch(name, progress, offline=app.offline, accept_licence=accept_licence)
        click.echo(f"{name}: {'already here' if here else 'fetched'}: {path}")
    if app.json:
        app.print_json(paths)


@models.command(name="list", epilog=_LIST)
@common_options
def list_(app: App) -> None:
    """List the catalog: what is here, licence, size, source and hash."""
    from harness.api.weights import catalog, is_present

    if app.json:
        app.print_json([_row(entry) for entry in catalog().values()])
        return
    for entry in catalog().values():
        here = click.style("here", fg="green") if is_present(entry.name) else "not here"
        click.echo(
            f"{click.style(entry.name, bold=True)}  {here}, {entry.size / 1e6:.0f} MB, {entry.licence}"
            f"{' (must be accepted)' if entry.opt_in else ''}, sha256 {entry.content_hash[:12]}"
        )
        click.echo(f"    {entry.about}")
        for source in entry.sources:
            click.echo(f"    from {source.label}")


@models.command(epilog=_PATH)
@click.argument("name")
@common_options
def path(app: App, name: str) -> None:
    """Print where the weights are; an error when they are not here."""
    from harness.api import weights_hash, weights_path

    found = weights_path(name)
    if app.json:
        app.print_json({"name": name, "path": str(found), "sha256": weights_hash(name)})
    else:
        click.echo(found)


@models.command(epilog=_RM)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@common_options
def rm(app: App, names: tuple[str, ...]) -> None:
    """Remove weights, and what was derived from them, from the store."""
    from harness.api.weights import catalog_entry
    from harness_start.pulling import remove

    for name in names:
        catalog_entry(name)
    freed = {name: remove(name) for name in names}
    if app.json:
        app.print_json(freed)
        return
    for name, size in freed.items():
        click.echo(f"{name}: {f'removed, {size / 1e6:.0f} MB freed' if size else 'was not here'}")


def _row(entry: CatalogEntry) -> dict[str, object]:
    from harness.api.weights import is_present

    return {
        "name": entry.name,
        "present": is_present(entry.name),
        "kind": entry.kind,
        "about": entry.about,
        "licence": entry.licence,
        "must_accept": entry.opt_in,
        "bytes": entry.size,
        "sources": [source.label for source in entry.sources],
        "sha256": entry.content_hash,
    }
