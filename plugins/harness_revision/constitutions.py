"""`harness constitution`: show and check constitutions, and say what another one would have said of stored replies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from harness.api import InputError
from harness.api.commands import (
    EXIT_GATE,
    EXIT_PASSED,
    App,
    WholeRange,
    common_options,
    counted,
    named_table,
    safe_text,
)
from harness_revision.command import judging_options

if TYPE_CHECKING:
    from harness.api import Constitution
    from harness_revision.command import Judging

_FIELDS = ("text", "weight", "critics", "combine", "threshold", "applies_to", "critique", "revise")
_DIFF = """\b
Examples:
  harness constitution diff personal ./mine.yaml
      (with the runs that past decisions rest on)
  harness constitution diff personal ./mine.yaml --run latest --limit 50 \\
      --json
  harness constitution diff personal ./mine.yaml --texts
      (compares what is written, and judges nothing)

Nothing is generated: critics judge replies that runs have stored, and what they judged before is not asked again."""


@click.group()
def constitution() -> None:
    """Show, check and compare constitutions."""


@constitution.command()
@click.argument("name", metavar="NAME|FILE")
@common_options
def show(app: App, name: str) -> None:
    """Show a constitution's principles: weight, critics, whom they speak of, and examples."""
    found = _record(app, name)
    if app.json:
        from harness.api import to_plain

        app.print_json(to_plain(found))
        return
    total = sum(one.weight for one in found.principles)
    rows = [
        (one.id, f"{one.weight / total:.2f}", ", ".join(one.critics), f"{one.threshold:g}",
         ", ".join(one.applies_to.any_tag) or "all", str(len(one.examples)),
         safe_text(one.text.strip(), one_line=True))
        for one in found.principles
    ]  # fmt: skip
    columns = ("principle", "share", "critics", "threshold", "speaks of", "examples", "text")
    app.console.print(named_table(columns, rows, title=f"{found.id}, version {found.version}"))
    for line in _remarks(found):
        app.console.print(line, markup=False, style="yellow")


@constitution.command()
@click.argument("name", metavar="NAME|FILE")
@common_options
def validate(app: App, name: str) -> int:
    """Read a constitution strictly, and say what is missing for it to gate. Exits with 1 where something is."""
    found = _record(app, name)
    known = {entry.name for entry in app.plugins.registries.critics}
    problems = [
        f"{one.id}: there is no critic {critic!r}" for one in found.principles for critic in one.critics
        if critic not in known
    ]  # fmt: skip
    remarks = _remarks(found)
    if app.json:
        app.print_json(
            {"constitution": found.id, "fingerprint": found.fingerprint, "problems": problems, "remarks": remarks}
        )
    else:
        click.echo(f"{found.id}: {counted(len(found.principles), 'principle')}, fingerprint {found.fingerprint[:16]}")
        for line in (*problems, *remarks):
            click.echo(f"  {safe_text(line, one_line=True)}")
        if not problems and not remarks:
            click.echo("  nothing is missing")
    return EXIT_GATE if problems else EXIT_PASSED


@constitution.command(epilog=_DIFF)
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
@click.option("--run", "runs", multiple=True, metavar="RUN", help="Score its replies; may be repeated.")
@click.option("--limit", type=WholeRange(min=1), metavar="N", help="At most N samples of each run.")
@click.option("--texts", is_flag=True, help="Compare what is written, and judge no reply.")
@judging_options
@common_options
def diff(
    app: App, one: str, other: str, runs: tuple[str, ...], limit: int | None, texts: bool, options: Judging
) -> None:  # fmt: skip
    """Say how two constitutions differ, which stored replies they would judge otherwise, and which decisions turn.

    Without --run these are the runs whose adherence past decisions rest on, or the latest one where there is none.
    Without --suite the options of critics and classifiers are those of each run's own suite.
    """
    from harness_revision.rescoring import rescored, runs_of_decisions, turned_decisions

    if texts and runs:
        raise InputError("--texts judges no run, and --run names one", key="--texts", hint="leave one of them out")
    first, second = _record(app, one), _record(app, other)
    changed = changes(first, second)
    runs = () if texts else runs or runs_of_decisions(app)
    scored = [rescored(app, (first, second), run, limit, options) for run in runs]
    flips = [flip for one_run in scored for flip in one_run.flips]
    hidden = sum(one_run.hidden for one_run in scored)
    turned = list(turned_decisions(app, scored))
    if app.json:
        app.print_json(
            {"changes": changed, "flips": [vars(flip) for flip in flips], "hidden": hidden, "decisions": turned}
        )
        return
    for line in changed:
        app.console.print(line, markup=False)
    if not changed:
        app.console.print("the same principles")
    if not runs:
        why = "--texts" if texts else "no run is stored"
        app.console.print(f"no reply was judged: {why}", style="dim")
        return
    for flip in flips:
        app.console.print(flip.sentence(), markup=False, style="yellow" if flip.other != "keeps" else None)
    what = f"{counted(len(flips), 'reply', 'replies')} of {counted(len(runs), 'run')}"
    app.console.print(f"{what} would be judged otherwise", markup=False)
    if hidden:
        app.console.print(f"and {hidden} to samples that decide, which are hidden", markup=False)
    for sentence in turned:
        app.console.print(sentence, markup=False, style="yellow")
    if not turned:
        app.console.print("no past decision's gate on adherence would fall on the other side", markup=False)


def changes(first: Constitution, second: Constitution) -> list[str]:
    """Return a sentence for each principle that one of them lacks or has otherwise."""
    before, after = ({one.id: one for one in found.principles} for found in (first, second))
    lines = [f"- {name}: only in {first.id}" for name in before if name not in after]
    lines += [f"+ {name}: only in {second.id}" for name in after if name not in before]
    for name, one in before.items():
        other = after.get(name, one)
        for field in _FIELDS:
            a, b = getattr(one, field), getattr(other, field)
            if a != b:
                lines.append(f"~ {name}.{field}: {_said(a)} → {_said(b)}")
    return lines


def _said(value: Any) -> str:  # noqa: ANN401 - a field of a principle
    return safe_text(str(value).strip(), limit=160, one_line=True)


def _record(app: App, name: str) -> Constitution:
    from harness.api.workspace import Constitutions

    app.require_plugins()
    return Constitutions(app.plugins.registries, app.session.options.folder).record(name)


def _remarks(found: Constitution) -> list[str]:
    lines = []
    for one in found.principles:
        kinds = {example.kind for example in one.examples}
        if "fail" not in kinds or not kinds - {"fail"}:
            lines.append(f"{one.id} has no examples of both kinds: it informs and can gate nothing")
    return lines
