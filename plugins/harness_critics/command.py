"""`harness critic`: count how often critics are right on labelled replies, and show what was counted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.api import InputError
from harness.api.commands import App, WholeRange, common_options, gathered, plain_table, role_option, safe_text
from harness_critics.calibrating import CalibrationOptions

if TYPE_CHECKING:
    from harness.api import CriticCalibration

_CALIBRATE = """\b
Examples:
  harness critic calibrate --constitution personal
      (every principle, on replies that ship)
  harness critic calibrate --principle civility --data labelled.jsonl
  harness critic calibrate judge --principle truthfulness \\
      --constitution personal --data labelled.jsonl --judge MODEL
  harness critic calibrate --suite safety-core --principle no_hate
      (with the suite's options of critics)
  harness critic calibrate toxicity --principle no_hate \\
      --constitution harmless --data test_suite_cases.csv

A row of the data: {"prompt": "…", "response": "…", "label": "follows"}. The label is `follows` or 1 where the reply
follows the principle, and `breaks` or 0 where it breaks it; `messages` may stand for `prompt`, `verdict` for `label`,
and `by` names the model that wrote it. Public sets are known by their columns: GPTFuzz, HateCheck, LLMBar and
JailbreakBench's comparison of judges, as published. Label replies like those that will be judged, and none that the
critics were made from."""


@click.group()
def critic() -> None:
    """Count how often critics are right, show what was counted, and where they part."""


@critic.command(epilog=_CALIBRATE)
@click.argument("critics", nargs=-1, metavar="[CRITIC]...")
@gathered(
    dict, "options",
    click.option("--principle", metavar="ID", help="What they judge by.  [default: each of the constitution]"),
    click.option("--constitution", metavar="NAME|FILE", help="That holds the principle, where it is not registered."),
    click.option("--data", type=click.Path(path_type=Path), metavar="FILE",
                 help="Labelled replies.  [default: those that ship with harness]"),
    click.option("--source", metavar="NAME", help="The source that reads FILE.  [default: known by its columns]"),
    click.option("--suite", metavar="SUITE", help="Whose options of critics, roles and constitution hold."),
    click.option("--outputs", metavar="KIND", help="The kind of output that was labelled.  [default: the suite's]"),
    click.option("--limit", type=WholeRange(min=10), metavar="N", help="At most N replies, half of each label."),
    click.option("--scaling", type=click.Choice(["platt", "isotonic", "none"]), default="platt", show_default=True,
                 help="The map from scores to probabilities that is kept."),
    click.option("--biases/--no-biases", default=True, help="Try a judge's orders and ways on some of the replies."),
)  # fmt: skip
@click.option("--judge", metavar="REF", help="The judge: short for --role judge=REF.")
@role_option
@common_options
def calibrate(
    app: App, critics: tuple[str, ...], options: dict[str, object], judge: str | None, roles: tuple[str, ...]
) -> None:  # fmt: skip
    """Judge labelled replies, and keep how often the critics are right.

    Without CRITIC those that each principle names. Gates on adherence rest on it while the same critics, options, judge
    and principle judge, and where it shows enough to be admitted.
    """
    from harness_critics.calibrating import calibrate as calibrated
    from harness_critics.showing import admitted, show_all, show_one

    chosen = CalibrationOptions(critics=critics, **options)  # type: ignore[arg-type]
    found = calibrated(app.session, chosen, judge=judge, roles=roles)
    if app.json:
        app.print_json(_plain(found))
        return
    show_all(app, found)
    for one in found:
        if len(found) == 1:
            show_one(app, one)
        click.echo(safe_text(admitted(one)))


@critic.command()
@click.argument("name", required=False, metavar="[PRINCIPLE|ID]")
@common_options
def show(app: App, name: str | None) -> None:
    """Show the calibrations that are kept, of one principle or all; one of them in full by its ID, with its curve."""
    from harness_critics.showing import admitted, show_all, show_one

    kept = _kept(app)
    one = [found for found in kept if name is not None and len(name) >= 4 and found.id.startswith(name)]
    found = one or [found for found in kept if name in {None, found.principle}]
    if name is not None and not found and kept:
        known = ", ".join(dict.fromkeys(calibration.principle for calibration in kept))
        raise InputError(f"no calibration is kept of {name!r}", hint=f"there are some of: {known}")
    if app.json:
        app.print_json(_plain(found))
        return
    if not found:
        click.echo("no calibration is kept; make one with: harness critic calibrate")
        return
    show_all(app, found)
    if len(found) == 1:
        show_one(app, found[0])
        click.echo(safe_text(admitted(found[0])))


_LIST = """\b
Examples:
  harness critic list
  harness critic list ./mine.yaml --judge smollm2-135m
  harness critic list harmless --json"""


@critic.command("list", epilog=_LIST)
@click.argument("constitutions", nargs=-1, metavar="[CONSTITUTION]...")
@click.option("--suite", metavar="SUITE", help="Whose options of critics and roles hold.")
@click.option("--judge", metavar="REF", help="The judge: short for --role judge=REF.")
@role_option
@common_options
def list_command(
    app: App, constitutions: tuple[str, ...], suite: str | None, judge: str | None, roles: tuple[str, ...]
) -> None:  # fmt: skip
    """List each principle with its critics: admitted here, or why not. Of personal and harmless, or of those named.

    Why not says whether it was never calibrated, labels are missing and how many, or the critic is too weak.
    """
    from harness.api import to_plain
    from harness_critics.listing import listed
    from harness_critics.showing import show_list

    named = constitutions or ("personal", "harmless")
    found = listed(app.session, named, _kept(app), suite=suite, judge=judge, roles=roles)
    if app.json:
        app.print_json([to_plain(one) for one in found])
        return
    show_list(app, found)


@critic.command()
@click.argument("before")
@click.argument("after")
@common_options
def drift(app: App, before: str, after: str) -> None:
    """Compare two calibrations by their IDs: what changed, and how far each figure moved."""
    from harness.api import to_plain
    from harness_critics.drifting import drift as drifted
    from harness_critics.showing import show_drift

    first, second = (_one(app, name) for name in (before, after))
    found = drifted(first, second)
    if app.json:
        app.print_json(to_plain(found))
    else:
        show_drift(app, found)


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
    from harness_critics.showing import rate

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
            {"critics": pair, "agreed": agreed, "of": both} for pair, (agreed, both) in found.agreement.items()
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
    pairs = [[f"{first}, {second}", rate(counts)] for (first, second), counts in found.agreement.items()]
    app.console.print(plain_table(("critics", "agree"), pairs, title=f"critics of {record.id}", whole={"agree"}))
    rows = [
        [safe_text(one.sample), one.principle, "  ".join(f"{name} {score:.2f}" for name, score in one.scores.items())]
        for one in shown
    ]
    title = f"{len(found.parted)} of {found.judged} replies on which they part"
    app.console.print(plain_table(("sample", "principle", "scores"), rows, title=title, whole=set()))


def _kept(app: App) -> list[CriticCalibration]:
    """Return the calibrations that the workspace keeps, the oldest first."""
    return list(app.session.calibrations()) if app.workspace_path.is_dir() else []


def _one(app: App, name: str) -> CriticCalibration:
    found = [one for one in _kept(app) if one.id.startswith(name)]
    if len(found) != 1:
        what = "no calibration" if not found else f"{len(found)} calibrations"
        raise InputError(f"{what} begin with {name!r}", hint="see harness critic show")
    return found[0]


def _plain(found: list[CriticCalibration]) -> list[dict[str, object]]:
    """Return calibrations with their figures, and without each reply's score."""
    from harness.api import to_plain
    from harness_critics.figures import figures

    plain = [{**to_plain(one), "figures": to_plain(figures(one))} for one in found]
    return [{key: value for key, value in one.items() if key != "replies"} for one in plain]
