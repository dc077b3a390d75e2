"""How many samples would decide, and what a number of samples can detect.

Sources: exact binomial power for one proportion; R. J. Connor, Sample size for testing differences in proportions for
the paired-sample design, Biometrics 43 (1987) 207–211, and O. S. Miettinen, Biometrics 24 (1968) 339–352, for paired
proportions, and J. Nam, Establishing equivalence of two treatments and sample size requirements in matched-pairs
design, Biometrics 53 (1997) 1422–1430, for the score test of a margin; the normal approximation for means and ratios.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from harness.stats.paired import null_variance

POWER = 0.8
MOST = 1_000_000
"""Where more samples than these would be needed, none are named."""


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


def proportion_samples(rate: float, limit: float, alpha: float, power: float = POWER) -> int | None:
    """Return about how many samples would decide on which side of `limit` a true proportion of `rate` is.

    None where none would: the rate is the limit, or the limit is 0 or 1, or more than `MOST` were needed.
    """
    if rate == limit or not 0.0 < limit < 1.0:
        return None
    return smallest(lambda n: binomial_power(rate, limit, n, alpha, above=rate > limit) >= power)


def pair_variance(gains: float, losses: float) -> float:
    """Return the variance of one pair's difference, (gains + losses) − (gains − losses)², from shares of the pairs."""
    return gains + losses - (gains - losses) ** 2


def paired_samples(gains: float, losses: float, distance: float, alpha: float, power: float = POWER) -> int | None:
    """Return about how many pairs would show a difference of proportions to be `distance` away from where it is.

    Args:
        gains: share of the pairs with the event in the candidate alone.
        losses: share of the pairs with the event in the baseline alone.
        distance: between the difference and what it is tested against; 0 gives None.
        alpha: one-sided level.
        power: wanted.
    """
    from scipy.special import ndtri

    if distance == 0.0:
        return None
    # The test's own variance is the one under what it rejects, which is the larger one near a margin.
    null = min(1.0, max(-1.0, gains - losses - distance))
    under_null = null_variance(gains, losses, 1.0, null)
    reach = -float(ndtri(alpha)) * math.sqrt(under_null) + float(ndtri(power)) * math.sqrt(pair_variance(gains, losses))
    needed = (reach / distance) ** 2
    # Tango's bound without a discordant pair is z² / (n + z²): the least that can clear the distance.
    floor = float(ndtri(alpha)) ** 2 * (1 - abs(distance)) / abs(distance)
    return _whole(max(needed, floor))


def mean_samples(error: float, n: int, distance: float, alpha: float, power: float = POWER) -> int | None:
    """Return about how many samples would show a value to be `distance` away from where it is.

    Args:
        error: standard error of the value on `n` samples.
        n: samples now.
        distance: between the value and what it is tested against; 0 gives None.
        alpha: one-sided level.
        power: wanted.
    """
    if distance == 0.0:
        return None
    return _whole(n * (error * quantile_sum(alpha, power) / distance) ** 2)


def equivalence_power(variance: float, difference: float, margin: float, n: int, alpha: float) -> float:
    """Return how often two one-sided tests at `alpha` each show a true `difference` to lie within ± `margin`.

    By the normal approximation, Φ((margin − d) / s − z) + Φ((margin + d) / s − z) − 1 with s² = variance / n: D. J.
    Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15 (1987) 657–680, for known variance.
    """
    from scipy.special import ndtr, ndtri

    z = -float(ndtri(alpha))
    if variance <= 0.0:
        return 1.0 if abs(difference) < margin else 0.0
    error = math.sqrt(variance / n)
    both = float(ndtr((margin - difference) / error - z) + ndtr((margin + difference) / error - z))
    return max(0.0, both - 1.0)


def equivalence_samples(
    variance: float, difference: float, margin: float, alpha: float, power: float = POWER
) -> int | None:
    """Return about how many pairs would decide whether a difference lies within ± `margin`.

    Args:
        variance: of one pair's difference.
        difference: where it truly is; on the margin, None.
        margin: above 0.
        alpha: level of each one-sided test.
        power: wanted.
    """
    from scipy.special import ndtri

    distance = margin - abs(difference)
    if distance < 0.0:  # it lies outside: then one test alone has to show it
        return mean_samples(math.sqrt(variance), 1, distance, alpha, power)
    if distance == 0.0:
        return None
    found = smallest(lambda n: equivalence_power(variance, difference, margin, n, alpha) >= power)
    # As in `paired_samples`: what Tango's bound without a discordant pair needs.
    floor = _whole(float(ndtri(alpha)) ** 2 * max(0.0, 1 - distance) / distance)
    return None if found is None or floor is None else max(found, floor)


def smallest(enough: Callable[[int], bool]) -> int | None:
    """Return about the smallest number that is enough, by doubling and halving; None above `MOST`."""
    high = 1
    while not enough(high):
        high *= 2
        if high > MOST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle
    return high


def _whole(n: float) -> int | None:
    return None if n > MOST else max(1, math.ceil(n))
