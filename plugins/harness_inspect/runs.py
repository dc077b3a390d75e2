"""`harness runs`: list, show, compare and remove runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.api.commands import EXIT_PASSED, App, FiniteRange, WholeRange, common_options

if TYPE_CHECKING:
    from harness_inspect.difference import Difference

_LIST = """\b
Examples:
  harness runs list
  harness runs list --suite safety-core --last 5
  harness runs list --json"""
_SHOW = """\b
Examples:
  harness runs show latest
  harness runs show 20261120-064048-safety-core-9f2c1a
  harness runs show 20261120-06   (the beginning of an id is enough)"""
_DIFF = """\b
Examples:
  harness runs diff BASELINE CANDIDATE
  harness runs diff 20261119 latest --flips 50
  harness runs diff promoted latest
      (the newest run of what is promoted on the same suite; so with base)

Samples pair by id and content; runs whose samples differ are refused. The difference is the second run minus the
first."""
_RM = """\b
Examples:
  harness runs rm 20261120-064048-safety-core-9f2c1a
  harness runs rm 20261118 20261119

Runs that a decision rests on are its evidence, and are not removed."""


@click.group(epilog=_DIFF.partition("\n\n")[0])
def runs() -> None:
    """List, show, compare and remove runs."""


@runs.command("list", epilog=_LIST)
@click.option("--suite", metavar="NAME", help="Only of this suite.")
@click.option("--last", type=WholeRange(min=1), metavar="N", help="Only the newest N.")
@common_options
def list_(app: App, suite: str | None, last: int | None) -> int:
    """List runs, the oldest first."""
    from harness.api import to_plain
    from harness.api.commands import plain_table
    from harness.api.workspace import list_runs

    problems: list[str] = []
    records = list_runs(app.workspace, problems=problems)
    for problem in problems:
        app.warn(problem)
    if suite is not None:
        records = [record for record in records if record.suite == suite]
    records = records[-last:] if last is not None else records
    if app.json:
        app.print_json({"runs": [to_plain(record) | {"status": record.status} for record in records]})
        return EXIT_PASSED
    if not records:
        app.console.print("no runs yet; start one with: harness run SUITE", markup=False)
        return EXIT_PASSED
    rows = [
        (r.id, r.candidate.label, str(r.samples), r.status if r.checks else "no gates", f"{r.seconds:.0f} s")
        for r in records
    ]
    app.console.print(plain_table(("run", "candidate", "n", "gates", "took"), rows, whole=("run", "gates", "took")))
    return EXIT_PASSED


@runs.command(epilog=_SHOW)
@click.argument("run")
@common_options
def show(app: App, run: str) -> int:
    """Show a run: metrics with intervals, gates, notes and what it was made of."""
    from harness.api import InputError, to_plain
    from harness.api.commands import run_parts, safe_text
    from harness.api.workspace import read_run

    workspace = app.workspace
    record = read_run(workspace, run)
    if app.json:
        app.print_json(to_plain(record) | {"status": record.status, "folder": str(workspace.runs / record.id)})
        return EXIT_PASSED
    baselines = {}
    for name, other in record.baseline_runs.items():
        try:
            baselines[name] = read_run(workspace, other)
        except InputError:
            app.warn(f"the baseline's run {other} ({name}) is not here any more")
    app.show(run_parts(record, baselines))
    facts = {
        "made": record.created, "folder": str(workspace.runs / record.id),
        "judge": "none" if record.judge is None else record.judge.label, "seed": str(record.seed), **record.environment,
    }  # fmt: skip
    for name, value in facts.items():
        app.console.print(
            f"{safe_text(name)}: {safe_text(value, one_line=True)}", style="dim", markup=False, soft_wrap=True
        )
    return EXIT_PASSED


@runs.command(epilog=_DIFF)
@click.argument("baseline")
@click.argument("candidate")
@click.option("--flips", type=WholeRange(min=0), default=20, show_default=True, help="List at most so many.")
@click.option("--confidence", type=FiniteRange(0.5, 0.999), default=0.90, show_default=True, help="Of the intervals.")
@common_options
def diff(app: App, baseline: str, candidate: str, flips: int, confidence: float) -> int:
    """Compare two runs sample by sample: differences with intervals, and the answers that changed, worse first."""
    from harness_inspect.difference import difference

    found = difference(app.workspace, app.plugins.registries, baseline, candidate, alpha=(1 - confidence) / 2)
    if app.json:
        app.print_json(found.plain(flips))
    else:
        _show_difference(app, found, flips, confidence)
    return EXIT_PASSED


def _show_difference(app: App, found: Difference, flips: int, confidence: float) -> None:
    from harness.api.commands import counted, named_table, safe_text
    from harness_inspect.jobs import differences_table

    for name, record in (("baseline", found.baseline), ("candidate", found.candidate)):
        label = safe_text(record.candidate.label)
        app.console.print(f"{name:<9} {record.id}  {label}  {record.samples} samples", markup=False)
    missing = [
        f"{row.comparison.unscored} of {row.comparison.n} pairs of {row.metric.name} are unscored on a side"
        for row in found.rows if row.comparison.unscored
    ]  # fmt: skip
    for note in (*found.notes, *missing):
        app.console.print(f"note: {safe_text(note)}", style="dim", markup=False)
    app.console.print(differences_table(found, confidence))
    if not found.flips:
        app.console.print("no answer changed its score")
        return
    shown = found.flips[:flips]
    worse = sum(flip.verdict == "worse" for flip in found.flips)
    title = f"{counted(len(found.flips), 'change')}, {worse} for the worse"
    title += "" if len(shown) == len(found.flips) else f"; {len(shown)} shown"
    rows = [
        (flip.sample, flip.metric, f"{_score(flip.before)} → {_score(flip.after)}", flip.verdict,
         safe_text(flip.prompt, limit=60, one_line=True))
        for flip in shown
    ]  # fmt: skip
    app.console.print(named_table(("sample", "metric", "change", "verdict", "prompt"), rows, title=title))


def _score(value: float | None) -> str:
    return "unscored" if value is None else f"{value:g}"


@runs.command(epilog=_RM)
@click.argument("names", nargs=-1, required=True, metavar="RUN…")
@common_options
def rm(app: App, names: tuple[str, ...]) -> int:
    """Remove runs that no decision rests on."""
    from harness_inspect.removing import remove_runs

    meant = remove_runs(app.workspace, names)
    if app.json:
        app.print_json({"removed": meant})
    else:
        for name in meant:
            app.console.print(f"removed {name}", markup=False)
    return EXIT_PASSED
