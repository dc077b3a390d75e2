"""How many samples would decide, and what a number of samples can detect.

Sources: exact binomial power for one proportion; R. J. Connor, Sample size for testing differences in proportions for
the paired-sample design, Biometrics 43 (1987) 207–211, and O. S. Miettinen, Biometrics 24 (1968) 339–352, for paired
proportions; S. W. Duffy, Biometrics 40 (1984) 1005–1015, for the power of the exact McNemar test, over the number of
discordant pairs; J. Nam, Establishing equivalence of two treatments and sample size requirements in matched-pairs
design, Biometrics 53 (1997) 1422–1430, for the score test of a margin, from which the exact power of the interval that
gates use is reached (`harness_gates.trinomial`); the normal approximation for means and ratios,
with what a score that was not seen adds to it (`harness.api.stats.expected_reach`).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from harness.api.stats import (
    MOST,
    POWER,
    binomial_power,
    corrected_interval,
    expected_reach,
    halve,
    mcnemar_power,
    null_variance,
    quantile_sum,
    rogan_gladen,
    smallest,
)
from harness_gates.trinomial import exact_samples, paired_power

if TYPE_CHECKING:
    from harness.api import Calibration

_ENOUGH_PAIRS = 20_000


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


@lru_cache(maxsize=1024)  # a sentence says it of every inconclusive check, and an audit makes thousands
def mcnemar_samples(gains: float, losses: float, alpha: float, power: float = POWER) -> int | None:
    """Return about how many pairs would show that the candidate has the event more often, or less often.

    Up to the number with the continuity correction, n D − 1 ≥ √n · (z_α √d + z_β √(d − D²)) with d the share that
    differs and D the difference (Connor 1987; A. L. Edwards, Psychometrika 13 (1948) 185–187), the least with the
    wanted exact power; of many pairs, for which it is within a percent, the corrected one.

    Args:
        gains: share of the pairs with the event in the candidate alone.
        losses: share of the pairs with the event in the baseline alone; equal shares give None.
        alpha: one-sided level.
        power: wanted.
    """
    from scipy.special import ndtri

    more, less = max(gains, losses), min(gains, losses)
    apart = more - less
    if apart == 0.0:
        return None
    reach = -float(ndtri(alpha)) * math.sqrt(more + less)
    reach += float(ndtri(power)) * math.sqrt(max(0.0, pair_variance(more, less)))
    high = _whole(((reach + math.sqrt(reach**2 + 4.0 * apart)) / (2.0 * apart)) ** 2)
    if high is None or high > _ENOUGH_PAIRS or mcnemar_power(more, less, high, alpha) < power:
        return high
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if mcnemar_power(more, less, middle, alpha) >= power else (middle, high)
    return high


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
    near, line = _whole(max(needed, floor)), gains - losses - distance
    if near is None or not -1.0 < line < 1.0:
        return near
    side = {"least": line} if distance > 0.0 else {"greatest": line}
    return exact_samples(lambda n: paired_power(gains, losses, n, alpha, **side) >= power, near)


def mean_samples(
    error: float, n: int, distance: float, alpha: float, power: float = POWER, *, worst: float = 0.0,
    kurtosis: float = 3.0,
) -> int | None:  # fmt: skip
    """Return about how many samples would show a value to be `distance` away from where it is.

    Args:
        error: standard error of the value on `n` samples.
        n: samples now.
        distance: between the value and what it is tested against; 0 gives None.
        alpha: one-sided level.
        power: wanted.
        worst: for means of bounded scores: how far from the value the worst possible score lies.
        kurtosis: of one sample's value; n / kurtosis samples carry the spread.
    """
    from scipy.special import ndtri

    if distance == 0.0:
        return None
    if worst <= 0.0:
        return _whole(n * (error * quantile_sum(alpha, power) / distance) ** 2)

    def enough(m: int) -> bool:
        then = error * math.sqrt(n / m)
        return expected_reach(then, worst / m, alpha, m / kurtosis) + float(ndtri(power)) * then <= abs(distance)

    return smallest(enough)


def equivalence_power(
    variance: float, difference: float, margin: float, n: int, alpha: float, *, worst: float = 0.0,
    kurtosis: float = 3.0,
) -> float:  # fmt: skip
    """Return how often two one-sided tests at `alpha` each show a true `difference` to lie within ± `margin`.

    By the normal approximation, Φ((margin − d) / s − z) + Φ((margin + d) / s − z) − 1 with s² = variance / n: D. J.
    Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15 (1987) 657–680, for known variance. With `worst`,
    how far the worst possible difference of bounded scores lies from the value, the reach takes the place of z · s.
    """
    from scipy.special import ndtr

    if variance <= 0.0:
        return 1.0 if abs(difference) + expected_reach(0.0, worst / n, alpha, n / kurtosis) < margin else 0.0
    error = math.sqrt(variance / n)
    room = margin - expected_reach(error, worst / n, alpha, n / kurtosis)
    both = float(ndtr((room - difference) / error) + ndtr((room + difference) / error))
    return max(0.0, both - 1.0)


def equivalence_samples(
    variance: float, difference: float, margin: float, alpha: float, power: float = POWER, *, worst: float = 0.0,
    kurtosis: float = 3.0,
) -> int | None:  # fmt: skip
    """Return about how many pairs would decide whether a difference lies within ± `margin`.

    Args:
        variance: of one pair's difference.
        difference: where it truly is; on the margin, None.
        margin: above 0.
        alpha: level of each one-sided test.
        power: wanted.
        worst: see `equivalence_power`.
        kurtosis: see `mean_samples`.
    """
    distance = margin - abs(difference)
    if distance < 0.0:  # it lies outside: then one test alone has to show it
        return mean_samples(math.sqrt(variance), 1, distance, alpha, power, worst=worst, kurtosis=kurtosis)
    if distance == 0.0:
        return None
    return smallest(
        lambda n: equivalence_power(variance, difference, margin, n, alpha, worst=worst, kurtosis=kurtosis) >= power
    )


def paired_equivalence_samples(
    gains: float, losses: float, margin: float, alpha: float, power: float = POWER
) -> int | None:
    """Return about how many pairs would decide whether a difference of proportions lies within ± `margin`.

    Args:
        gains: share of the pairs with the event in the candidate alone.
        losses: share of the pairs with the event in the baseline alone.
        margin: above 0.
        alpha: level of each one-sided test.
        power: wanted.
    """
    from scipy.special import ndtri

    difference = gains - losses
    distance = margin - abs(difference)
    found = equivalence_samples(max(0.0, pair_variance(gains, losses)), difference, margin, alpha, power)
    if found is None or distance <= 0.0:
        return found
    # As in `paired_samples`: what Tango's bound without a discordant pair needs.
    floor = _whole(float(ndtri(alpha)) ** 2 * max(0.0, 1 - distance) / distance)
    if floor is None or margin >= 1.0:
        return None if floor is None else max(found, floor)
    return exact_samples(
        lambda n: paired_power(gains, losses, n, alpha, least=-margin, greatest=margin) >= power, max(found, floor)
    )


def paired_detectable(
    n: int, alpha: float, power: float, discordant: float, *, least: float = -math.inf, greatest: float = math.inf
) -> float | None:
    """Return how far inside its lines a true difference of proportions must lie to be shown to, exactly.

    Args:
        n: pairs.
        alpha: one-sided level of each bound.
        power: wanted.
        discordant: share of the pairs that differ, which no difference can exceed.
        least: line that the difference is to lie above; in (−1, 1), or minus infinity.
        greatest: line that it is to lie below; in (−1, 1), or infinity.

    Returns:
        The distance to the line (to the nearer of two), or None where no difference is shown so often.
    """

    def enough(difference: float) -> bool:
        held = min(discordant, max(-discordant, difference))
        gains, losses = (discordant + held) / 2, (discordant - held) / 2
        return paired_power(gains, losses, n, alpha, least=least, greatest=greatest) >= power

    both = math.isfinite(least) and math.isfinite(greatest)
    line = least if math.isfinite(least) else greatest
    best = 0.0 if both else math.copysign(discordant, -1.0 if math.isfinite(greatest) else 1.0)
    return abs(line - halve(best, line, enough, 30)[0]) if enough(best) else None


def corrected_power(rate: float, limit: float, n: int, calibration: Calibration, alpha: float) -> float:
    """Return how often a corrected bound clears `limit` when the true proportion is `rate`, by the binomial counts.

    Args:
        rate: true proportion; below the limit the upper bound must be at most it, above it the lower bound at least.
        limit: what the bound must clear.
        n: samples.
        calibration: the labeller's, taken to be its true rates.
        alpha: one-sided level.
    """
    from scipy.special import bdtr

    sensitivity, specificity = (right / of for right, of in (calibration.sensitivity, calibration.specificity))
    seen = rate * sensitivity + (1.0 - rate) * (1.0 - specificity)
    below = rate < limit
    # The bounds rise with the count: halve for the last count that still clears, seen from the good side.
    inside, outside = (-1, n + 1) if below else (n + 1, -1)
    while abs(inside - outside) > 1:
        middle = (inside + outside) // 2
        found = corrected_interval(middle, n, calibration, alpha)
        clears = (found.high or 0.0) <= limit if below else (found.low or 0.0) >= limit
        inside, outside = (middle, outside) if clears else (inside, middle)
    if below:
        return 0.0 if inside < 0 else float(bdtr(inside, n, seen))
    return 0.0 if inside > n else 1.0 - (float(bdtr(inside - 1, n, seen)) if inside > 0 else 0.0)


def corrected_samples(
    share: float, limit: float, calibration: Calibration, alpha: float, power: float = POWER
) -> int | None:
    """Return about how many samples would decide on which side of `limit` a corrected proportion is.

    The number labelled is taken at the `power` quantile of its normal approximation. None where no number would:
    what is not known of the labeller does not shrink with more samples.

    Args:
        share: as labelled, in [0, 1].
        limit: of the corrected proportion.
        calibration: the labeller's.
        alpha: one-sided level.
        power: wanted.
    """
    from scipy.special import ndtri

    below = rogan_gladen(share, calibration) < limit

    def enough(n: int) -> bool:
        reach = float(ndtri(power)) * math.sqrt(n * share * (1.0 - share))
        events = min(float(n), max(0.0, n * share + (reach if below else -reach)))
        found = corrected_interval(events, n, calibration, alpha)
        return (found.high or 0.0) <= limit if below else (found.low or 0.0) > limit

    return smallest(enough)


def _whole(n: float) -> int | None:
    return None if n > MOST else max(1, math.ceil(n))
