"""What scores tell of their mean's error, on samples that differ in weight and come in clusters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.stats.bounded import effective_count
from harness.stats.interval import Spread
from harness.stats.proportion import FEWEST_APART, effective_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NEAR = 0.9
"""Of the way from the mean to an end of the range: scores that far tell how alike clusters are there."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Weighed:
    """Scores of samples with their weights, each of shape (n,)."""

    sums: NDArray[np.float64]
    """Weight times score."""
    weights: NDArray[np.float64]
    """At least 0, with a sum above 0."""
    heavy: NDArray[np.float64]
    """How far each sample can move the mean, in the unit of the weights: of a difference, the larger of its two."""

    @classmethod
    def of(cls, rows: NDArray[np.float64]) -> Weighed:
        """Return the scores of rows (weight times score, weight), shape (n, 2)."""
        return cls(sums=rows[:, 0], weights=rows[:, 1], heavy=rows[:, 1])


def spread_of(
    weighed: Weighed, groups: NDArray[np.int64], bounds: tuple[float, float], alpha: float, *, filled: bool = False
) -> Spread:
    """Return what the scores tell of the mean's error, and of how much a score that was not seen could weigh.

    Args:
        weighed: the scores.
        groups: cluster number of each sample, shape (n,).
        bounds: least and greatest possible score.
        alpha: one-sided level of the interval it is for.
        filled: whether rows are filled in for lost ones, so that clusters count whole.
    """
    sums, weights = weighed.sums, weighed.weights
    total = float(weights.sum())
    value = float(sums.sum()) / total
    residuals = np.bincount(groups, weights=sums - value * weights).astype(np.float64)
    units = len(residuals)
    error = math.sqrt(units / max(1, units - 1) * float((residuals**2).sum())) / total
    size = _EffectiveSize(weighed, groups, alpha)
    low, high = (size.whole, size.whole) if filled else (size.towards(bounds[0]), size.towards(bounds[1]))
    return Spread(error=error, effective_count=effective_count(residuals), effective_n=(low, high))


class _EffectiveSize:
    """How many independent samples a score that was not seen is one of.

    The heaviest sample, or cluster, may be the one that was not seen: so it is the sum of their weights over the
    largest, which is their number where they weigh alike.
    """

    def __init__(self, weighed: Weighed, groups: NDArray[np.int64], alpha: float) -> None:
        weighs = weighed.weights > 0.0
        self._weights, self._heavy, self._alpha = weighed.weights[weighs], weighed.heavy[weighs], alpha
        self._scores = weighed.sums[weighs] / self._weights
        self._groups = np.unique(groups[weighs], return_inverse=True)[1].reshape(-1).astype(np.int64)
        self._value = float((self._scores * self._weights).sum() / self._weights.sum())
        self.whole = self._over_largest(np.bincount(self._groups, weights=self._heavy).astype(np.float64))

    def _over_largest(self, sizes: NDArray[np.float64]) -> float:
        return max(1.0, float(self._weights.sum() / sizes.max()))

    def towards(self, end: float) -> float:
        """Return the number for scores at one end of the range.

        How alike the samples of a cluster are is known of scores that were seen there: at least nine tenths of the way
        to the end, in `FEWEST_APART` clusters. Elsewhere a whole cluster may turn at once.
        """
        if len(self._groups) == int(self._groups.max()) + 1:
            return self.whole
        way = (self._scores - self._value) * math.copysign(1.0, end - self._value)
        if len(np.unique(self._groups[way >= _NEAR * abs(end - self._value)])) < FEWEST_APART:
            return self.whole
        residuals = self._weights * (self._scores - self._value)
        return min(effective_size(residuals, self._groups, self._alpha).n, self._over_largest(self._heavy))


def by_group(rows: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sums of rows within each cluster, shape (clusters, k)."""
    return np.column_stack([np.bincount(groups, weights=column) for column in rows.T])


def linearised(candidate: NDArray[np.float64], baseline: NDArray[np.float64]) -> Weighed:
    """Return a difference of two weighted means as one weighted mean.

    Exact where the weights of the arms are equal; elsewhere to first order (W. G. Cochran, Sampling Techniques, 1977,
    section 6.3).

    Args:
        candidate: rows (weight times score, weight), shape (n, 2).
        baseline: likewise, on the same samples.
    """
    first, second = candidate[:, 1] / candidate[:, 1].mean(), baseline[:, 1] / baseline[:, 1].mean()
    left, right = candidate[:, 0] / candidate[:, 1].mean(), baseline[:, 0] / baseline[:, 1].mean()
    weights = 0.5 * (first + second)
    own, its = left.mean(), right.mean()
    sums = (left - own * first) - (right - its * second) + (own - its) * weights
    return Weighed(sums=sums, weights=weights, heavy=np.maximum(first, second))
