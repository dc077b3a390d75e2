"""Resampling of rows: weighted sums of B resamples, in bounded memory, and the bias-corrected accelerated interval.

Sources: B. Efron, Better bootstrap confidence intervals, JASA 82 (1987) 171–185 (BCa); A. C. Davison and D. V.
Hinkley, Bootstrap Methods and their Application (1997), ch. 5 (order statistics, and p with one added to the count);
T. C. Hesterberg, What teachers should know about the bootstrap, The American Statistician 69 (2015) 371–386 (the
expansion that makes up for small samples); P. Hall, The Bootstrap and Edgeworth Expansion (1992), ch. 3 (bootstrap-t).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.api.stats import Interval

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_CELLS = 1_000_000
"""Weights held at once: 4 MB as float32, whatever the number of samples and resamples."""
_SHORT = 2_000
"""Below so many rows a chunk is counted at once; above, row by row, so that counts stay in the cache."""


def different(values: NDArray[np.float64]) -> int:
    """Return how many of `values`, shape (n,), differ from the commonest one.

    Values that agree to 12 digits of the largest are equal: division leaves the last digits to chance.
    """
    scale = float(np.abs(values).max()) or 1.0
    counts = np.unique(np.round(values / scale, 12), return_counts=True)[1]
    return len(values) - int(counts.max())


def resampled_sums(rows: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """Return the sums of rows over bootstrap resamples.

    Each resample draws n of the n rows with replacement, so its weights are multinomial counts. Columns are centred
    and scaled before they are multiplied in float32, so that the error is about 1e-6 of a column's own spread, not of
    its size. The same seed and n give the same weights, whatever the rows.

    Args:
        rows: shape (n, k), n at least 1.
        resamples: B.
        seed: of the generator.

    Returns:
        Shape (B, k).
    """
    n, k = rows.shape
    centre = rows.mean(axis=0)
    scale = np.abs(rows - centre).max(axis=0)
    scale[scale == 0.0] = 1.0
    standard = ((rows - centre) / scale).astype(np.float32)
    sums = np.empty((resamples, k), dtype=np.float64)
    done = 0
    for weights in _weights(n, resamples, seed):
        sums[done : done + len(weights)] = weights @ standard
        done += len(weights)
    resampled: NDArray[np.float64] = sums * scale + n * centre
    return resampled


def _weights(n: int, resamples: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """Yield multinomial counts in chunks of shape (c, n) that are valid until the next one is asked for."""
    generator = np.random.default_rng(seed)
    draw = np.uint16 if n <= 1 << 16 else np.uint32
    chunk = max(1, min(resamples, _CELLS // n))
    counts = np.empty((chunk, n), dtype=np.float32)
    offsets = np.arange(chunk, dtype=np.int64)[:, None] * n
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        if n < _SHORT:
            drawn = generator.integers(0, n, size=(size, n), dtype=draw) + offsets[:size]
            counts[:size] = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        else:
            for i in range(size):
                counts[i] = np.bincount(generator.integers(0, n, size=n, dtype=draw), minlength=n)
        yield counts[:size]


@dataclass(frozen=True, kw_only=True, eq=False)
class Resampled:
    """A statistic with its bootstrap distribution and its jackknife values: all that BCa needs."""

    value: float
    """On the data themselves."""
    values: NDArray[np.float64]
    """On each resample, shape (B,); NaN where undefined."""
    left_out: NDArray[np.float64]
    """With each sample (or cluster) left out in turn, shape (n,)."""
    errors: NDArray[np.float64] | None = None
    """Standard error on each resample over that on the data, shape (B,), for `bootstrap_t`."""

    @property
    def influence(self) -> NDArray[np.float64]:
        """How far each sample pulls the statistic, shape (n,); NaN and infinite ones left out."""
        finite = self.left_out[np.isfinite(self.left_out)]
        return finite.mean() - finite if len(finite) else finite

    @property
    def error(self) -> float:
        """The jackknife's standard error: B. Efron, The Jackknife, the Bootstrap and Other Resampling Plans (1982)."""
        return math.sqrt((len(self.left_out) - 1) / len(self.left_out) * float((self.influence**2).sum()))


def bca(resampled: Resampled, alpha: float, *, null: float | None = None, strict: bool = True,
        expand: bool = True) -> Interval:  # fmt: skip
    """Return the BCa interval, each bound at one-sided level `alpha`.

    Bounds are order statistics of the resamples, and p is the level at which a bound would meet `null`: so a bound
    clears `null` exactly where its p is at most `alpha`. Resamples on which the statistic is undefined count against
    both bounds. A bound beyond the last resample is None.

    Args:
        resampled: the statistic's distribution.
        alpha: one-sided level.
        null: the value to test against.
        strict: whether a bound that equals `null` does not clear it.
        expand: whether to widen the level for small samples (Hesterberg): z becomes t · √(n / (n − 1)).
    """
    from scipy.special import ndtr, ndtri

    shape = _Shape.of(resampled, expand=expand)
    order = shape.resamples + 1
    tail = shape.level(alpha)
    low_rank = math.floor(float(ndtr(shape.bend(-tail))) * order)
    high_rank = math.floor(float(ndtr(-shape.bend(tail))) * order)
    falling = np.sort(np.where(np.isnan(resampled.values), np.inf, resampled.values))[::-1]
    rising = np.sort(np.where(np.isnan(resampled.values), -np.inf, resampled.values))
    low = float(rising[low_rank - 1]) if low_rank >= 1 else -math.inf
    high = float(falling[high_rank - 1]) if high_rank >= 1 else math.inf
    p_above = p_below = None
    if null is not None:
        beyond_low = np.count_nonzero(rising <= null if strict else rising < null)
        beyond_high = np.count_nonzero(falling >= null if strict else falling > null)
        p_above = shape.p(-shape.unbend(float(ndtri((beyond_low + 1) / order))))
        p_below = shape.p(shape.unbend(-float(ndtri((beyond_high + 1) / order))))
    return Interval(
        low=low if math.isfinite(low) else None, high=high if math.isfinite(high) else None,
        p_above=p_above, p_below=p_below, method=f"BCa bootstrap ({shape.resamples:,} resamples)",
    )  # fmt: skip


def relative_errors(sums: NDArray[np.float64], squares: float, n: int) -> NDArray[np.float64]:
    """Return the standard error on each resample over that on the data, by the same samples' influence.

    Exact for a mean, and for other smooth statistics to first order.

    Args:
        sums: of the influence values and of their squares over each resample, shape (B, 2).
        squares: sum of the squared influence values on the data, above 0.
        n: samples.
    """
    return np.sqrt(np.maximum(sums[:, 1] - sums[:, 0] ** 2 / n, 0.0) / squares)


def bootstrap_t(resampled: Resampled, alpha: float, *, null: float | None = None, strict: bool = True) -> Interval:
    """Return Hall's studentised interval, each bound at one-sided level `alpha`; arguments are those of `bca`.

    Bounds are the value less order statistics of the resamples' t, times the standard error. A resample without an
    error of its own, as one that repeats a single sample, counts against both bounds.
    """
    if resampled.errors is None or resampled.error <= 0.0:
        return Interval(low=None, high=None, method="bootstrap-t")
    usable = np.isfinite(resampled.values) & (resampled.errors > 1e-9)
    with np.errstate(all="ignore"):
        t = (resampled.values - resampled.value) / (resampled.error * resampled.errors)
    order = len(t) + 1
    rank = math.floor(alpha * order)
    low = high = None
    p_above = p_below = None
    falling = np.sort(np.where(usable, t, np.inf))[::-1]
    rising = np.sort(np.where(usable, t, -np.inf))
    if rank >= 1 and math.isfinite(falling[rank - 1]):
        low = resampled.value - float(falling[rank - 1]) * resampled.error
    if rank >= 1 and math.isfinite(rising[rank - 1]):
        high = resampled.value - float(rising[rank - 1]) * resampled.error
    if null is not None:
        at = (resampled.value - null) / resampled.error
        beyond_low = np.count_nonzero(falling >= at if strict else falling > at)
        beyond_high = np.count_nonzero(rising <= at if strict else rising < at)
        p_above, p_below = (beyond_low + 1) / order, (beyond_high + 1) / order
    return Interval(low=low, high=high, p_above=p_above, p_below=p_below, method="bootstrap-t")


@dataclass(frozen=True, kw_only=True)
class _Shape:
    """Bias correction and acceleration, and the maps between normal quantiles that they define."""

    resamples: int
    bias: float
    acceleration: float
    n: int
    expand: bool

    @classmethod
    def of(cls, resampled: Resampled, *, expand: bool) -> _Shape:
        from scipy.special import ndtri

        values = resampled.values[~np.isnan(resampled.values)]
        below = np.count_nonzero(values < resampled.value) + 0.5 * np.count_nonzero(values == resampled.value)
        # Half a resample in from either end: the normal quantile of 0 or 1 is infinite.
        share = min(max(below, 0.5), len(values) - 0.5) / len(values)
        pull = resampled.influence
        squares = float((pull**2).sum())
        acceleration = float((pull**3).sum()) / (6.0 * squares**1.5) if squares > 0.0 else 0.0
        return cls(resamples=len(resampled.values), bias=float(ndtri(share)), acceleration=acceleration,
                   n=len(resampled.left_out), expand=expand)  # fmt: skip

    def level(self, alpha: float) -> float:
        """Return the (positive) quantile that leaves `alpha` in the tail."""
        from scipy.special import ndtri, stdtrit

        if not self.expand:
            return -float(ndtri(alpha))
        return -float(stdtrit(self.n - 1, alpha)) * math.sqrt(self.n / (self.n - 1))

    def p(self, quantile: float) -> float:
        """Return the tail that `quantile` leaves: the inverse of `level`."""
        from scipy.special import ndtr, stdtr

        if not self.expand:
            return float(ndtr(-quantile))
        return float(stdtr(self.n - 1, -quantile / math.sqrt(self.n / (self.n - 1))))

    def bend(self, quantile: float) -> float:
        """Map a nominal quantile to the bootstrap distribution's (Efron 1987, eq. 2.3)."""
        shifted = self.bias + quantile
        room = 1.0 - self.acceleration * shifted
        # Past its pole the map turns over; the bound is then beyond every resample.
        return self.bias + shifted / room if room > 0 else math.copysign(math.inf, shifted)

    def unbend(self, quantile: float) -> float:
        """Map a quantile of the bootstrap distribution back: the inverse of `bend`."""
        shifted = quantile - self.bias
        if math.isinf(shifted):  # every resample lies on one side; infinity over infinity would be no number
            return shifted
        room = 1.0 + self.acceleration * shifted
        return shifted / room - self.bias if room > 0 else math.copysign(math.inf, shifted)
