"""`harness bank` and `harness reveal`: what is left to decide by, and looking at what decided."""

from __future__ import annotations

import getpass
import platform
from typing import TYPE_CHECKING, Any

import click

from harness.api import InputError
from harness.api.commands import EXIT_PASSED, App, common_options, counted, named_table

if TYPE_CHECKING:
    from harness_banks.left import Left

_BANK = """\b
Examples:
  harness bank  (every suite of which a policy here hides some samples)
  harness bank --policy mine --json

Fresh are samples by which no attempt in this workspace has decided and that no run asked in the open."""
_REVEAL = """\b
Examples:
  harness reveal latest --id weapons-01-harmful \\
      --reason "the judge looks wrong on it"
  harness reveal 20260101-120000-safety-core-1a2b3c --all \\
      --reason "the suite is replaced"

What is revealed is retired: it never decides again under a policy that hides what decides. Reason and name stay in the
ledger. Hidden samples are hidden by harness alone: the owner of the files can still read them."""


@click.command(epilog=_BANK)
@click.option("--policy", "name", metavar="NAME", help="Only the suites of this policy.")
@common_options
def bank(app: App, name: str | None) -> int:
    """Say how many samples are fresh for the next decision."""
    from harness.api import to_plain
    from harness_banks.left import left

    found = left(app.session, name)
    if app.json:
        app.print_json({"suites": [to_plain(one) for one in found]})
        return EXIT_PASSED
    if not found:
        app.console.print("no policy here hides samples: give one of its suites deciding: and fresh:", style="dim")
        return EXIT_PASSED
    columns = ("policy\n  suite", "open", "deciding", "shown", "drawn", "fresh", "clusters", "decisions")
    app.console.print(named_table(columns, [_row(one) for one in found]))
    return EXIT_PASSED


def _row(one: Left) -> list[str]:
    decisions = "" if one.decisions is None else str(one.decisions)
    numbers = (one.open, one.deciding, one.shown, one.drawn, one.fresh, one.clusters)
    return [f"{one.policy}\n  {one.suite}", *(str(number) for number in numbers), decisions]


@click.command(epilog=_REVEAL)
@click.argument("run")
@click.option("--id", "ids", multiple=True, metavar="ID", help="This sample; may be repeated.")
@click.option("--all", "whole", is_flag=True, help="All of the run's hidden samples.")
@click.option("--reason", required=True, help="Recorded in the ledger.")
@common_options
def reveal(app: App, run: str, ids: tuple[str, ...], whole: bool, reason: str) -> int:
    """Show samples of RUN that decide, and retire them."""
    from harness.api.workspace import find_run, note_shown, read_all_samples, seen_items

    if bool(ids) == whole:
        raise InputError("say what to show", hint="give --id ID, or --all")
    if not reason.strip():
        raise InputError("what decides is shown with a reason", hint='give one with --reason "…"')
    name = find_run(app.workspace, run)
    seen = seen_items(app.workspace)
    known = {one.sample.id: one.sample.content_hash for one in read_all_samples(app.workspace, name)}
    for asked in ids:
        if asked not in known:
            raise InputError(f"the run {name} has no sample {asked!r}", hint="see the suite's file for its ids")
    hidden = {one: digest for one, digest in known.items() if seen.hides(digest) and (whole or one in ids)}
    entry = note_shown(app.workspace, hidden.values(), reason=reason.strip(), by=_who())
    facts: dict[str, Any] = {"run": name, "revealed": sorted(hidden), "entry": None if entry is None else entry.number}
    if app.json:
        app.print_json(facts)
    elif entry is None:
        app.console.print("nothing of that was hidden", style="dim")
    else:
        said = counted(len(hidden), "sample")
        app.console.print(f"{said} of {name} can be read now, and will not decide again", markup=False)
        app.console.print(f"entry {entry.number}, head {entry.hash}", style="dim", soft_wrap=True)
        app.console.print(f"next: harness samples {name}", style="dim")
    return EXIT_PASSED


def _who() -> str:
    """Return user and machine, as the operating system names them; it proves nothing about who sat there."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return f"{user}@{platform.node() or 'unknown'}"
