"""`harness show`: one registered thing in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from harness.api.commands import EXIT_PASSED, App, common_options, safe_text

if TYPE_CHECKING:
    from harness.api import Principle

_KINDS = (
    "suite", "constitution", "principle", "critic", "classifier", "metric", "stage", "source", "model", "recipe",
    "policy",
)  # fmt: skip

_EPILOG = """\b
Examples:
  harness show suite safety-core
  harness show constitution personal
  harness show policy demo --json"""


@click.command(epilog=_EPILOG)
@click.argument("kind", type=click.Choice(_KINDS), metavar="KIND")
@click.argument("name")
@common_options
def show(app: App, kind: str, name: str) -> int:
    """Show one registered thing in full.

    KIND is suite, constitution, principle, critic, classifier, metric, stage, source, model, recipe or policy.
    """
    value = _SHOWN[kind](app, name) if kind in _SHOWN else _registered(app, kind, name)
    if app.json:
        app.print_json(value)
        return EXIT_PASSED
    _print(app, value, indent=0)
    return EXIT_PASSED


def _print(app: App, value: dict[str, Any], *, indent: int, item_of_list: bool = False) -> None:
    """Print what is there as YAML writes it; of an item of a list, the first key stands behind the dash."""
    from rich.text import Text

    there = {key: item for key, item in value.items() if item not in (None, "", [], {}, ())}
    for number, (key, item) in enumerate(there.items()):
        margin = "  " * (indent - 1) + "- " if item_of_list and number == 0 else "  " * indent
        head = Text(f"{margin}{key}:", style="bold")
        if isinstance(item, dict):
            app.console.print(head)
            _print(app, item, indent=indent + 1)
        elif isinstance(item, list | tuple):
            app.console.print(head)
            for part in item:
                if isinstance(part, dict):
                    _print(app, part, indent=indent + 2, item_of_list=True)
                else:
                    app.console.print(Text("  " * (indent + 1) + f"- {safe_text(str(part))}"))
        else:
            written = {True: "yes", False: "no"}[item] if isinstance(item, bool) else str(item)
            app.console.print(head + Text(f" {safe_text(written)}", style="not bold"))


def _registered(app: App, kind: str, name: str) -> dict[str, Any]:
    plural = {"policy": "policies"}.get(kind, f"{kind}s")
    entry = getattr(app.plugins.registries, plural).entry(name)
    return {"name": entry.name, "about": entry.about, "plugin": entry.owner}


def _model(app: App, name: str) -> dict[str, Any]:
    from harness.api.weights import catalog, is_present

    entry = catalog().get(name)
    if entry is None:
        return _registered(app, "model", name.removesuffix(":"))
    return {
        "name": entry.name, "about": entry.about, "here": "yes" if is_present(name) else "no", "licence": entry.licence,
        "bytes": entry.size, "sources": [source.label for source in entry.sources], "sha256": entry.content_hash,
    }  # fmt: skip


def _suite(app: App, name: str) -> dict[str, Any]:
    from harness.api import SourceInput, to_plain
    from harness.api.workspace import Constitutions, make_metrics, read_suite, resolve_suite

    registries = app.plugins.registries
    suite = read_suite(resolve_suite(name, registries))
    metrics = make_metrics(suite, registries, Constitutions(registries, suite.path.parent))
    there = suite.data_path is None or suite.data_path.exists()
    samples: int | str = "not known: the data is not here"
    if suite.data_path is not None and there:
        source = registries.sources.get(suite.source)
        samples = sum(1 for _ in source(SourceInput(path=suite.data_path, options=suite.source_options)))
    return {
        "id": suite.id, "version": suite.version, "about": suite.about, "limitations": suite.limitations,
        "detects": suite.detects, "file": str(suite.path), "samples": samples,
        "metrics": [
            {"name": m.name, "kind": m.kind, "better": m.direction, "unit": m.unit, "about": m.about} for m in metrics
        ],
        "gates": [to_plain(gate) for gate in suite.gates],
    }  # fmt: skip


def _principle_plain(principle: Principle) -> dict[str, Any]:
    from harness.api import to_plain

    plain: dict[str, Any] = to_plain(principle)
    return plain


def _constitution(app: App, name: str) -> dict[str, Any]:
    from pathlib import Path

    from harness.api.workspace import read_constitution

    registries = app.plugins.registries
    written = name.endswith((".yaml", ".yml")) and name not in registries.constitutions
    path = Path(name).resolve() if written else registries.constitutions.get(name)
    record = read_constitution(path, registries.principles)
    return {
        "id": record.id, "version": record.version, "about": record.about, "file": str(path),
        "fingerprint": record.fingerprint, "principles": [_principle_plain(p) for p in record.principles],
    }  # fmt: skip


def _principle(app: App, name: str) -> dict[str, Any]:
    return _principle_plain(app.plugins.registries.principles.get(name))


def _policy(app: App, name: str) -> dict[str, Any]:
    from harness.api import to_plain
    from harness.api.workspace import MARKER, find_policy

    policy = find_policy(name, app.config, app.plugins.registries)
    plain: dict[str, Any] = to_plain(policy)
    if (app.workspace_path / MARKER).is_file():
        plain["attempts"] = to_plain(app.session.job("budget")(policy))
    return plain


def _recipe(app: App, name: str) -> dict[str, Any]:
    recipe = app.session.job("recipe")(name)
    return {
        "id": recipe.id, "about": recipe.about, "file": str(recipe.path), "base": recipe.base, "seed": recipe.seed,
        "stages": [{stage: dict(options)} for stage, options in recipe.stages], "then": recipe.then.model_dump(),
    }  # fmt: skip


_SHOWN = {
    "suite": _suite,
    "constitution": _constitution,
    "principle": _principle,
    "policy": _policy,
    "recipe": _recipe,
    "model": _model,
}
