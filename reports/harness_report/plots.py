"""Intervals on an axis, as HTML without style or script: the one kind of plot that the report has.

Places are classes, in steps of half a percent, since the exported file's policy forbids inline style.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness_report.markup import Html, el

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.types import Estimate
    from harness_report.figures import GateFigure, MetricRow, PrincipleFigure
    from harness_report.samples import LabelCount

STEPS = 200
PLACES = "".join(
    f".hr-x{step}{{left:{100 * step / STEPS:g}%}}.hr-w{step}{{width:{100 * step / STEPS:g}%}}"
    for step in range(STEPS + 1)
)
"""The part of the style sheet that places refer to."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A value with its interval."""

    value: float | None
    low: float | None
    high: float | None
    kind: str
    """`cand`, `base`, or a status."""

    @property
    def said(self) -> str:
        """The mark in words."""
        if self.value is None:
            return "no value"
        span = "" if self.low is None or self.high is None else f", interval {self.low:.4g} to {self.high:.4g}"
        return f"{self.value:.4g}{span}"


@dataclass(frozen=True, kw_only=True)
class Line:
    """Marks on one level, beside what they are of."""

    label: str = ""
    marks: tuple[Mark, ...]


def _mark(estimate: Estimate | None, kind: str, scale: float = 1.0) -> tuple[Mark, ...]:
    if estimate is None or estimate.value is None:
        return ()
    low, high = (None if end is None else end * scale for end in (estimate.low, estimate.high))
    return (Mark(value=estimate.value * scale, low=low, high=high, kind=kind),)


def plot(
    lines: Sequence[Line], ends: tuple[float, float], *, axis: str = "", limits: Sequence[float] = (),
    passing: tuple[float | None, float | None] | None = None,
) -> Html:  # fmt: skip
    """Return lines above each other on one axis, in the units of `ends`; `passing` is shaded, None being an end."""
    low, high = ends

    def step(value: float) -> int:
        return round(STEPS * min(1.0, max(0.0, (value - low) / (high - low))))

    def bar(cls: str, start: float, end: float) -> Html:
        return el("i", cls=f"{cls} hr-x{step(start)} hr-w{max(1, step(end) - step(start))}")

    ground = []
    if passing is not None:
        ground.append(bar("hr-passing", *(low if passing[0] is None else passing[0],
                                          high if passing[1] is None else passing[1])))  # fmt: skip
    ground += [el("i", cls=f"hr-limit hr-x{step(limit)}") for limit in limits]
    rows = []
    for line in lines:
        parts = list(ground)
        for mark in line.marks:
            if mark.low is not None and mark.high is not None:
                parts.append(bar(f"hr-span hr-is-{mark.kind}", mark.low, mark.high))
            if mark.value is not None:
                parts.append(el("b", cls=f"hr-dot hr-is-{mark.kind} hr-x{step(mark.value)}"))
        said = "; ".join(mark.said for mark in line.marks)
        label = [el("div", line.label, cls="hr-label", title=line.label)] if line.label else []
        rows.append(el("div", *label, el("div", *parts, cls="hr-track", title=said), cls="hr-line"))
    words = "; ".join(f"{line.label} {mark.said}".strip() for line in lines for mark in line.marks)
    words += "".join(f", threshold {limit:g}" for limit in limits)
    if axis:
        foot = el("div", *(el("span", one) for one in (f"{low:.4g}", axis, f"{high:.4g}")), cls="hr-axis")
        labelled = [el("div", cls="hr-label")] if any(line.label for line in lines) else []
        rows.append(el("div", *labelled, foot, cls="hr-line"))
    return el("div", *rows, cls="hr-plot", role="img", aria_label=f"{axis}: {words}")


def gate_plot(figure: GateFigure) -> Html:
    """Return the value with its interval beside the threshold; the side that passes is shaded."""
    mark = Mark(value=figure.value, low=figure.low, high=figure.high, kind=figure.status)
    limits = [limit for limit in figure.passing if limit is not None]
    return plot(
        [Line(marks=(mark,))], figure.ends, axis=figure.axis, limits=limits,
        passing=figure.passing if limits else None,
    )  # fmt: skip


def metric_plot(row: MetricRow) -> Html:
    """Return the intervals of baseline and candidate on one axis."""
    return plot([Line(marks=(*_mark(row.baseline, "base"), *_mark(row.estimate, "cand")))], row.scale)


def principles_plot(figures: Sequence[PrincipleFigure]) -> Html | None:
    """Return how far replies follow each principle, beside the baseline's; None where nothing was measured."""
    lines = [
        Line(label=figure.principle.id, marks=(*_mark(figure.baseline, "base", 100), *found))
        for figure in figures
        if (found := _mark(figure.estimate, "cand", 100))
    ]
    return plot(lines, (0, 100), axis="replies that follow the principle (%)") if lines else None


def labels_plot(counts: Sequence[LabelCount]) -> Html:
    """Return the share of samples that carry each label of one classifier, in percent."""
    shares = {count.label: 100 * count.samples / count.scored for count in counts if count.scored}
    lines = [
        Line(label=label, marks=(Mark(value=share, low=0.0, high=share, kind="cand"),))
        for label, share in shares.items()
    ]
    return plot(lines, (0, max(shares.values(), default=0) or 1.0), axis="replies with this label (%)")
