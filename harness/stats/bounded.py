"""Bounded scores: what a sample may not have seen of them, and about how far that puts a bound of their mean.

If none of n samples has the worst possible score, up to 1 − α^(1/n) of all may have it (Clopper and Pearson's bound of
no event). And where most scores are alike and a few far away, those few decide the mean; how many do is told by the
residuals r: (Σr²)² / Σr⁴ samples *carry* the spread. The mean's bounds are in `plugins/harness_statistics`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from harness.stats.halving import halve
from harness.stats.interval import Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_EFFECTIVE = 20
"""Where no more samples (or clusters) carry the spread, a bootstrap is not trusted alone; with twice as many it is:
`python benchmarks/few_carriers.py` says what it does with fewer."""


def fade(effective_count: float) -> float:
    """Return how much of Gaffke's added score counts, from 1 to 0, so that no single score decides by which rule."""
    return min(1.0, max(0.0, 2.0 - effective_count / FEWEST_EFFECTIVE))


def effective_count(residuals: NDArray[np.float64]) -> float:
    """Return how many of the samples carry the spread: between 1 and n, and 0 where there is none.

    Args:
        residuals: of each sample or cluster, shape (n,).
    """
    largest = float(np.abs(residuals).max()) if len(residuals) else 0.0
    squares = (residuals / largest) ** 2 if largest else np.zeros(0)
    return float(squares.sum() ** 2 / (squares**2).sum()) if len(squares) else 0.0


def never_seen(
    value: float, n: tuple[float, float], bounds: tuple[float, float], alpha: float, *, null: float | None = None
) -> Interval:
    """Return where the mean may lie if no sample had a score at either end of the range, but others do.

    Args:
        value: of the samples.
        n: samples, above 0, by which the least and the greatest score could have been seen; clustered ones as many
            independent ones as they are worth.
        bounds: least and greatest possible score.
        alpha: one-sided level of each bound, in (0, 0.5).
        null: the mean to test against; a bound clears it exactly where its p is at most `alpha`.
    """

    value = min(max(value, bounds[0]), bounds[1])  # rounding may lift it above the end

    def bound(end: float, count: float) -> float:
        return value - math.expm1(math.log(alpha) / count) * (end - value)

    def p(end: float, count: float) -> float:
        if null is None or (value - null) * (value - end) <= 0.0:
            return 1.0
        needed = (value - null) / (value - end)
        return 0.0 if needed >= 1.0 else math.exp(count * math.log1p(-needed))

    return Interval(
        low=bound(bounds[0], n[0]), high=bound(bounds[1], n[1]),
        p_above=None if null is None else p(bounds[0], n[0]), p_below=None if null is None else p(bounds[1], n[1]),
        method="the exact bound of no event",
    )  # fmt: skip


def expected_reach(error: float, unseen: float, alpha: float, effective_count: float) -> float:
    """Return about how far from the mean its bound will lie, for planning.

    Where many samples carry the spread it is z · `error`, or that of scores that are never seen, −log(α) · `unseen`.
    Else Gaffke's: most scores weigh in as one normal variable and the added one as an exponential of its own, so that
    the reach is a quantile of their sum (an exponentially modified normal distribution), faded as bounds are.

    Args:
        error: standard error of the mean.
        unseen: what one more score at the worse end of the range moves the mean by: its distance from the mean over the
            number of independent samples; 0 where the metric has no range.
        alpha: one-sided level, in (0, 0.5).
        effective_count: about how many samples carry the spread; see `effective_count`.

    Returns:
        A distance, at least 0, in the unit of the mean.
    """
    from scipy.special import log_ndtr, ndtr, ndtri

    normal, never = -float(ndtri(alpha)) * error, -math.log(alpha) * unseen
    added = fade(effective_count) * unseen
    if error <= 0.0 or added <= 1e-6 * error:
        return max(normal, never)
    ratio = error / added

    def beyond(reach: float) -> float:
        log_tail = 0.5 * ratio**2 - reach / added + float(log_ndtr(reach / error - ratio))
        return float(ndtr(-reach / error)) + math.exp(min(log_tail, 0.0))

    return max(halve(normal, normal + never, lambda reach: beyond(reach) > alpha)[1], never)
