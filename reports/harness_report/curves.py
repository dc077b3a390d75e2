"""Curves over steps as inline SVG, without style or script: colours are classes of the style sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness_report.markup import Html, el

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Points = tuple[tuple[float, float], ...]
_WIDTH, _HEIGHT = 300, 110
_MOST = 400
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
    lines = [
        el("polyline", cls=cls, points=" ".join(_place(point, ends) for point in _thinned(some)), fill="none")
        for cls, some in zip(_CLASSES * len(curves), curves.values(), strict=False)
    ]
    said = [
        el("div", el("span", name, cls=f"{cls}-name"), f" {some[0][1]:.4g} → {some[-1][1]:.4g}", cls="hr-small")
        for cls, (name, some) in zip(_CLASSES * len(curves), curves.items(), strict=False)
    ]
    axis = f"{across} {ends[0][0]:g} to {ends[0][1]:g}, values {ends[1][0]:.4g} to {ends[1][1]:.4g}"
    drawn = el("svg", *lines, cls="hr-curve", viewBox=f"-4 -4 {_WIDTH + 8} {_HEIGHT + 8}", role="img",
               aria_label=f"{', '.join(curves)}: {axis}")  # fmt: skip
    return el("div", *said, drawn, el("div", axis, cls="hr-dim hr-small"), cls="hr-plot")


def _place(point: tuple[float, float], ends: tuple[tuple[float, float], tuple[float, float]]) -> str:
    x, y = ((value - low) / (high - low) if high > low else 0.5 for value, (low, high) in zip(point, ends, strict=True))
    return f"{x * _WIDTH:.1f},{(1 - y) * _HEIGHT:.1f}"


def _thinned(points: Points) -> Sequence[tuple[float, float]]:
    if len(points) <= _MOST:
        return points
    size = -(-len(points) // _MOST)
    parts = [points[at : at + size] for at in range(0, len(points), size)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]
