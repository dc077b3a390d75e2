"""What a gate can detect with so many samples: for the suites' own documentation, and before a suite is grown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.gates.valid import COMPARES, require_valid
from harness.stats.bounded import expected_reach
from harness.stats.misclassified import corrected_power
from harness.stats.power import POWER, binomial_power, equivalence_power, mcnemar_power, quantile_sum
from harness.stats.worst_case import score_range

if TYPE_CHECKING:
    from harness.contracts import Metric
    from harness.stats.interval import Spread
    from harness.types import Calibration, Gate


def detectable(
    gate: Gate, metric: Metric, n: int, *, power: float = POWER, discordant: float = 0.2, spread: float | None = None,
    kurtosis: float = 3.0, unseen: float = 1.0,
) -> float | None:  # fmt: skip
    """Return how far the truth must be on the good side of the gate's line for the gate to pass `power` of the time.

    The line is the limit for `min` and `max`, a loss of `margin` for `non_inferior`, no difference for `superior`,
    and for `equivalent` the margin, either way. So a
    gate `max 0.30` with 0.08 detectable passes four times in five where the true rate is 0.22.

    Args:
        gate: the condition, with evidence `bound`.
        metric: what it is on.
        n: samples in the denominator, independent.
        power: wanted, in (0, 1).
        discordant: for comparisons of proportions: share of the samples on which the two arms differ.
        spread: for means and ratios: the standard deviation of one sample's value, or of one pair's difference.
        kurtosis: of the same; far above 3 where a few large scores decide, for which bounds are wider.
        unseen: for bounded means: as how many independent samples a score that was not seen may weigh.

    Returns:
        The distance in the metric's unit; None where no truth passes so often.

    Raises:
        InputError: for gates that make no sense, and where `spread` is needed and not given.
    """
    require_valid(gate, metric)
    if gate.kind == "max_unscored" or gate.evidence == "point" or n <= 0:
        return None
    worst = worst_distance(gate, metric) * unseen
    if gate.kind == "equivalent":
        variance = discordant if metric.kind == "proportion" else None if spread is None else spread**2
        return None if variance is None else _sameness(gate, variance, n, power, (worst, kurtosis))
    if metric.kind != "proportion":
        if spread is None:
            raise InputError(f"what can be detected in {metric.name} depends on its spread", hint="give the spread")
        error = spread / math.sqrt(n)
        distance = expected_reach(error, worst / n, gate.alpha, n / kurtosis) + error * quantile_sum(0.5, power)
        return distance if distance <= _room(gate, metric) else None
    if gate.corrected and metric.calibration is not None:
        return _corrected(gate, metric.calibration, n, power)
    if gate.kind in {"min", "max"}:
        limit = gate.limit or 0.0
        return _rate(limit if gate.kind == "max" else 1.0 - limit, n, gate.alpha, power)
    return _apart(gate, n, power, discordant)


def _apart(gate: Gate, n: int, power: float, discordant: float) -> float | None:
    if gate.kind == "superior":
        return _gain(n, gate.alpha, power, discordant)
    return _difference(n, gate.alpha, power, discordant, lost=gate.margin or 0.0)


def worst_distance(gate: Gate, metric: Metric, value: float | None = None) -> float:
    """Return how far from the value the worst possible score lies, where bounds reckon with it; 0 where they do not.

    Args:
        gate: a comparison's worst difference is the whole range away.
        metric: what it is on.
        value: of the metric; None is the gate's limit.
    """
    scores = score_range(metric)
    if scores is None:
        return 0.0
    if gate.kind in COMPARES:
        return scores[1] - scores[0]
    at = (gate.limit or 0.0) if value is None else value
    return max(0.0, scores[1] - at if gate.kind == "max" else at - scores[0])


def worth_of(gate: Gate, metric: Metric, spread: Spread) -> float:
    """Return of how many independent samples a score that was not seen is one, on the side that keeps the gate open."""
    if gate.kind == "equivalent":
        return min(spread.worth)
    upper = gate.kind == "max" or (gate.kind in COMPARES and metric.direction == "lower")
    return spread.worth[1 if upper else 0]


def _room(gate: Gate, metric: Metric) -> float:
    """Return how far from the gate's line the best possible value lies."""
    scores = score_range(metric)
    if scores is None:
        return math.inf
    if gate.kind in COMPARES:
        return scores[1] - scores[0] + (gate.margin or 0.0)
    limit = gate.limit or 0.0
    return limit - scores[0] if gate.kind == "max" else scores[1] - limit


def _sameness(gate: Gate, variance: float, n: int, power: float, unseen: tuple[float, float]) -> float | None:
    """Return how far inside the margin the true difference must be."""
    margin = gate.margin or 0.0
    worst, kurtosis = unseen
    if equivalence_power(variance, 0.0, margin, n, gate.alpha, worst=worst, kurtosis=kurtosis) < power:
        return None
    inside, outside = 0.0, margin
    for _ in range(50):
        middle = 0.5 * (inside + outside)
        if equivalence_power(variance, middle, margin, n, gate.alpha, worst=worst, kurtosis=kurtosis) >= power:
            inside = middle
        else:
            outside = middle
    return margin - inside


def _corrected(gate: Gate, calibration: Calibration, n: int, power: float) -> float | None:
    """Return how far the true rate must be from the limit, by halving."""
    limit = gate.limit or 0.0
    best = 0.0 if gate.kind == "max" else 1.0
    if corrected_power(best, limit, n, calibration, gate.alpha) < power:
        return None
    good, bad = best, limit
    for _ in range(50):
        middle = 0.5 * (good + bad)
        if corrected_power(middle, limit, n, calibration, gate.alpha) >= power:
            good = middle
        else:
            bad = middle
    return abs(limit - good)


def _rate(limit: float, n: int, alpha: float, power: float) -> float | None:
    """Return how far below `limit` the true rate must be, by halving: the power falls as the rate rises."""
    if binomial_power(0.0, limit, n, alpha) < power:
        return None
    low, high = 0.0, limit
    for _ in range(50):
        middle = 0.5 * (low + high)
        if binomial_power(middle, limit, n, alpha) >= power:
            low = middle
        else:
            high = middle
    return limit - low


def _gain(n: int, alpha: float, power: float, discordant: float) -> float | None:
    """Return how much oftener the candidate must be right of `discordant` pairs that differ, by halving."""
    if mcnemar_power(discordant, 0.0, n, alpha) < power:
        return None
    low, high = 0.0, discordant
    for _ in range(40):
        middle = 0.5 * (low + high)
        enough = mcnemar_power((discordant + middle) / 2, (discordant - middle) / 2, n, alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def _difference(n: int, alpha: float, power: float, discordant: float, *, lost: float) -> float | None:
    """Return the least distance x with n ≥ ((z_α + z_β) / x)² · variance at the true difference x − lost.

    The variance of one pair's difference is `discordant` − difference² (Miettinen 1968), and no difference can exceed
    the share that differs. With c = (z_α + z_β)² / n, x solves (1 + c) x² − 2 c lost x + c (lost² − discordant) = 0.
    """
    c = quantile_sum(alpha, power) ** 2 / n
    inside = (c * lost) ** 2 - (1 + c) * c * (lost**2 - discordant)
    if inside < 0:
        return None
    distance = (c * lost + math.sqrt(inside)) / (1 + c)
    return distance if abs(distance - lost) <= discordant else None
