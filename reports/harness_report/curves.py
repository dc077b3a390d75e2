"""Curves over steps as points whose places are classes: no style, no script, and no SVG, which Streamlit drops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness_report.markup import Html, el
from harness_report.plots import STEPS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Points = tuple[tuple[float, float], ...]
_MOST = 120
"""Points of a curve that are drawn: of more, means of equal stretches."""
_CLASSES = ("hr-curve-cand", "hr-curve-base")


def curve_plot(curves: Mapping[str, Points], across: str = "steps") -> Html:
    """Return curves on one pair of axes, each with its first and last value in words.

    Args:
        curves: (step, value) by name; at least one, each with at least one point, of finite numbers.
        across: what the horizontal axis counts.
    """
    points = [point for some in curves.values() for point in some]
    steps, values = [step for step, _ in points], [value for _, value in points]
    ends = (min(steps), max(steps)), (min(values), max(values))
    drawn = [
        el("i", cls=f"hr-curve-dot {cls} hr-x{right} hr-y{up}")
        for cls, some in zip(_CLASSES * len(curves), curves.values(), strict=False)
        for right, up in dict.fromkeys(_place(point, ends) for point in _thinned(some))
    ]
    said = [
        el("div", el("span", name, cls=f"{cls}-name"), f" {some[0][1]:.4g} → {some[-1][1]:.4g}", cls="hr-small")
        for cls, (name, some) in zip(_CLASSES * len(curves), curves.items(), strict=False)
    ]
    axis = f"{across} {ends[0][0]:g} to {ends[0][1]:g}, values {ends[1][0]:.4g} to {ends[1][1]:.4g}"
    plot = el("div", *drawn, cls="hr-curve", role="img", aria_label=f"{', '.join(curves)}: {axis}")
    return el("div", *said, plot, el("div", axis, cls="hr-dim hr-small"), cls="hr-plot")


def _place(point: tuple[float, float], ends: tuple[tuple[float, float], tuple[float, float]]) -> tuple[int, int]:
    across, up = (
        (value - low) / (high - low) if high > low else 0.5 for value, (low, high) in zip(point, ends, strict=True)
    )
    return round(STEPS * across), round(STEPS * up)


def _thinned(points: Points) -> Sequence[tuple[float, float]]:
    if len(points) <= _MOST:
        return points
    size = -(-len(points) // _MOST)
    parts = [points[at : at + size] for at in range(0, len(points), size)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]
