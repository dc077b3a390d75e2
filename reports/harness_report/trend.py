"""How a metric moved over time: one point a run, with its interval, as SVG without style or script."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from harness.stats.kinds import kind_of
from harness_report.figures import MARKS, domain, when
from harness_report.markup import Html, el

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.types import Estimate, RunRecord

_WIDTH, _HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 24, 26
_WORDS = {
    "passed": "all gates passed",
    "failed": "a gate failed",
    "inconclusive": "inconclusive",
    "ungated": "no gates",
}
_APART = 16.0
"""Least distance of two points where there is room: runs of one minute would lie on each other."""


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

    def height(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - value * scale) / (high - low)

    parts = [*_axes(low, high, percent=percent)]
    for (run, one), across in zip(found, places([_seconds(run) for run, _ in found]), strict=True):
        parts.append(_point(run, one, across, height, promoted=run.candidate_fingerprint == promoted))
    first, last = when(found[0][0].created), when(found[-1][0].created)
    named = f"{metric} (%)" if percent else metric
    said = "; ".join(_said(run, one, scale) for run, one in found)
    drawn = el(
        "svg", *parts, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", cls="hr-trend",
        aria_label=f"{named} over time: {said}",
    )  # fmt: skip
    foot = el("div", el("span", first), el("span", named), el("span", last if last != first else ""), cls="hr-axis")
    seen = dict.fromkeys(run.status for run, _ in found)
    legend = [el("span", el("b", MARKS[status], cls=f"hr-{status}"), f" {_WORDS[status]}") for status in seen]
    if any(run.candidate_fingerprint == promoted for run, _ in found):
        legend.append(el("span", el("b", "◯"), " promoted"))
    return el("div", drawn, foot, el("div", *legend, cls="hr-trend-legend"), cls="hr-plot")


def places(seconds: Sequence[float]) -> list[float]:
    """Return where points stand from left to right: by time, but none on its neighbour where there is room."""
    room = _WIDTH - _LEFT - _RIGHT - _APART
    if len(seconds) == 1:
        return [_LEFT + _APART / 2 + room / 2]
    begin, length = seconds[0], (seconds[-1] - seconds[0]) or 1.0
    apart = min(_APART, room / (len(seconds) - 1))
    found: list[float] = []
    for one in seconds:
        at = room * (one - begin) / length
        found.append(max(at, found[-1] + apart) if found else at)
    over = found[-1] - room
    if over > 0:  # from the right: back by as much as is too much, but none on its neighbour
        found[-1] = room
        for place in range(len(found) - 2, -1, -1):
            found[place] = min(found[place], found[place + 1] - apart)
    return [_LEFT + _APART / 2 + max(0.0, at) for at in found]


def _estimate(run: RunRecord, metric: str) -> Estimate | None:
    return next((one for one in run.estimates if one.metric == metric and one.value is not None), None)


def _seconds(run: RunRecord) -> float:
    try:
        return datetime.fromisoformat(run.created).timestamp()
    except ValueError:
        return 0.0


def _axes(low: float, high: float, *, percent: bool) -> list[Html]:
    parts = []
    for share in (0.0, 0.5, 1.0):
        value, at = low + share * (high - low), _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)
        parts.append(el("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=f"{at:g}", y2=f"{at:g}", cls="hr-trend-grid"))
        said = f"{value:.3g}" + (" %" if percent else "")
        parts.append(el("text", said, x=str(_LEFT - 6), y=f"{at + 4:g}", cls="hr-trend-number"))
    return parts


def _point(
    run: RunRecord, one: Estimate, across: float, height: Callable[[float], float], *, promoted: bool
) -> Html:  # fmt: skip
    x, y = f"{across:.1f}", height(one.value or 0.0)
    parts = [el("title", _said(run, one, 100.0 if kind_of(one).shares else 1.0))]
    if one.low is not None and one.high is not None:
        top, bottom = f"{height(one.high):.1f}", f"{height(one.low):.1f}"
        parts.append(el("line", x1=x, x2=x, y1=top, y2=bottom, cls="hr-trend-span"))
    if promoted:
        parts.append(el("circle", cx=x, cy=f"{y:.1f}", r="10", cls="hr-trend-ring"))
    parts.append(el("circle", cx=x, cy=f"{y:.1f}", r="6.5", cls="hr-trend-dot"))
    parts.append(el("text", MARKS.get(run.status, "·"), x=x, y=f"{y + 3.5:.1f}", cls="hr-trend-mark"))
    return el("g", *parts, cls=f"hr-{run.status}")


def _said(run: RunRecord, one: Estimate, scale: float) -> str:
    span = "" if one.low is None or one.high is None else f" [{one.low * scale:.4g}, {one.high * scale:.4g}]"
    return f"{when(run.created)} {run.candidate.label}: {(one.value or 0.0) * scale:.4g}{span}, {run.status}"
