"""How far the probabilities of a reward model can be believed."""

from __future__ import annotations

import math
from collections.abc import Sequence

_BINS = 10


def logistic(value: float) -> float:
    """Return 1 / (1 + e^-value), in (0, 1)."""
    return 0.5 * (1 + math.tanh(value / 2))


def log_logistic(value: float) -> float:
    """Return log(1 / (1 + e^-value)), without overflow."""
    return -math.log1p(math.exp(-value)) if value > 0 else value - math.log1p(math.exp(value))


def expected_calibration_error(probabilities: Sequence[float], *, bins: int = _BINS) -> float:
    """Return the mean distance between stated and observed shares of right choices, in [0, 1].

    Each probability says that the first of two answers is the preferred one, which it is. The stated choice has
    probability max(p, 1 - p) and is right where p > 1/2; equal bins over [1/2, 1], weighted by what they hold
    (Guo et al. 2017, arXiv 1706.04599).

    Args:
        probabilities: of the preferred answers, one per pair; at least one.
        bins: their number.
    """
    held: list[list[tuple[float, float]]] = [[] for _ in range(bins)]
    for p in probabilities:
        stated = max(p, 1 - p)
        right = 1.0 if p > 0.5 else 0.5 if p == 0.5 else 0.0
        held[min(bins - 1, int((stated - 0.5) * 2 * bins))].append((stated, right))
    return sum(abs(sum(stated - right for stated, right in one)) for one in held) / len(probabilities)


def fitted_temperature(margins: Sequence[float]) -> float:
    """Return the temperature T in [0.05, 20] under which sigmoid(margin / T) fits best, by likelihood.

    Args:
        margins: reward of the preferred answer less that of the other, one per pair.
    """
    grid: list[float] = [0.05 * 400.0 ** (step / 240) for step in range(241)]

    def loss(temperature: float) -> float:
        return sum(math.log1p(math.exp(-min(700.0, max(-700.0, margin / temperature)))) for margin in margins)

    return min(grid, key=loss)
