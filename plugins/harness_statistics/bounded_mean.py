"""The mean of bounded scores: bounds that reckon with scores that a sample happens not to hold.

A bootstrap knows only of what it has seen, and fails in two ways. Scores that are never seen: if none of n samples has
the worst possible score, up to 1 − α^(1/n) of all may have it (Clopper and Pearson's bound of no event). And scores
that are seldom seen: where most are alike and a few far away, those few decide the mean, and a sample may hold too few
of them. How many decide is told by the residuals r: (Σr²)² / Σr⁴ samples *carry* the spread, n over the kurtosis.

Gaffke's bound adds one score at the worse end of the range and gives all scores weights from the flat Dirichlet
distribution, as the Bayesian bootstrap does. On zeros and ones it is the Clopper–Pearson bound; that it holds for every
distribution on the range is a conjecture without a known counterexample. With weights D = E / ΣE of independent
standard exponential E, the mean Σ Dᵢxᵢ is at most m where Σ Eᵢ(xᵢ − m) is at most 0: the distribution of a weighted sum
of exponentials. Its saddlepoint approximation takes the place of random draws. Where it is least exact (all scores
alike but the one that was added) it errs on the careful side: by 2 % of a tail of 5 %, by up to 10 % of one of 1e-7.

Sources: N. Gaffke, Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative
variable, Mathematical Methods of Statistics 14 (2005) 451–467; E. Learned-Miller and P. S. Thomas, A new confidence
interval for the mean of a bounded random variable, arXiv:1905.06208 (2019); O. E. Barndorff-Nielsen, Modified signed
log likelihood ratio, Biometrika 78 (1991) 557–563 (the form of the tail approximation that is used here).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from harness.api.stats import Inference, Interval, Weighed, by_group, fade, never_seen, spread_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FLAT = 1e-3
"""Below this distance from its centre the tail is taken from the limit of the approximation, which is 0 / 0 there."""


def bounded_mean(
    sums: NDArray[np.float64], weights: NDArray[np.float64], bounds: tuple[float, float], alpha: float,
    *, added: tuple[float, float] | None = None, null: float | None = None,
) -> Interval:  # fmt: skip
    """Return Gaffke's bounds of a weighted mean, each at one-sided level `alpha`.

    Args:
        sums: weight times score of each sample, or summed over each cluster, shape (n,), n at least 1.
        weights: of each, positive, shape (n,).
        bounds: least and greatest possible score.
        alpha: one-sided level, in (0, 0.5).
        added: weight of the score that is added at the least and at the greatest end; None is the mean of `weights`.
        null: the mean to test against; a bound clears it exactly where its p is at most `alpha`.
    """
    least, greatest = bounds
    weight = float(weights.mean())
    lower, upper = (weight, weight) if added is None else added
    below, above = _Side(sums, weights, lower, bounds), _Side(-sums, weights, upper, (-greatest, -least))
    return Interval(
        low=below.bound(alpha), high=-above.bound(alpha),
        p_above=None if null is None else below.p(null), p_below=None if null is None else above.p(-null),
        method="Gaffke's bound",
    )  # fmt: skip


class _Side:
    """The lower side: what is below the mean is tested with one more score at the least possible value."""

    def __init__(
        self, sums: NDArray[np.float64], weights: NDArray[np.float64], added: float, bounds: tuple[float, float]
    ) -> None:
        self._weights = np.append(weights, added)
        self._sums = np.append(sums, bounds[0] * added)
        self._range = bounds

    def p(self, null: float) -> float:
        """Return how likely the randomly weighted mean is to be at most `null`."""
        from scipy.special import ndtr

        return float(ndtr(self._quantile(null)))

    def bound(self, alpha: float) -> float:
        """Return where `p` is `alpha`, by regula falsi (Illinois) on the nearly straight quantiles of p."""
        from scipy.special import ndtri

        target = float(ndtri(alpha))
        left, right = self._range
        value = float(self._sums.sum() / self._weights.sum())  # at about the median, so a good second point
        at_left, at_right = -math.inf, math.inf
        point = value
        side = 0
        for _ in range(100):
            off = self._quantile(point) - target
            if abs(off) < 1e-9 or right - left <= 1e-13 * (self._range[1] - self._range[0]):
                break
            if off < 0.0:
                left, at_left = point, off
                at_right = 0.5 * at_right if side < 0 else at_right
                side = -1
            else:
                right, at_right = point, off
                at_left = 0.5 * at_left if side > 0 else at_left
                side = 1
            straight = math.isfinite(at_left) and math.isfinite(at_right)
            point = (left * at_right - right * at_left) / (at_right - at_left) if straight else 0.5 * (left + right)
        return min(max(point, self._range[0]), self._range[1])

    def _quantile(self, mean: float) -> float:
        """Return the normal quantile of P(Σ Eᵢwᵢ ≤ 0), with wᵢ the distance of each score from `mean`."""
        distances = self._sums - mean * self._weights
        return _tail(distances / (float(np.abs(distances).max()) or 1.0))


def _tail(w: NDArray[np.float64]) -> float:
    """Return the normal quantile of P(Σ Eᵢwᵢ ≤ 0) for independent standard exponential E.

    The cumulant generating function is K(t) = −Σ log(1 − twᵢ) between the reciprocals of the least and the greatest
    w; at its least value, r = sign(t) √(−2K) and u = t √K″, and the quantile is r + log(u / r) / r.
    """
    least, greatest = float(w.min()), float(w.max())
    if greatest <= 0.0:
        return math.inf
    if least >= 0.0:
        return -math.inf
    t = _saddlepoint(w, 1.0 / least, 1.0 / greatest)
    pulls = w / (1.0 - t * w)
    second = float((pulls**2).sum())
    r = math.copysign(math.sqrt(max(0.0, 2.0 * float(np.log1p(-t * w).sum()))), t)
    if abs(r) < _FLAT:
        # log(u / r) / r tends to a sixth of the skewness, K‴ / K″^1.5.
        return float(r + (pulls**3).sum() / (3.0 * second**1.5))
    return r + math.log(t * math.sqrt(second) / r) / r


def _saddlepoint(w: NDArray[np.float64], low: float, high: float) -> float:
    """Return t in (low, high) with Σ wᵢ / (1 − twᵢ) = 0, by Newton's steps within halving."""
    t = 0.0
    for _ in range(200):
        pulls = w / (1.0 - t * w)
        slope, curvature = float(pulls.sum()), float((pulls**2).sum())
        low, high = (low, t) if slope > 0.0 else (t, high)
        step = slope / curvature
        if abs(step) * math.sqrt(curvature) < 1e-10:
            break
        t = t - step if low < t - step < high else 0.5 * (low + high)
    return t


def with_missing_mass(
    found: Interval | None, weighed: Weighed, groups: NDArray[np.int64], bounds: tuple[float, float], how: Inference
) -> Interval:
    """Return the interval of a weighted mean of bounded scores.

    It covers the bootstrap's, that of scores that were never seen, and that of Gaffke's bound, whose added score counts
    in full where up to `FEWEST_EFFECTIVE` samples carry the spread, and fades until twice as many do. Where rows are
    filled in, Gaffke's bound counts in full, and clusters whole, so that no rule which a lost score moves narrows an
    interval.

    Args:
        found: the bootstrap's; None where too few scores differ for one.
        weighed: the scores.
        groups: cluster number of each sample, from 0 without gaps, shape (n,).
        bounds: least and greatest possible score.
        how: level, and the mean to test against.
    """
    alpha, null = how.alpha, how.null
    spread = spread_of(weighed, groups, bounds, alpha, filled=how.filled)
    sums, weights = weighed.sums, weighed.weights
    total = float(weights.sum())
    parts = [] if found is None else [found]
    parts.append(never_seen(float(sums.sum()) / total, spread.effective_n, bounds, alpha, null=null))
    share = 1.0 if how.filled or found is None else fade(spread.effective_count)
    if share > 0.0 and spread.effective_count > 0.0:
        units = by_group(np.column_stack([sums, weights]), groups)
        below, above = (share * total / n for n in spread.effective_n)
        parts.append(bounded_mean(units[:, 0], units[:, 1], bounds, alpha, added=(below, above), null=null))
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.hull(part)
    decisive = [part.method for part in parts if part is found or whole.low == part.low or whole.high == part.high]
    method = decisive[0]
    if found is not None and (whole.low, whole.high) != (found.low, found.high):
        method = f"the farther of {', '.join(decisive[:-1])} and {decisive[-1]}"
    elif found is None:
        method = " and ".join(decisive)
    return replace(whole, method=method, spread=spread)
