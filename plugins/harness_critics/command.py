"""`harness critic`: count how often critics are right on labelled replies, and show what was counted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.api.commands import App, WholeRange, common_options, plain_table, role_option, safe_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import CriticCalibration

_CALIBRATE = """\b
Examples:
  harness critic calibrate --principle civility --data labelled.jsonl
  harness critic calibrate judge --principle truthfulness --constitution personal --data labelled.jsonl --judge MODEL

A row of the data: {"prompt": "…", "response": "…", "label": "follows"}. The label is `follows` or 1 where the reply
follows the principle, and `breaks` or 0 where it breaks it; `messages` may stand for `prompt`. Label replies like those
that will be judged, and none that the critics or prompts were made from."""


@click.group()
def critic() -> None:
    """Count how often critics are right, and show what was counted."""


@critic.command(epilog=_CALIBRATE)
@click.argument("critics", nargs=-1, metavar="[CRITIC]...")
@click.option("--principle", required=True, metavar="ID", help="What they judge by.")
@click.option(
    "--constitution", metavar="NAME|FILE", help="That holds the principle, where it is not registered itself."
)
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), metavar="FILE", help="JSON Lines of labelled replies."
)
@click.option("--judge", metavar="REF", help="The judge: short for --role judge=REF.")
@role_option
@common_options
def calibrate(
    app: App, critics: tuple[str, ...], principle: str, constitution: str | None, data: Path, judge: str | None,
    roles: tuple[str, ...],
) -> None:  # fmt: skip
    """Judge labelled replies, and keep how often the critics are right.

    Without CRITIC those that the principle names. Gates of suites that say `calibration: {ID: stored}` rest on it while
    the same critics, judge and principle judge.
    """
    found = app.session.calibrate(
        critics, principle, data.resolve(), constitution=constitution, judge=judge, roles=roles
    )
    _show(app, [found])
    if not app.json:
        click.echo(f"kept as calibration {found.id} of {found.labeller}")
        click.echo(_use(found, constitution))


@critic.command()
@click.argument("principle", required=False)
@common_options
def show(app: App, principle: str | None) -> None:
    """Show the calibrations that are kept, of one principle or of all."""
    found = app.session.calibrations(principle)
    _show(app, found)
    if not found and not app.json:
        click.echo("no calibration is kept; make one with: harness critic calibrate")


_DISAGREEMENTS = """\b
Examples:
  harness critic disagreements latest
  harness critic disagreements latest --limit 50 --json"""


@critic.command(epilog=_DISAGREEMENTS)
@click.argument("run", default="latest")
@click.option("--limit", type=WholeRange(min=1), default=20, show_default=True, metavar="N", help="At most N replies.")
@common_options
def disagreements(app: App, run: str, limit: int) -> None:
    """List the replies of a run on which its critics part, the widest gap first.

    Compared are the critics that a principle names side by side, and the members of a panel.
    """
    from harness.api.workspace import read_constitutions, read_run, read_samples
    from harness_critics.disagreements import disagreements as found_in

    record = read_run(app.workspace, run)
    principles = {
        principle.id: principle
        for constitution in read_constitutions(app.workspace, record.id)
        for principle in constitution.principles
    }
    found = found_in(read_samples(app.workspace, record.id), principles)
    shown = found.parted[:limit]
    if app.json:
        agreement = [
            {"critics": pair, "agreed": counts[0], "of": counts[1]} for pair, counts in found.agreement.items()
        ]
        parted = [
            {"sample": one.sample, "completion": one.completion, "principle": one.principle, "scores": dict(one.scores)}
            for one in shown
        ]
        app.print_json({"run": record.id, "judged": found.judged, "agreement": agreement, "parted": parted})
        return
    if not found.judged:
        click.echo(f"no reply of {record.id} was scored by two critics of one principle")
        return
    pairs = [[f"{first}, {second}", _rate(counts)] for (first, second), counts in found.agreement.items()]
    app.console.print(plain_table(("critics", "agree"), pairs, title=f"critics of {record.id}", whole={"agree"}))
    rows = [
        [safe_text(one.sample), one.principle, "  ".join(f"{name} {score:.2f}" for name, score in one.scores.items())]
        for one in shown
    ]
    title = f"{len(found.parted)} of {found.judged} replies on which they part"
    app.console.print(plain_table(("sample", "principle", "scores"), rows, title=title, whole=set()))


def _show(app: App, found: Sequence[CriticCalibration]) -> None:
    from harness.api import to_plain

    if app.json:
        app.print_json([to_plain(one) for one in found])
        return
    columns = ("calibration", "principle", "violations\nfound", "others let\nthrough", "un-\nscored", "AUC")
    rows = [
        (
            f"{one.id}\ndata {one.data[:8]}\n{one.created[:10]}", _judged(one),
            _rate(one.sensitivity), _rate(one.specificity), str(one.unscored),
            "–" if one.auc is None else f"{one.auc:.2f}",
        )
        for one in found
    ]  # fmt: skip
    title, whole = "critics on labelled replies, with exact 90 % intervals", set(columns) - {"principle"}
    cells = [[safe_text(cell) for cell in row] for row in rows]
    app.console.print(plain_table(columns, cells, title=title, whole=whole))


def _judged(one: CriticCalibration) -> str:
    asked = [f"{role}: {who}" for role, who in one.roles.items()]
    return "\n".join([one.principle, f"critics: {', '.join(one.critics)}", *asked])


def _rate(counts: tuple[int, int]) -> str:
    from harness.api.stats import clopper_pearson

    interval = clopper_pearson(*counts, 0.05)
    return f"{counts[0]}/{counts[1]}\n{interval.low:.2f}–{interval.high:.2f}"


def _use(found: CriticCalibration, constitution: str | None) -> str:
    """Say how gates rest on a calibration, or why none can."""
    from harness.api import Calibration
    from harness.api.stats import calibration_problem

    problem = calibration_problem(Calibration(sensitivity=found.sensitivity, specificity=found.specificity))
    if problem:
        return f"no gate can rest on it: {problem}"
    where = f"constitution: {constitution}" if constitution else f"principles: [{found.principle}]"
    return f"gates rest on it where a suite measures adherence: {{{where}, calibration: {{{found.principle}: stored}}}}"
