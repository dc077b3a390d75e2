"""Interval plots as SVG without style or script, for the exported file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness_report.figures import ACCENT, NEUTRAL, STATUS_COLOURS
from harness_report.markup import Html, el

if TYPE_CHECKING:
    from harness_report.figures import GateFigure, MetricRow

_WIDTH, _EDGE = 320.0, 12.0


def _place(value: float, ends: tuple[float, float]) -> float:
    low, high = ends
    share = min(1.0, max(0.0, (value - low) / (high - low)))
    return round(_EDGE + share * (_WIDTH - 2 * _EDGE), 2)


def gate_plot(figure: GateFigure) -> Html:
    """Return the value with its interval beside the threshold."""
    ends = figure.ends
    colour = STATUS_COLOURS[figure.status]
    parts: list[Html] = []
    if any(line is not None for line in figure.passing):
        start, end = figure.passing
        left, right = 0.0 if start is None else _place(start, ends), _WIDTH if end is None else _place(end, ends)
        parts.append(el("rect", x=left, y=0, width=right - left, height=40, fill=STATUS_COLOURS["passed"], opacity=0.1))
        for limit in (limit for limit in figure.passing if limit is not None):
            at = _place(limit, ends)
            parts.append(el("line", x1=at, x2=at, y1=0, y2=40, stroke="currentColor", stroke_width=1.5,
                            stroke_dasharray="4 3"))  # fmt: skip
            parts.append(el("text", f"{limit:g}", x=at, y=52, text_anchor="middle"))
    if figure.low is not None and figure.high is not None:
        parts.append(el("line", x1=_place(figure.low, ends), x2=_place(figure.high, ends), y1=20, y2=20, stroke=colour,
                        stroke_width=4, stroke_linecap="round", opacity=0.7))  # fmt: skip
    if figure.value is not None:
        parts.append(el("circle", cx=_place(figure.value, ends), cy=20, r=5, fill=colour))
    parts.append(el("text", figure.axis, x=_WIDTH / 2, y=66, text_anchor="middle"))
    return el("svg", *parts, viewBox=f"0 0 {_WIDTH:g} 70", role="img", aria_label=figure.title)


def metric_plot(row: MetricRow) -> Html:
    """Return the intervals of candidate and baseline on one axis."""
    parts: list[Html] = []
    for found, colour, y in ((row.estimate, ACCENT, 9), (row.baseline, NEUTRAL, 20)):
        if found is None or found.value is None:
            continue
        if found.low is not None and found.high is not None:
            parts.append(el("line", x1=_place(found.low, row.scale), x2=_place(found.high, row.scale), y1=y, y2=y,
                            stroke=colour, stroke_width=4, stroke_linecap="round", opacity=0.6))  # fmt: skip
        parts.append(el("circle", cx=_place(found.value, row.scale), cy=y, r=4, fill=colour))
    plot = el("svg", *parts, viewBox=f"0 0 {_WIDTH:g} 28", role="img", aria_label=row.estimate.metric)
    return el("div", plot, cls="hr-cell-plot")
