"""The difference of two proportions on the same samples: Tango's score interval, exact McNemar at zero.

Sources: T. Tango, Equivalence test and confidence interval for the difference in proportions for the paired-sample
design, Statistics in Medicine 17 (1998) 891–908; Q. McNemar, Psychometrika 12 (1947) 153–157, with the exact binomial
distribution of the discordant pairs; M. W. Fagerland, S. Lydersen and P. Laake, Statistics in Medicine 33 (2014)
2850–2875 compare these with others.

Counts: `gains` are pairs with the event in the candidate alone, `losses` in the baseline alone. They need not be whole:
clustered pairs come scaled to their effective number.
"""

from __future__ import annotations

import math

from harness.stats.halving import halve
from harness.stats.interval import Interval
from harness.stats.proportion import clopper_pearson


def tango_z(gains: float, losses: float, n: float, difference: float) -> float:
    """Return Tango's score statistic for a true difference (candidate minus baseline) in [−1, 1].

    z = (b − c − nΔ) / √(n v), where v is `null_variance`. It falls as the difference rises.
    """
    variance = n * null_variance(gains, losses, n, difference)
    distance = gains - losses - n * difference
    if variance <= 0.0:
        return 0.0 if distance == 0.0 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


def null_variance(gains: float, losses: float, n: float, difference: float) -> float:
    """Return the variance of one pair's difference, 2 q + Δ (1 − Δ), if the true difference were Δ.

    q is the share of losses that is most likely given Δ: the larger root of
    2n q² + (−b − c + (2n − b + c) Δ) q − c Δ (1 − Δ) = 0.
    """
    quadratic = 2.0 * n
    linear = -gains - losses + (2.0 * n - gains + losses) * difference
    constant = -losses * difference * (1.0 - difference)
    root = math.sqrt(max(linear * linear - 4.0 * quadratic * constant, 0.0))
    # The root in the form that does not cancel: both are (−linear + root) / (2 quadratic).
    share = -2.0 * constant / (linear + root) if linear > 0 else (root - linear) / (2.0 * quadratic)
    return 2.0 * max(share, 0.0) + difference * (1.0 - difference)


def tango(gains: float, losses: float, n: float, alpha: float, *, null: float | None = None) -> Interval:
    """Return Tango's score interval, each bound at one-sided level `alpha`, with its own p values at `null`.

    With no discordant pair the bounds are ± z² / (n + z²), never zero width. n = 0 gives [−1, 1].
    """
    from scipy.special import ndtr, ndtri

    if n <= 0:
        return Interval(low=-1.0, high=1.0, p_above=None if null is None else 1.0,
                        p_below=None if null is None else 1.0, method="Tango score")  # fmt: skip
    z = -float(ndtri(alpha))
    at = (gains - losses) / n
    low = _crossing(gains, losses, n, -1.0, at, z)
    high = _crossing(gains, losses, n, at, 1.0, -z)
    p_above = p_below = None
    if null is not None:
        statistic = tango_z(gains, losses, n, null)
        p_above, p_below = float(ndtr(-statistic)), float(ndtr(statistic))
    return Interval(low=low, high=high, p_above=p_above, p_below=p_below, method="Tango score")


def _crossing(gains: float, losses: float, n: float, left: float, right: float, target: float) -> float:
    """Return where the falling statistic crosses `target`, by halving.

    The end that is returned lies outside the interval, so that rounding never narrows it.
    """
    if (target > 0 and left >= right) or (target < 0 and right <= left):
        return left
    left, right = halve(left, right, lambda difference: tango_z(gains, losses, n, difference) > target)
    return left if target > 0 else right


def mcnemar_p(wins: float, other: float) -> float:
    """Return the exact one-sided p of "of the discordant pairs, wins are as likely as not" against "wins are likelier".

    The upper tail of the binomial distribution with 1/2: P(X ≥ wins), X of (wins + other) pairs. 1 without any.
    """
    from scipy.special import betainc

    return 1.0 if wins <= 0 else float(betainc(wins, other + 1.0, 0.5))


def paired_difference(gains: float, losses: float, n: float, alpha: float, *, null: float = 0.0) -> Interval:
    """Return the interval of the difference that gates use: Tango's, made exact where its approximation is too bold.

    The interval holds every difference that is not rejected. Zero is tested by the exact McNemar test. Where there is
    not one gain, a true difference below zero could consist of losses alone, whose number is then binomial: the
    exact (Clopper–Pearson) test of that must reject too; likewise where there is not one loss. (Tango's test alone
    passes up to 6.9 % of candidates at the margin there; see docs/statistics.md.) The p values are of the same tests.
    """
    score = tango(gains, losses, n, alpha, null=null)
    if n <= 0 or score.low is None or score.high is None:
        return score
    better, worse = mcnemar_p(gains, losses), mcnemar_p(losses, gains)
    low = score.low if better <= alpha else min(score.low, 0.0)
    high = score.high if worse <= alpha else max(score.high, 0.0)
    p_above, p_below = (better, worse) if null == 0.0 else (score.p_above or 0.0, score.p_below or 0.0)
    # "At most `null`" holds zero where null is above it, and cannot be rejected before zero is; likewise below.
    p_above = max(p_above, better) if null > 0.0 else p_above
    p_below = max(p_below, worse) if null < 0.0 else p_below
    if gains <= 0:
        only = clopper_pearson(losses, n, alpha, null=max(-null, 0.0))
        low = min(low, -(only.high or 0.0))
        p_above = max(p_above, only.p_below or 0.0)
    if losses <= 0:
        only = clopper_pearson(gains, n, alpha, null=max(null, 0.0))
        high = max(high, only.high or 0.0)
        p_below = max(p_below, only.p_below or 0.0)
    return Interval(low=low, high=high, p_above=p_above, p_below=p_below,
                    method="Tango score, exact McNemar at 0")  # fmt: skip
