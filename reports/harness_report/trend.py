"""How a metric moved over time: one point a run, with its interval, as HTML whose places are classes."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from harness.stats.kinds import kind_of
from harness_report.figures import MARKS, domain, when
from harness_report.markup import Html, el
from harness_report.plots import STEPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.types import Estimate, RunRecord

_WORDS = {
    "passed": "all gates passed",
    "failed": "a gate failed",
    "inconclusive": "inconclusive",
    "ungated": "no gates",
}
_APART = 0.026
"""Least distance of two points where there is room, as a share of the width: runs of one minute lay on each other."""
_EDGE = 0.02
PLACES = "".join(
    f".hr-y{step}{{bottom:{100 * step / STEPS:g}%}}.hr-h{step}{{height:{100 * step / STEPS:g}%}}"
    for step in range(STEPS + 1)
)
"""The part of the style sheet that heights refer to."""


def trend_plot(runs: Sequence[RunRecord], metric: str, *, promoted: str | None = None) -> Html | None:
    """Return a metric over the runs of one suite; None where it has no value in any.

    Args:
        runs: the oldest first.
        metric: which one.
        promoted: fingerprint of the candidate that is promoted, whose runs are marked.
    """
    found = [(run, one) for run in runs if (one := _estimate(run, metric)) is not None]
    if not found:
        return None
    percent = kind_of(found[0][1]).shares
    scale = 100.0 if percent else 1.0
    ends = domain(*(None if end is None else end * scale for _, one in found for end in (one.value, one.low, one.high)))
    low, high = (max(0.0, ends[0]), min(100.0, ends[1])) if percent else ends

    parts = [*_grid(low, high, percent=percent)]
    for (run, one), across in zip(found, places([_seconds(run) for run, _ in found]), strict=True):
        parts += _point(run, one, round(STEPS * across), (low, high), promoted=run.candidate_fingerprint == promoted)
    first, last = when(found[0][0].created), when(found[-1][0].created)
    named = f"{metric} (%)" if percent else metric
    said = "; ".join(_said(run, one, scale) for run, one in found)
    drawn = el("div", *parts, role="img", cls="hr-trend", aria_label=f"{named} over time: {said}")
    foot = el("div", el("span", first), el("span", named), el("span", last if last != first else ""), cls="hr-axis")
    seen = dict.fromkeys(run.status for run, _ in found)
    legend = [el("span", el("b", MARKS[status], cls=f"hr-{status}"), f" {_WORDS[status]}") for status in seen]
    if any(run.candidate_fingerprint == promoted for run, _ in found):
        legend.append(el("span", el("b", "◯"), " promoted"))
    return el("div", drawn, foot, el("div", *legend, cls="hr-trend-legend"), cls="hr-plot")


def places(seconds: Sequence[float]) -> list[float]:
    """Return where points stand, from 0, the left, to 1: by time, but none on its neighbour where there is room."""
    if len(seconds) == 1:
        return [0.5]
    begin, length = seconds[0], (seconds[-1] - seconds[0]) or 1.0
    apart = min(_APART, 1.0 / (len(seconds) - 1))
    found: list[float] = []
    for one in seconds:
        at = (one - begin) / length
        found.append(max(at, found[-1] + apart) if found else at)
    found[-1] = min(found[-1], 1.0)
    for place in range(len(found) - 2, -1, -1):  # what was pushed over the end goes back, and pushes in its turn
        found[place] = max(0.0, min(found[place], found[place + 1] - apart))
    return [_EDGE + (1.0 - 2 * _EDGE) * at for at in found]


def _estimate(run: RunRecord, metric: str) -> Estimate | None:
    return next((one for one in run.estimates if one.metric == metric and one.value is not None), None)


def _seconds(run: RunRecord) -> float:
    try:
        return datetime.fromisoformat(run.created).timestamp()
    except ValueError:
        return 0.0


def _grid(low: float, high: float, *, percent: bool) -> list[Html]:
    unit = " %" if percent else ""
    return [
        el("i", el("span", f"{low + share * (high - low):.3g}{unit}"), cls=f"hr-trend-grid hr-y{round(STEPS * share)}")
        for share in (0.0, 0.5, 1.0)
    ]


def _point(
    run: RunRecord, one: Estimate, across: int, ends: tuple[float, float], *, promoted: bool
) -> list[Html]:  # fmt: skip
    scale = 100.0 if kind_of(one).shares else 1.0

    def step(value: float) -> int:
        return round(STEPS * min(1.0, max(0.0, (value * scale - ends[0]) / (ends[1] - ends[0]))))

    parts, place = [], f"hr-x{across} hr-{run.status}"
    if one.low is not None and one.high is not None:
        bottom, top = step(one.low), step(one.high)
        parts.append(el("i", cls=f"hr-trend-span {place} hr-y{bottom} hr-h{max(1, top - bottom)}"))
    ring = " hr-trend-ring" if promoted else ""
    dot = el("b", MARKS.get(run.status, "·"), cls=f"hr-trend-dot{ring} {place} hr-y{step(one.value or 0.0)}",
             title=_said(run, one, scale))  # fmt: skip
    return [*parts, dot]


def _said(run: RunRecord, one: Estimate, scale: float) -> str:
    span = "" if one.low is None or one.high is None else f" [{one.low * scale:.4g}, {one.high * scale:.4g}]"
    return f"{when(run.created)} {run.candidate.label}: {(one.value or 0.0) * scale:.4g}{span}, {run.status}"
