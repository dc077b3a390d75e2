"""The procedure of each kind of metric, on rows in which nothing is missing: for one run, and for two runs paired."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from harness.stats.bootstrap import Resampled, bca, resampled_sums
from harness.stats.few import FEWEST_DIFFERENT, different
from harness.stats.interval import Interval
from harness.stats.jackknife import deal, jackknife
from harness.stats.misclassified import corrected_interval
from harness.stats.paired import paired_difference
from harness.stats.proportion import clopper_pearson, effective_size
from harness.stats.unseen import Weighed, by_group, linearised, with_unseen
from harness.stats.worst_case import bounds_of, is_weighted_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.contracts import Metric
    from harness.types import Calibration, Reply, Sample

MOST_UNITS = 10_000
"""Where there are more samples (or clusters), they are dealt at random into so many groups, and groups are resampled:
K. M. Wolter, Introduction to Variance Estimation (2nd ed., 2007), ch. 2. A sum over resampled groups has the variance
and the skewness of a sum over resampled samples, since both add up over independent samples; what is lost is precision
of the interval's width, about 1 in √(2 · 10,000), less than 1 %. Time and memory then stop growing with the samples."""
BEYOND = 3.0
"""At least so many resamples lie beyond a bound: below a level of 3e-4, as of the eleventh attempt, more are drawn."""
MOST_RESAMPLES = 1_000_000
"""And never more than these, which a level of 3e-6 needs, as of the hundredth attempt: minutes would become hours."""
Records = Sequence[tuple["Sample", tuple["Reply", ...]]]


def proportion(
    rows: NDArray[np.float64], groups: NDArray[np.int64], alpha: float, null: float | None,
    calibration: Calibration | None = None,
) -> Interval:  # fmt: skip
    """Return the interval of one proportion from rows (0|1, 1), shape (n, 2); given a calibration, corrected for it."""
    effective = effective_size(rows[:, 0], groups, alpha)
    share = float(rows[:, 0].mean()) if len(rows) else 0.0
    # Whole counts where samples are independent: the product would miss them by a rounding error.
    events = share * effective.n if effective.clustered else float(rows[:, 0].sum())
    if calibration is not None:
        return replace(corrected_interval(events, effective.n, calibration, alpha, null=null), note=effective.note)
    return replace(clopper_pearson(events, effective.n, alpha, null=null), note=effective.note)


def proportion_difference(
    candidate: NDArray[np.float64], baseline: NDArray[np.float64], groups: NDArray[np.int64], alpha: float, null: float
) -> Interval:
    """Return the interval of the difference of two proportions from paired rows (0|1, 1), each of shape (n, 2)."""
    changes = candidate[:, 0] - baseline[:, 0]
    effective = effective_size(changes, groups, alpha)
    scale = effective.n / len(changes) if effective.clustered else 1.0
    gains, losses = float(np.count_nonzero(changes > 0)), float(np.count_nonzero(changes < 0))
    found = paired_difference(gains * scale, losses * scale, effective.n, alpha, null=null)
    return replace(found, note=effective.note)


def weighted(
    metric: Metric, rows: NDArray[np.float64], groups: NDArray[np.int64], alpha: float, null: float | None, seed: int,
    resamples: int, *, filled: bool = False,
) -> Interval:  # fmt: skip
    """Return the interval of a mean or ratio from rows of shape (n, k): BCa over clusters.

    For weighted means of bounded scores, made as wide as scores that were not seen ask for: see `harness.stats.unseen`,
    also for `filled`.
    """
    units, bounds = by_group(rows, groups), bounds_of(metric)
    if not is_weighted_mean(metric):
        return _alone(units, _row_numbers(units), metric.estimate, alpha, null, seed, resamples, strict=False).within(
            bounds
        )
    used = units[units[:, 1] > 0]
    if not len(used):
        return _NO_WEIGHT.within(bounds)
    values = used[:, 0] / used[:, 1]
    found = _alone(units, values, metric.estimate, alpha, null, seed, resamples, strict=False)
    if bounds is None:
        return found
    return _wide(found, Weighed.of(rows), groups, bounds, alpha, null, filled=filled)


def weighted_difference(
    metric: Metric, candidate: NDArray[np.float64], baseline: NDArray[np.float64], groups: NDArray[np.int64],
    alpha: float, null: float, seed: int, resamples: int, *, filled: bool = False,
) -> Interval:  # fmt: skip
    """Return the interval of the difference of two means or ratios from paired rows: BCa, one resample for both.

    For weighted means of bounded scores as in `weighted`, of linearised differences where the arms' weights differ.
    """
    k = candidate.shape[1]
    units = by_group(np.hstack([candidate, baseline]), groups)
    bounds = bounds_of(metric)
    reach = None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0])

    def difference(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return metric.estimate(sums[..., :k]) - metric.estimate(sums[..., k:])

    if not is_weighted_mean(metric):
        numbers = _row_numbers(units[:, :k] - units[:, k:])
        return _alone(units, numbers, difference, alpha, null, seed, resamples, strict=True).within(reach)
    used = units[(units[:, 1] > 0) & (units[:, k + 1] > 0)]
    if not len(used):
        return replace(_NO_WEIGHT, note="no sample has weight in both runs").within(reach)
    values = used[:, 0] / used[:, 1] - used[:, k] / used[:, k + 1]
    found = _alone(units, values, difference, alpha, null, seed, resamples, strict=True)
    if reach is None:
        return found
    return _wide(found, linearised(candidate, baseline), groups, reach, alpha, null, filled=filled)


_NO_WEIGHT = Interval(low=None, high=None, method="none", note="no sample has any weight")


def _wide(
    found: Interval, weighed: Weighed, groups: NDArray[np.int64], bounds: tuple[float, float], alpha: float,
    null: float | None, *, filled: bool,
) -> Interval:  # fmt: skip
    """Return what a bootstrap found, or the note that says why there is none, with what may not have been seen."""
    boot = None if found.method == "none" else found
    whole = with_unseen(boot, weighed, groups, bounds, alpha, null, filled=filled)
    return replace(whole, note=found.note).within(bounds)


def corpus(
    metric: Metric, records: Records, groups: NDArray[np.int64], alpha: float, null: float | None, seed: int
) -> tuple[float, Interval]:
    """Return the value and interval of a set-like statistic: the delete-a-group jackknife."""
    value, left_out = _leave_out(metric, records, groups, seed)
    return value, jackknife(value, left_out, alpha, null=null).within(bounds_of(metric))


def corpus_difference(
    metric: Metric,
    candidate: Records,
    baseline: Records,
    groups: NDArray[np.int64],
    alpha: float,
    null: float,
    seed: int,
) -> tuple[float, float, Interval]:
    """Return both values and the interval of their difference; the same samples are left out in both."""
    first, first_out = _leave_out(metric, candidate, groups, seed)
    second, second_out = _leave_out(metric, baseline, groups, seed)
    bounds = bounds_of(metric)
    reach = None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0])
    found = jackknife(first - second, first_out - second_out, alpha, null=null)
    return first, second, found.within(reach)


def _leave_out(
    metric: Metric, records: Records, groups: NDArray[np.int64], seed: int
) -> tuple[float, NDArray[np.float64]]:
    everything = np.arange(len(records), dtype=np.int64)
    dealt = deal(groups, seed)
    left_out = [metric.resample(records, everything[dealt != group]) for group in range(int(dealt.max()) + 1)]
    return float(metric.resample(records, everything)), np.array(left_out, dtype=np.float64)


def _row_numbers(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a number for each distinct row: rows of other forms than a weighted mean have no value of their own."""
    numbers = np.unique(rows, axis=0, return_inverse=True)[1]
    return numbers.reshape(-1).astype(np.float64)


def _alone(
    units: NDArray[np.float64], values: NDArray[np.float64],
    estimate: Callable[[NDArray[np.float64]], NDArray[np.float64]], alpha: float, null: float | None, seed: int,
    resamples: int, *, strict: bool,
) -> Interval:  # fmt: skip
    """Return the bootstrap's interval, or none where too few units differ."""
    count = different(values)[0]
    if count < FEWEST_DIFFERENT:
        note = f"{count} of {len(values)} differ, too few for a bootstrap"
        return Interval(low=None, high=None, method="none", note=note)
    return _bootstrap(units, estimate, alpha, null, seed, resamples, strict=strict)


def _bootstrap(
    units: NDArray[np.float64], estimate: Callable[[NDArray[np.float64]], NDArray[np.float64]], alpha: float,
    null: float | None, seed: int, resamples: int, *, strict: bool,
) -> Interval:  # fmt: skip
    total = units.sum(axis=0)
    resamples = max(resamples, min(MOST_RESAMPLES, math.ceil(BEYOND / alpha)))
    drawn = f"{resamples:,} resamples"
    if len(units) > MOST_UNITS:
        units = by_group(units, deal(np.arange(len(units), dtype=np.int64), seed, MOST_UNITS))
        drawn += f" of {MOST_UNITS:,} random groups"
    with np.errstate(all="ignore"):
        value = float(estimate(total))
        left_out = estimate(total - units)
        values = estimate(resampled_sums(units, resamples, seed))
    values = np.where(np.isfinite(values), values, np.nan)
    if not math.isfinite(value) or np.isnan(values).all():
        return Interval(low=None, high=None, method="none", note="the value is not defined on these samples")
    found = bca(Resampled(value=value, values=values, left_out=left_out), alpha, null=null, strict=strict)
    note = ""
    if found.low is None or found.high is None:
        note = f"{len(units):,} samples are too few, or too uneven, for a bootstrap bound at the level {alpha:.3g}"
    return replace(found, method=f"BCa bootstrap ({drawn})", note=note)
