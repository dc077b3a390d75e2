"""`harness gate audit`: the gate's own test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.api import InputError
from harness.api.commands import (
    EXIT_GATE,
    EXIT_INTERRUPTED,
    EXIT_PASSED,
    MOST_SEED,
    App,
    WholeRange,
    common_options,
    gathered,
)

if TYPE_CHECKING:
    from harness_audit.audit import Audit, Origin, Prepared, Setup
    from harness_audit.full import FullAudit

_EPILOG = """\b
Examples:
  harness gate audit
  harness gate audit --gate non_inferior --gate superior --simulations 20000
  harness gate audit --policy strict --recorded
  harness gate audit --full

Runs are drawn, whole clusters with replacement, from rows that real models gave: the workspace's newest compared runs,
or without any, rows that ship with harness. An effect is injected so that the truth is known, and the gates are checked
by the code that checks real ones. What must not pass may pass as often as the gate's level says, and a rate whose lower
bound is above that fails the audit; so does power that falls short of its plan by more than 5 points.
--full trains, measures and decides real adapters of smollm2-135m, good and broken ones; under an hour on two cores.
Exit codes: 0 the gates keep their promises, 1 one does not, 2 input error, 3 a run broke."""


@dataclass(frozen=True, kw_only=True)
class _Full:
    """The audit of real adapters."""

    full: bool
    names: tuple[str, ...]
    folder: Path


def _setup(**options: Any) -> Setup:  # noqa: ANN401 - of the record
    """Make the record when the command is called, so that its help stays quick."""
    from harness_audit.audit import Setup

    return Setup(**options)


@click.command(epilog=_EPILOG)
@gathered(
    _setup, "setup",
    click.option(
        "--simulations", type=WholeRange(50, 1_000_000), default=2000, show_default=True, metavar="N",
        help="Of each case; half of it where each one costs more.",
    ),
    click.option("--seed", type=WholeRange(0, MOST_SEED), default=0, show_default=True, help="Of everything drawn."),
    click.option("--gate", "gates", multiple=True, metavar="KIND", help="Only cases of this kind; may be repeated."),
    click.option("--policy", "policies", multiple=True, metavar="NAME", help="Only this policy; may be repeated."),
    click.option("--run", metavar="RUN", help="Draw from this stored run and the run that it was compared with."),
    click.option("--recorded", is_flag=True, help="Draw from the rows that ship with harness."),
)  # fmt: skip
@click.option("--jobs", type=WholeRange(1, 64), default=2, show_default=True, metavar="N", help="Processes.")
@click.option("--dry-run", is_flag=True, help="List the cases, and simulate none.")
@gathered(
    _Full, "real",
    click.option("--full", is_flag=True, help="Train and decide real adapters whose truth is known."),
    click.option("--only", "names", multiple=True, metavar="NAME", help="With --full: this one; may be repeated."),
    click.option(
        "--folder", type=click.Path(file_okay=False, path_type=Path), default=Path(".harness-audit"), show_default=True,
        metavar="DIR", help="With --full: the workspace that it works in, a separate one since it promotes.",
    ),
)  # fmt: skip
@common_options
def audit(app: App, setup: Setup, jobs: int, dry_run: bool, real: _Full) -> int:
    """Test the gates themselves: how often they let a bad candidate through, and a good one."""
    if real.names and not real.full:
        raise InputError("--only names an adapter of the full audit", hint="add --full")
    app.require_plugins()
    if real.full:
        return _full(app, real.names, real.folder, dry_run=dry_run)
    from harness.api import to_plain
    from harness_audit.audit import Origin, prepare, run_audit

    origin = Origin(
        setup=setup, plugins=(*app.config.plugins, *app.plugin_options), folder=str(Path.cwd()),
        workspace=str(app.workspace_path) if _is_workspace(app) else None,
    )  # fmt: skip
    prepared = prepare(origin, app.plugins.registries, app.config)
    if dry_run:
        _list(app, origin, prepared)
        return EXIT_PASSED
    try:
        with app.progress() as progress:
            found = run_audit(origin, prepared, jobs=jobs, progress=progress)
    except KeyboardInterrupt:
        click.echo("\ninterrupted; a replay keeps nothing, and begins anew", err=True)
        return EXIT_INTERRUPTED
    if app.json:
        app.print_json(to_plain(found))
    else:
        _show(app, found)
    return EXIT_GATE if found.failures else EXIT_PASSED


def _is_workspace(app: App) -> bool:
    """Tell whether there is a workspace; one that was named must be there."""
    if app.workspace_path.is_dir():
        return True
    if app.workspace_named:
        _ = app.workspace  # refuses in its own words
    return False


def _list(app: App, origin: Origin, prepared: Prepared) -> None:
    from harness.api.commands import plain_table, safe_text
    from harness_audit.audit import times

    rows = [
        (
            case.group, safe_text(case.condition), safe_text(case.truth), case.claim,
            str(times(case, origin.setup.simulations)),
        )
        for case in prepared.cases
    ]  # fmt: skip
    if app.json:
        keys = ("group", "condition", "truth", "claim", "simulations")
        app.print_json(
            {"sources": list(prepared.sources), "cases": [dict(zip(keys, row, strict=True)) for row in rows]}
        )
        return
    app.console.print(plain_table(("kind", "gate", "truth", "claim", "simulations"), rows))
    for source in prepared.sources:
        app.console.print(f"rows: {safe_text(source)}", style="dim", markup=False)
    app.console.print(f"{len(rows)} cases; nothing was simulated")


def _show(app: App, found: Audit) -> None:
    from harness.api.commands import plain_table, safe_text
    from harness_audit.tables import header, rows, summary

    for group, results in found.by_group().items():
        app.console.print(
            plain_table(header(), [tuple(safe_text(cell) for cell in row) for row in rows(results)], title=group)
        )
    for source in found.sources:
        app.console.print(f"rows: {safe_text(source)}", style="dim", markup=False)
    for policy, gates in found.left_out.items():
        if gates:
            app.console.print(
                f"policy {safe_text(policy)}: not replayed: {safe_text(', '.join(gates))}", style="dim", markup=False
            )
    style = "red" if found.failures else "green"
    app.console.print(summary(found), style=style, markup=False, soft_wrap=True)
    for result in found.failures:
        app.console.print(f"{result.finding}: {safe_text(result.name)}", style="red", markup=False, soft_wrap=True)


def _full(app: App, names: tuple[str, ...], folder: Path, *, dry_run: bool) -> int:
    from harness.api import to_plain, unknown_name
    from harness_audit.full import Place, audit_adapters
    from harness_audit.known import ADAPTERS

    known = {adapter.name for adapter in ADAPTERS}
    for name in names:
        if name not in known:
            raise unknown_name("adapter of the audit", name, known)
    if dry_run:
        chosen = [adapter for adapter in ADAPTERS if not names or adapter.name in names]
        if app.json:
            app.print_json(
                {"adapters": [{"name": o.name, "truth": o.truth, "expected": o.expected} for o in chosen]}
            )  # fmt: skip
            return EXIT_PASSED
        for adapter in chosen:
            app.console.print(f"{adapter.name}: {adapter.truth}; expected: {adapter.expected}", markup=False)
        return EXIT_PASSED
    if folder.resolve() == app.workspace_path.resolve():
        raise InputError("is the workspace in use", file=folder, hint="the audit promotes: name one of its own")
    with app.session.bind(workspace=folder.resolve()) as session:
        found = audit_adapters(Place(session=session, say=lambda line: click.echo(line, err=True)), names)
    if app.json:
        app.print_json(to_plain(found))
    else:
        _show_full(app, found)
    return EXIT_PASSED if all(outcome.right for outcome in found.outcomes) else EXIT_GATE


def _show_full(app: App, found: FullAudit) -> None:
    from harness.api.commands import plain_table, safe_text
    from harness_audit.tables import FULL_HEADER, full_rows

    rows = [tuple(safe_text(cell) for cell in row) for row in full_rows(found.outcomes)]
    app.console.print(plain_table(FULL_HEADER, rows))
    wrong = [outcome for outcome in found.outcomes if not outcome.right]
    text = f"{len(found.outcomes) - len(wrong)} of {len(found.outcomes)} decisions are as the truth asks"
    app.console.print(text, style="red" if wrong else "green", markup=False)
