"""Means and ratios on rows in which nothing is missing: the bootstrap over clusters, for one run and for two paired.

Each bound is the farther of BCa's and of bootstrap-t's: with skewed rows BCa alone misses up to four times as often as
it says at the small levels of later attempts, and bootstrap-t is the one whose tails are right to second order there
(P. Hall, Theoretical comparison of bootstrap confidence intervals, Annals of Statistics 16 (1988) 927–953).

Of a metric without a range no test of the mean can hold for every distribution (R. R. Bahadur and L. J. Savage, The
nonexistence of certain statistical procedures in nonparametric problems, Annals of Mathematical Statistics 27 (1956)
1115–1122). So no gate is decided where fewer than `FEWEST_EFFECTIVE` samples carry the spread, nor where a share of
`RARE` of all texts may not have been seen at all. What is rarer needs a cap on what a text may count, and with it a
range.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from harness.api import Metric
from harness.api.stats import (
    FEWEST_DIFFERENT,
    FEWEST_EFFECTIVE,
    Inference,
    Interval,
    Spread,
    Weighed,
    by_group,
    effective_count,
    linearised,
    reach_of,
)
from harness_statistics.bootstrap import (
    Resampled,
    bca,
    bootstrap_t,
    different,
    relative_errors,
    resampled_sums,
)
from harness_statistics.bounded_mean import with_missing_mass
from harness_statistics.jackknife import deal

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_UNITS = 10_000
"""Where there are more samples (or clusters), they are dealt at random into so many groups, and groups are resampled:
K. M. Wolter, Introduction to Variance Estimation (2nd ed., 2007), ch. 2. A sum over resampled groups has the variance
and the skewness of a sum over resampled samples, since both add up over independent samples; what is lost is precision
of the interval's width, about 1 in √(2 · 10,000), less than 1 %. Time and memory then stop growing with the samples."""
BEYOND = 3.0
"""At least so many resamples lie beyond a bound: below a level of 3e-4, as of the eleventh attempt, more are drawn."""
MOST_RESAMPLES = 1_000_000
"""And never more than these, which a level of 3e-6 needs, as of the hundredth attempt: minutes would become hours."""

RARE = 0.02
"""Of a metric without a range, this share of all texts must have been seen: none of n holds with (1 − share)^n."""


def weighted(metric: Metric, rows: NDArray[np.float64], groups: NDArray[np.int64], how: Inference) -> Interval:
    """Return the interval of a mean or ratio from rows of shape (n, k): BCa over clusters.

    For weighted means of bounded scores, made as wide as what was not seen asks for.
    """
    units = by_group(rows, groups)
    if not _is_weighted_mean(metric):
        found = _alone(units, _row_numbers(units), metric.estimate, how, strict=False)
        return _with_rare(found, len(units), how) if metric.bounds is None else found.within(metric.bounds)
    used = units[units[:, 1] > 0]
    if not len(used):
        return _NO_WEIGHT.within(metric.bounds)
    found = _alone(units, used[:, 0] / used[:, 1], metric.estimate, how, strict=False)
    if metric.bounds is None:
        return _with_rare(found, len(used), how)
    return _wide(found, Weighed.of(rows), groups, metric.bounds, how)


def weighted_difference(
    metric: Metric, candidate: NDArray[np.float64], baseline: NDArray[np.float64], groups: NDArray[np.int64],
    how: Inference,
) -> Interval:  # fmt: skip
    """Return the interval of the difference of two means or ratios from paired rows: BCa, one resample for both.

    For weighted means of bounded scores as in `weighted`, of linearised differences where the arms' weights differ.
    """
    k = candidate.shape[1]
    units = by_group(np.hstack([candidate, baseline]), groups)
    reach = reach_of(metric.bounds)

    def difference(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return metric.estimate(sums[..., :k]) - metric.estimate(sums[..., k:])

    if not _is_weighted_mean(metric):
        numbers = _row_numbers(units[:, :k] - units[:, k:])
        found = _alone(units, numbers, difference, how, strict=True)
        return _with_rare(found, len(units), how) if reach is None else found.within(reach)
    used = units[(units[:, 1] > 0) & (units[:, k + 1] > 0)]
    if not len(used):
        return replace(_NO_WEIGHT, note="no sample has weight in both runs").within(reach)
    values = used[:, 0] / used[:, 1] - used[:, k] / used[:, k + 1]
    found = _alone(units, values, difference, how, strict=True)
    if reach is None:
        return _with_rare(found, len(used), how)
    return _wide(found, linearised(candidate, baseline), groups, reach, how)


_NO_WEIGHT = Interval(low=None, high=None, method="none", note="no sample has any weight")


def _is_weighted_mean(metric: Metric) -> bool:
    return type(metric).estimate is Metric.estimate


def _wide(
    found: Interval, weighed: Weighed, groups: NDArray[np.int64], bounds: tuple[float, float], how: Inference
) -> Interval:
    """Return what a bootstrap found, or the note that says why there is none, with what may not have been seen."""
    boot = None if found.method == "none" else found
    return replace(with_missing_mass(boot, weighed, groups, bounds, how), note=found.note).within(bounds)


def _row_numbers(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a number for each distinct row: rows of other forms than a weighted mean have no value of their own."""
    numbers = np.unique(rows, axis=0, return_inverse=True)[1]
    return numbers.reshape(-1).astype(np.float64)


def _alone(
    units: NDArray[np.float64], values: NDArray[np.float64],
    estimate: Callable[[NDArray[np.float64]], NDArray[np.float64]], how: Inference, *, strict: bool,
) -> Interval:  # fmt: skip
    """Return the bootstrap's interval, or none where too few units differ."""
    count = different(values)
    if count < FEWEST_DIFFERENT:
        note = f"{count} of {len(values)} differ, too few for a bootstrap"
        return Interval(low=None, high=None, method="none", note=note)
    total = units.sum(axis=0)
    resamples = max(how.resamples, min(MOST_RESAMPLES, math.ceil(BEYOND / how.alpha)))
    drawn = f"{resamples:,} resamples"
    if len(units) > MOST_UNITS:
        units = by_group(units, deal(np.arange(len(units), dtype=np.int64), how.seed, MOST_UNITS))
        drawn += f" of {MOST_UNITS:,} random groups"
    with np.errstate(all="ignore"):
        value = float(estimate(total))
        left_out = estimate(total - units)
    pull = np.where(np.isfinite(left_out), np.nanmean(left_out) - left_out, 0.0)
    squares = float((pull**2).sum())
    sums = resampled_sums(np.column_stack([units, pull, pull**2]), resamples, how.seed)
    with np.errstate(all="ignore"):
        values = estimate(sums[:, :-2])
    values = np.where(np.isfinite(values), values, np.nan)
    if not math.isfinite(value) or np.isnan(values).all():
        return Interval(low=None, high=None, method="none", note="the value is not defined on these samples")
    errors = relative_errors(sums[:, -2:], squares, len(units)) if squares > 0.0 else None
    resampled = Resampled(value=value, values=values, left_out=left_out, errors=errors)
    found = bca(resampled, how.alpha, null=how.null, strict=strict)
    found = found.hull(bootstrap_t(resampled, how.alpha, null=how.null, strict=strict))
    note = ""
    if found.low is None or found.high is None:
        note = f"{len(units):,} samples are too few, or too uneven, for a bootstrap bound at the level {how.alpha:.3g}"
    spread = Spread(error=resampled.error, effective_count=effective_count(pull), effective_n=(len(units), len(units)))
    return replace(found, method=f"BCa and t bootstrap ({drawn})", note=note, spread=spread)


def _with_rare(found: Interval, n: int, how: Inference) -> Interval:
    """Return the interval of a metric without a range, with what keeps it from deciding a gate."""
    if found.spread is None:
        return found
    effective, least, obstacle = found.spread.effective_count, smallest_n(how.alpha), ""
    if n < least:
        obstacle = f"{n:,} samples may miss one in {1 / RARE:.0f} that is far worse: use a `cap`, or {least:,} samples"
    elif effective < FEWEST_EFFECTIVE:
        obstacle = f"{effective:.0f} of its {n:,} samples carry the spread, and without a `cap` {FEWEST_EFFECTIVE} must"
    return replace(found, spread=None, obstacle=obstacle)


def smallest_n(alpha: float) -> int:
    """Return how many samples show, at the level `alpha`, a share of `RARE` of all to have been seen."""
    return math.ceil(math.log(alpha) / math.log1p(-RARE) - 1e-9)
