"""How often a decision's comparisons pass, by what is true: power against true effect, from the checks' own intervals.

By the normal approximation, a comparison whose bound lies z standard errors from its difference passes with the chance
Φ(distance to its line / standard error − z). All together, as if they were independent, it is the product.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import NormalDist
from typing import TYPE_CHECKING

from harness.gates.kinds import kind_of as gate_kind

if TYPE_CHECKING:
    from harness.types import Check
    from harness_report.curves import Points

TOGETHER = "all comparisons together"
_STEPS = 40
_NORMAL = NormalDist()


def power_curves(checks: Iterable[tuple[str, Check]]) -> dict[str, Points]:
    """Return chances to pass by the true effect in margins: −1 is worse by the whole margin, 0 equal, 1 better by it.

    Args:
        checks: (suite, check) of a decision.

    Returns:
        Points of all comparisons with a margin together, and of the one that costs most; empty where there is none.
    """
    found = {f"{suite} {check.gate.metric}": known for suite, check in checks if (known := _power(check))}
    if not found:
        return {}
    together = tuple(
        (points[0][0], _product(chance for _, chance in points)) for points in zip(*found.values(), strict=True)
    )
    worst = min(found, key=lambda name: found[name][_STEPS][1])
    return {TOGETHER: together, f"{worst}, which costs most": found[worst]}


def power_rows(curves: Mapping[str, Points]) -> list[tuple[str, ...]]:
    """Return the same in words and percent, at five true effects: where a browser shows no curve, this is read."""
    at = ((-1.0, "worse by the margin"), (-0.5, "worse by half of it"), (0.0, "equal"), (0.5, "better by half of it"),
          (1.0, "better by the margin"))  # fmt: skip
    known = [dict(points) for points in curves.values()]
    return [(words, *(f"{100 * points[effect]:.0f} %" for points in known)) for effect, words in at]


def _power(check: Check) -> Points:
    gate, kind = check.gate, gate_kind(check.gate)
    if not kind.compares or kind.of_texts or not gate.margin or check.difference is None or gate.evidence == "point":
        return ()
    region = kind.region(gate, check.estimate, gate.to)
    distances = [abs(check.difference - end) for end in (check.low, check.high) if end is not None]
    z = -_NORMAL.inv_cdf(gate.alpha)
    error = max(distances, default=0.0) / z
    if error <= 0.0:
        return ()
    points = []
    for step in range(2 * _STEPS + 1):
        effect = step / _STEPS - 1.0
        chances = [_NORMAL.cdf((1.0 + effect) * gate.margin / error - z)]
        if len(region.ends) > 1:  # both ways: an effect on either side comes nearer to one line
            chances = [_NORMAL.cdf((1.0 + way * effect) * gate.margin / error - z) for way in (-1.0, 1.0)]
        points.append((effect, max(0.0, sum(chances) - (len(chances) - 1))))
    return tuple(points)


def _product(chances: Iterable[float]) -> float:
    found = 1.0
    for chance in chances:
        found *= chance
    return found
