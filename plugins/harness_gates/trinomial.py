"""The exact power of gates on paired proportions: the sum over what gains and losses can come out.

Of n pairs, gains and losses are trinomial. The number that differs is binomial with their shares' sum, and the gains
among them binomial again: S. W. Duffy, Biometrics 40 (1984) 1005–1015, for McNemar's test; here for the interval of
`harness.api.stats.paired_difference` and any line. Probabilities beyond eight standard deviations are left out,
which is less than 1e-14.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from harness.api.stats import smallest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Counts = NDArray[np.int64]
    Numbers = NDArray[np.float64]

EXACT_UP_TO = 20_000
"""Pairs; of more, the normal approximation is within a percent, and the sum slow."""
_WIDE = 8.0


@lru_cache(maxsize=4096)  # tables and sentences ask for the same again and again
def paired_power(
    gains: float, losses: float, n: int, alpha: float, *, least: float = -math.inf, greatest: float = math.inf
) -> float:
    """Return how often the interval of a paired difference of proportions lies between `least` and `greatest`.

    Args:
        gains: share of all pairs with the event in the candidate alone, in truth; in [0, 1].
        losses: share of all pairs with the event in the baseline alone, in truth; gains + losses at most 1.
        n: pairs.
        alpha: one-sided level of each bound.
        least: what the lower bound must lie above; in (−1, 1), or minus infinity.
        greatest: what the upper bound must lie below; in (−1, 1), or infinity.

    Returns:
        A probability in [0, 1].
    """
    from scipy.special import bdtr

    differ = min(1.0, max(0.0, gains) + max(0.0, losses))
    if n <= 0:
        return 0.0
    spread = _WIDE * math.sqrt(n * differ * (1.0 - differ)) + _WIDE
    pairs = np.arange(max(0, math.floor(n * differ - spread)), min(n, math.ceil(n * differ + spread)) + 1)
    chance = bdtr(pairs, n, differ) - np.where(pairs > 0, bdtr(np.maximum(pairs - 1, 0), n, differ), 0.0)
    share = 0.0 if differ <= 0.0 else min(1.0, max(0.0, gains) / differ)
    low = _fewest_gains(pairs, n, least, alpha) if math.isfinite(least) else np.zeros_like(pairs)
    high = pairs - _fewest_gains(pairs, n, -greatest, alpha) if math.isfinite(greatest) else pairs
    inside = (low <= high) & (low <= pairs)
    below = np.where(low > 0, bdtr(np.maximum(low - 1, 0), pairs, share), 0.0)
    upto = np.where(high >= 0, bdtr(np.clip(high, 0, pairs), pairs, share), 0.0)
    return min(1.0, float((chance * np.where(inside, np.maximum(upto - below, 0.0), 0.0)).sum()))


def exact_samples(enough: Callable[[int], bool], approximately: int) -> int | None:
    """Return about the fewest pairs whose exact power is enough; the approximation where that is large.

    Args:
        enough: of a number of pairs. Exact power rises in saw teeth, so that this is one of the last of them.
        approximately: what the normal approximation says.
    """
    if approximately > EXACT_UP_TO:
        return approximately
    low = approximately
    while low > 1 and enough(low):
        low = low * 4 // 5
    high = max(low + 1, approximately)
    while not enough(high):
        low, high = high, high + max(1, high // 8)
        if high > EXACT_UP_TO:
            return high
    found = smallest(lambda more: enough(low + more))
    return None if found is None else low + found


def _fewest_gains(pairs: Counts, n: int, line: float, alpha: float) -> Counts:
    """Return by the number of pairs that differ how many gains put the lower bound above the line; one more if none do.

    By halving: of so many that differ, more gains never lower the bound.
    """
    low, high = np.full_like(pairs, -1), pairs + 1
    while (apart := high - low > 1).any():
        middle = np.where(apart, (low + high) // 2, low)
        above = apart & _above(np.clip(middle, 0, pairs), pairs - np.clip(middle, 0, pairs), n, line, alpha)
        high = np.where(above, middle, high)
        low = np.where(apart & ~above, middle, low)
    return high


def _above(b: Counts, c: Counts, n: int, line: float, alpha: float) -> NDArray[np.bool_]:
    """Tell of which outcomes the lower bound lies above the line; `paired_difference` says why each test is there."""
    from scipy.special import bdtr, betainc, ndtri

    inside: NDArray[np.bool_] = _tango(b, c, float(n), line) > -float(ndtri(alpha))
    if line >= 0.0:
        inside &= (b > 0) & (betainc(np.maximum(b, 1), c + 1, 0.5) <= alpha)
    elif line > -1.0:  # losses alone are binomial
        inside &= (b > 0) | (bdtr(c, n, -line) <= alpha)
    return inside


def _tango(b: Counts, c: Counts, n: float, difference: float) -> Numbers:
    """Return the score test of `paired_difference` of many outcomes."""
    linear = -b - c + (2.0 * n - b + c) * difference
    constant = -c * difference * (1.0 - difference)
    root = np.sqrt(np.maximum(linear * linear - 8.0 * n * constant, 0.0))
    rising = linear > 0.0
    share = np.where(rising, -2.0 * constant / np.where(rising, linear + root, 1.0), (root - linear) / (4.0 * n))
    variance = n * (2.0 * np.maximum(share, 0.0) + difference * (1.0 - difference))
    distance = b - c - n * difference
    flat = variance <= 0.0
    steep = np.where(distance == 0.0, 0.0, np.copysign(np.inf, distance))
    found: Numbers = np.where(flat, steep, distance / np.sqrt(np.where(flat, 1.0, variance)))
    return found
