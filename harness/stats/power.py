"""What a number of samples can show: the exact power of one proportion's bound and of McNemar's test.

Source of the latter: S. W. Duffy, Biometrics 40 (1984) 1005–1015.
"""

from __future__ import annotations

import math

import numpy as np

POWER = 0.8
"""With which samples are planned, where nothing else is said."""


def quantile_sum(alpha: float, power: float) -> float:
    """Return z(1 − alpha) + z(power)."""
    from scipy.special import ndtri

    return float(ndtri(1 - alpha) + ndtri(power))


def binomial_power(rate: float, limit: float, n: int, alpha: float, *, above: bool = False) -> float:
    """Return how often a Clopper–Pearson bound clears `limit` when the true proportion is `rate`.

    Args:
        rate: true proportion.
        limit: what the bound must clear.
        n: samples.
        alpha: one-sided level.
        above: whether the lower bound must lie above the limit, instead of the upper bound below it.
    """
    from scipy.special import bdtr, bdtrik

    if above:
        return binomial_power(1 - rate, 1 - limit, n, alpha)
    if not 0.0 < limit < 1.0:
        return 1.0 if limit >= 1.0 else 0.0
    # The bound clears the limit where P(X ≤ x | limit) ≤ alpha; most is the largest such x.
    most = math.floor(float(bdtrik(alpha, n, limit)) + 1e-9) if (1 - limit) ** n <= alpha else -1
    while most >= 0 and float(bdtr(most, n, limit)) > alpha:
        most -= 1
    while most + 1 < n and float(bdtr(most + 1, n, limit)) <= alpha:
        most += 1
    if most < 0:
        return 0.0
    return 1.0 if rate <= 0.0 else 0.0 if rate >= 1.0 and most < n else float(bdtr(most, n, rate))


def mcnemar_power(gains: float, losses: float, n: int, alpha: float) -> float:
    """Return how often the exact McNemar test shows the candidate to have the event more often.

    Args:
        gains: share of all pairs with the event in the candidate alone, in truth.
        losses: share of all pairs with the event in the baseline alone, in truth.
        n: pairs.
        alpha: one-sided level.
    """
    from scipy.special import bdtr, bdtrc, bdtrik

    differ = min(1.0, gains + losses)
    if differ <= 0.0 or n <= 0:
        return 0.0
    around, spread = n * differ, 8.0 * math.sqrt(n * differ * (1.0 - differ)) + 8.0
    pairs = np.arange(max(1, math.floor(around - spread)), min(n, math.ceil(around + spread)) + 1)
    chance = bdtr(pairs, n, differ) - bdtr(pairs - 1, n, differ)
    # The least number of wins that rejects, P(X ≥ wins) ≤ alpha; the inverse is no whole number, and may round badly.
    wins = np.floor(bdtrik(1.0 - alpha, pairs, 0.5)).astype(np.int64)
    for _ in range(3):
        wins = np.where((wins <= pairs) & (bdtrc(np.minimum(wins, pairs) - 1, pairs, 0.5) > alpha), wins + 1, wins)
    passes = np.where(wins > pairs, 0.0, bdtrc(np.minimum(wins, pairs) - 1, pairs, min(1.0, gains / differ)))
    return float((chance * passes).sum())
