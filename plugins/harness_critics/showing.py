"""Calibrations in the terminal: a table of all, one in full with its reliability curve, and the drift between two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.api import Admission
from harness.api.calibrations import admission_problem
from harness.api.commands import counted, plain_table, safe_text
from harness.api.stats import clopper_pearson
from harness_critics.figures import Figure, figures
from harness_critics.listing import why_not
from harness_critics.scaling import cross_validated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api import CriticCalibration
    from harness.api.commands import App
    from harness_critics.drifting import Drift
    from harness_critics.listing import Listed

_WIDTH = 30
"""Columns of the reliability curve."""


def show_all(app: App, found: Sequence[CriticCalibration]) -> None:
    """Print a row for each."""
    columns = ("calibration", "principle", "violations\nfound", "others let\nthrough", "AUC", "ECE")
    rows = []
    for one in found:
        all_of = figures(one)
        gates = "no gates" if admission_problem(one.sensitivity, one.specificity, Admission()) else "admitted"
        error = "–" if all_of.ece.value is None else f"{all_of.ece.value:.2f}"
        rows.append([
            f"{one.id[:12]}\n{one.created[:10]}\n{gates}", _judged(one), rate(one.sensitivity), rate(one.specificity),
            _figure(all_of.auc), error,
        ])  # fmt: skip
    title, whole = "critics on labelled replies, with 90 % intervals", set(columns) - {"principle"}
    cells = [[safe_text(cell) for cell in row] for row in rows]
    app.console.print(plain_table(columns, cells, title=title, whole=whole))


def show_one(app: App, one: CriticCalibration) -> None:
    """Print what a row has no room for: agreement, curve, threshold, scaling and biases."""
    found = figures(one)
    labelled = f"{found.violations} violations and {found.n - found.violations} others"
    lines = [f"labels: {one.where or one.data[:16]}, {labelled}; about {one.outputs}"]
    if found.youden.value is not None:
        lines.append(
            f"sensitivity + specificity − 1: {found.youden.value:.2f}, at least {found.youden.low:.2f} (one-sided 95 %)"
        )
    if found.kappa.value is not None:
        lines.append(f"Cohen's κ at the threshold {one.threshold:g}: {_figure(found.kappa).replace(chr(10), ' ')}")
    chosen = cross_validated(one.replies)
    if chosen is not None:
        sensitivity, specificity = (counts[0] / counts[1] for counts in (chosen.sensitivity, chosen.specificity))
        lines.append(
            f"a threshold of {chosen.threshold:.3f} would do best; on replies that did not choose it, it finds "
            f"{sensitivity:.2f} and lets {specificity:.2f} through"
        )
    if one.scaling is not None:
        after = "" if found.scaled_ece is None else f"; the calibration error with it is {found.scaled_ece:.3f}"
        lines.append(f"scaling: {one.scaling.method}{after}")
    for bias in one.biases:
        if bias.value is None:
            lines.append(f"{bias.name} bias: not measured, {bias.note}")
        else:
            lines.append(
                f"{bias.name} bias: {bias.value:+.3f} [{bias.low:+.3f}, {bias.high:+.3f}], {bias.note} ({bias.n})"
            )
    for line in lines:
        click.echo(safe_text(line))
    if found.curve:
        cells = [
            [f"{one_bin.predicted:.2f}", f"{one_bin.observed:.2f} [{one_bin.low:.2f}, {one_bin.high:.2f}]",
             str(one_bin.n), _bar(one_bin.predicted, one_bin.observed)]
            for one_bin in found.curve
        ]  # fmt: skip
        columns = ("said", "broke the rule", "n", "0" + " " * (_WIDTH - 2) + "1")
        title = "reliability: probability of a violation as said (│), and share that was one (█)"
        app.console.print(plain_table(columns, cells, title=title, whole=set(columns)))


def admitted(one: CriticCalibration) -> str:
    """Say whether gates may rest on a calibration."""
    problem = admission_problem(one.sensitivity, one.specificity, Admission())
    if problem:
        why = why_not(one.sensitivity, one.specificity, Admission()).partition(": ")
        return f"{one.principle}: no gate can rest on it, {why[0]}: {problem}"
    return (
        f"{one.principle}: admitted; gates on adherence.{one.principle} rest on calibration {one.id} of {one.labeller}"
    )


def show_list(app: App, found: Sequence[Listed]) -> None:
    """Print a row for each principle, and how many are scored by admitted critics."""
    rows = [
        [one.principle, ", ".join(one.critics), f"{one.labels[0]} + {one.labels[1]}" if any(one.labels) else "–",
         f"admitted ({one.calibration[:12]})" if one.admitted else f"no: {one.why}"]
        for one in found
    ]  # fmt: skip
    columns = ("principle", "critics", "labels that ship", "admitted")
    cells = [[safe_text(cell) for cell in row] for row in rows]
    app.console.print(plain_table(columns, cells, whole={"principle"}))
    admitted_ = sum(one.admitted for one in found)
    click.echo(f"{admitted_} of {counted(len(found), 'principle')} scored by critics that are admitted here")


def show_drift(app: App, found: Drift) -> None:
    """Print what changed and how far each figure moved."""
    for line in found.changed or ("nothing that was recorded changed",):
        click.echo(safe_text(line))
    cells = [
        [move.name, _number(move.before), _number(move.after), _number(move.difference, sign=True),
         "" if move.low is None else f"[{move.low:+.2f}, {move.high:+.2f}]"]
        for move in found.moves
    ]  # fmt: skip
    columns = ("figure", "before", "after", "difference", "90 % interval")
    app.console.print(plain_table(columns, cells, title="calibration drift", whole=set(columns)))
    if found.same_replies:
        click.echo(f"{found.flipped} of {found.same_replies} replies that both judged changed sides")


def rate(counts: tuple[int, int]) -> str:
    """Write a rate's counts over its exact interval."""
    interval = clopper_pearson(*counts, 0.05)
    return f"{counts[0]}/{counts[1]}\n{interval.low:.2f}–{interval.high:.2f}"


def _judged(one: CriticCalibration) -> str:
    asked = [f"{role}: {who}" for role, who in one.roles.items()]
    lost = [f"{one.unscored} unscored"] if one.unscored else []
    lost += [f"{one.not_applicable} not asked about"] if one.not_applicable else []
    return "\n".join([one.principle, f"critics: {', '.join(one.critics)}", *asked, *lost])


def _figure(figure: Figure) -> str:
    if figure.value is None:
        return "–"
    return f"{figure.value:.2f}" if figure.low is None else f"{figure.value:.2f}\n{figure.low:.2f}–{figure.high:.2f}"


def _number(value: float | None, *, sign: bool = False) -> str:
    return "–" if value is None else f"{value:+.2f}" if sign else f"{value:.2f}"


def _bar(predicted: float, observed: float) -> str:
    cells = ["█" if (place + 0.5) / _WIDTH <= observed else "·" for place in range(_WIDTH)]
    cells[min(_WIDTH - 1, int(predicted * _WIDTH))] = "│"
    return "".join(cells)
