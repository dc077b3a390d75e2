"""A proportion corrected for the errors of the labeller that counted it.

Of what truly is the event, the labeller finds the share Se (sensitivity); of what is not, it leaves the share Sp
(specificity) alone. So a true proportion π is seen as p = π Se + (1 − π)(1 − Sp), and π = (p + Sp − 1) / (Se + Sp − 1).

Sources: W. J. Rogan and B. Gladen, Estimating prevalence from the results of a screening test, American Journal of
Epidemiology 107 (1978) 71–76 (the estimate); Z. Lang and J. Reiczigel, Confidence limits for prevalence of disease
adjusted for estimated sensitivity and specificity, Preventive Veterinary Medicine 113 (2014) 13–22 (the interval,
their equations 4 to 17; the variance has (1 − π)², as the delta method gives, where their text misprints (1 + π)²).
Where exact bounds stand beside it: R. L. Berger and D. D. Boos, P values maximized over a confidence set for the
nuisance parameter, JASA 89 (1994) 1012–1016.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.stats.halving import halve
from harness.stats.interval import Interval
from harness.stats.proportion import clopper_pearson

if TYPE_CHECKING:
    from harness.types import Calibration

LEAST_YOUDEN = 0.2
"""Se + Sp − 1 must be shown to be above this: dividing by less makes every error five times larger or more."""
LEAST_PUBLISHED = 0.025
"""Least one-sided level at which Lang and Reiczigel measured their interval. At those of later attempts its bounds miss
the truth up to nine times as often as they say, where 60 of each label tell how often the labeller is right."""
_WIDEST = 4.0
"""Normal quantile beyond which p is not told apart: 3e-5. Far beyond, the shift outgrows the width of the interval."""


def rogan_gladen(share: float, calibration: Calibration) -> float:
    """Return the corrected proportion, cut to [0, 1]. Se + Sp must be above 1.

    Args:
        share: as labelled, in [0, 1].
        calibration: the labeller's.
    """
    sensitivity, specificity = _rate(calibration.sensitivity), _rate(calibration.specificity)
    return min(1.0, max(0.0, (share + specificity - 1.0) / (sensitivity + specificity - 1.0)))


def corrected_interval(
    events: float, n: float, calibration: Calibration, alpha: float, *, null: float | None = None
) -> Interval:
    """Return the interval that gates use: Lang and Reiczigel's, and at smaller levels than theirs an exact one too.

    Takes what `lang_reiczigel` takes. Below `LEAST_PUBLISHED` each bound is the farther one of the two, and its p the
    larger one.
    """
    found = lang_reiczigel(events, n, calibration, alpha, null=null)
    return found if alpha >= LEAST_PUBLISHED else exact_together(events, n, calibration, alpha, null=null).hull(found)


def exact_together(
    events: float, n: float, calibration: Calibration, alpha: float, *, null: float | None = None
) -> Interval:
    """Return bounds of the corrected proportion from exact bounds of the three rates that hold together at `alpha`.

    By Bonferroni's inequality: half of `alpha` for the labelled share, a quarter each for sensitivity and specificity,
    Clopper–Pearson bounds all. The corrected proportion rises with the share and the specificity and falls with the
    sensitivity, so that its upper bound takes the upper, upper and lower ones. A p is the level at which its bound
    would meet `null`. Takes what `lang_reiczigel` takes.
    """
    p_above = p_below = None
    if null is not None:
        p_above = _level(lambda at: _farthest(events, n, calibration, at, upper=False) >= null)
        p_below = _level(lambda at: _farthest(events, n, calibration, at, upper=True) <= null)
    return Interval(
        low=_farthest(events, n, calibration, alpha, upper=False),
        high=_farthest(events, n, calibration, alpha, upper=True),
        p_above=p_above, p_below=p_below, method="Rogan–Gladen, exact bounds of its three rates",
    )  # fmt: skip


def _farthest(events: float, n: float, calibration: Calibration, alpha: float, *, upper: bool) -> float:
    share = clopper_pearson(events, n, alpha / 2.0)
    sensitivity, specificity = (clopper_pearson(*counts, alpha / 4.0)
                                for counts in (calibration.sensitivity, calibration.specificity))  # fmt: skip
    seen, found, spared = (
        (share.high, sensitivity.low, specificity.high) if upper else (share.low, sensitivity.high, specificity.low)
    )
    youden = (found or 0.0) + (spared or 0.0) - 1.0
    if youden <= 0.0:  # the labeller may be guessing, and then anything can be true
        return 1.0 if upper else 0.0
    return min(1.0, max(0.0, ((seen or 0.0) + (spared or 0.0) - 1.0) / youden))


def _level(clears: Callable[[float], bool]) -> float:
    """Return the least level at which a bound clears, by halving its logarithm; 1 where it clears at none."""
    if not clears(1.0 - 1e-12):
        return 1.0
    return math.exp(halve(0.0, math.log(1e-12), lambda level: clears(math.exp(level)))[0])


def lang_reiczigel(
    events: float, n: float, calibration: Calibration, alpha: float, *, null: float | None = None
) -> Interval:
    """Return the interval of the corrected proportion, each bound at one-sided level `alpha`, and the p of its bounds.

    With z the normal quantile of `alpha`: n' = n + z² and p' = (x + z²/2) / n'; n_Se' = n_Se + 2 and Se' = (hits + 1) /
    n_Se', and Sp' likewise; J = Se' + Sp' − 1 and π' = (p' + Sp' − 1) / J. The bounds are π' + Δ ± z s, where
    Δ = 2 z² (π' Se'(1 − Se') / n_Se' − (1 − π') Sp'(1 − Sp') / n_Sp') and
    s² = (p'(1 − p') / n' + π'² Se'(1 − Se') / n_Se' + (1 − π')² Sp'(1 − Sp') / n_Sp') / J².
    A p is the level at which its bound would meet `null`.

    Args:
        events: labelled as the event, in [0, n]; need not be whole.
        n: labelled, above 0.
        calibration: the labeller's, one that `calibration_problem` accepts.
        alpha: one-sided level.
        null: the proportion to test against, in [0, 1].
    """
    from scipy.special import ndtr, ndtri

    z = -float(ndtri(alpha))
    p_above = p_below = None
    if null is not None:
        p_above = float(ndtr(-_meets(lambda at: _bound(events, n, calibration, -at), null, rising=False)))
        p_below = float(ndtr(-_meets(lambda at: _bound(events, n, calibration, at), null, rising=True)))
    return Interval(
        low=min(1.0, max(0.0, _bound(events, n, calibration, -z))),
        high=min(1.0, max(0.0, _bound(events, n, calibration, z))),
        p_above=p_above, p_below=p_below, method="Rogan–Gladen, Lang–Reiczigel interval",
    )  # fmt: skip


def _bound(events: float, n: float, calibration: Calibration, z: float) -> float:
    """Return the upper bound for a quantile z, before it is cut to [0, 1]; the lower one for −z."""
    (found, positives), (spared, negatives) = calibration.sensitivity, calibration.specificity
    total = n + z * z
    share = (events + z * z / 2.0) / total
    sensitivity, specificity = (found + 1.0) / (positives + 2.0), (spared + 1.0) / (negatives + 2.0)
    youden = sensitivity + specificity - 1.0
    corrected = (share + specificity - 1.0) / youden
    of_sensitivity = sensitivity * (1.0 - sensitivity) / (positives + 2.0)
    of_specificity = specificity * (1.0 - specificity) / (negatives + 2.0)
    shift = 2.0 * z * z * (corrected * of_sensitivity - (1.0 - corrected) * of_specificity)
    variance = share * (1 - share) / total + corrected**2 * of_sensitivity + (1 - corrected) ** 2 * of_specificity
    return corrected + shift + z * math.sqrt(variance) / youden


def _meets(bound: Callable[[float], float], null: float, *, rising: bool) -> float:
    """Return the quantile at which a bound meets `null`, by halving; a bound past it at every level gives the end."""
    return halve(-_WIDEST, _WIDEST, lambda at: (bound(at) <= null) if rising else (bound(at) >= null))[0]


def calibration_problem(calibration: Calibration, alpha: float = 0.05) -> str:
    """Return why a labeller is too uncertain to correct for; empty where it is not.

    Both Clopper–Pearson lower bounds, at `alpha` / 2 each so that they hold together at `alpha`, must leave
    Se + Sp − 1 above `LEAST_YOUDEN`. This level is not the gate's, which gets smaller with each attempt.
    """
    least = sum(
        clopper_pearson(hits, number, alpha / 2).low or 0.0
        for hits, number in (calibration.sensitivity, calibration.specificity)
    )
    if least - 1.0 > LEAST_YOUDEN:
        return ""
    (found, positives), (spared, negatives) = calibration.sensitivity, calibration.specificity
    return (
        f"its labeller found {found} of {positives} and spared {spared} of {negatives}; so sensitivity + specificity "
        f"− 1 may be as low as {least - 1.0:.2f}, and a correction needs it above {LEAST_YOUDEN:g}"
    )


def youden_bound(sensitivity: tuple[int, int], specificity: tuple[int, int], alpha: float = 0.05) -> float:
    """Return a one-sided lower bound of sensitivity + specificity − 1, in [−1, 1].

    Its distance to the estimate is the root of the summed squares of both rates' own distances to their Clopper–Pearson
    bounds at `alpha` (MOVER: G. Y. Zou and A. Donner, Construction of confidence limits about effect measures,
    Statistics in Medicine 27 (2008) 1693–1702; for Youden's index, with other limits of the rates, G. Shan, Improved
    confidence intervals for the Youden index, PLoS ONE 10 (2015) e0127272).

    Args:
        sensitivity: (found, all) of the violations.
        specificity: (let through, all) of the others.
        alpha: one-sided level.
    """
    rates = [_rate(counts) if counts[1] else 0.0 for counts in (sensitivity, specificity)]
    lows = [clopper_pearson(*counts, alpha).low or 0.0 if counts[1] else 0.0 for counts in (sensitivity, specificity)]
    return sum(rates) - 1.0 - math.hypot(*(rate - low for rate, low in zip(rates, lows, strict=True)))


def _rate(counts: tuple[int, int]) -> float:
    return counts[0] / counts[1]
