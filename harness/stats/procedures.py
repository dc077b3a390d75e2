"""The procedure of each kind of metric, on rows in which nothing is missing: for one run, and for two runs paired."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from harness.stats.bootstrap import Resampled, bca, resampled_sums
from harness.stats.bounded import FEWEST_CARRIERS, bounded_mean, carriers, never_seen
from harness.stats.few import FEWEST_DIFFERENT, different, few_different
from harness.stats.interval import Interval
from harness.stats.jackknife import deal, jackknife
from harness.stats.misclassified import corrected_interval
from harness.stats.paired import paired_difference
from harness.stats.proportion import clopper_pearson, effective_size
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
    resamples: int,
) -> Interval:  # fmt: skip
    """Return the interval of a mean or ratio from rows of shape (n, k): BCa over clusters.

    For a weighted mean of bounded scores, the farther of that and a bound that reckons with scores not seen.
    """
    units = _by_group(rows, groups)
    bounds = bounds_of(metric)
    if is_weighted_mean(metric):
        used = units[units[:, 1] > 0]
        values, shares = used[:, 0] / used[:, 1], used[:, 1]
    else:
        values, shares = _row_numbers(units), None
    if too_few := _too_few(values, shares, bounds, alpha, null):
        return too_few
    found = _bootstrap(units, metric.estimate, alpha, null, seed, resamples, strict=False)
    if shares is not None and bounds is not None:
        found = _unseen(found, rows[:, 0], rows[:, 1], groups, bounds, alpha, null)
    return found.within(bounds)


def weighted_difference(
    metric: Metric, candidate: NDArray[np.float64], baseline: NDArray[np.float64], groups: NDArray[np.int64],
    alpha: float, null: float, seed: int, resamples: int,
) -> Interval:  # fmt: skip
    """Return the interval of the difference of two means or ratios from paired rows: BCa, one resample for both.

    For weighted means of bounded scores, the farther of that and a bound that reckons with scores not seen, of
    linearised differences where the weights of the arms differ.
    """
    k = candidate.shape[1]
    units = _by_group(np.hstack([candidate, baseline]), groups)
    bounds = bounds_of(metric)
    reach = None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0])
    if is_weighted_mean(metric):
        used = units[(units[:, 1] > 0) & (units[:, k + 1] > 0)]
        values = used[:, 0] / used[:, 1] - used[:, k] / used[:, k + 1]
        shares = np.maximum(
            used[:, 1] / max(used[:, 1].sum(), 1e-300), used[:, k + 1] / max(used[:, k + 1].sum(), 1e-300)
        )
    else:
        values, shares = _row_numbers(units[:, :k] - units[:, k:]), None
    if too_few := _too_few(values, shares, reach, alpha, null):
        return too_few

    def difference(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return metric.estimate(sums[..., :k]) - metric.estimate(sums[..., k:])

    found = _bootstrap(units, difference, alpha, null, seed, resamples, strict=True)
    if shares is not None and reach is not None:
        found = _unseen(found, *_linearised(candidate, baseline), groups, reach, alpha, null)
    return found.within(reach)


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


def _by_group(rows: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sums of rows within each cluster, shape (clusters, k)."""
    return np.column_stack([np.bincount(groups, weights=column) for column in rows.T])


def _row_numbers(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a number for each distinct row: rows of other forms than a weighted mean have no value of their own."""
    numbers = np.unique(rows, axis=0, return_inverse=True)[1]
    return numbers.reshape(-1).astype(np.float64)


def _too_few(
    values: NDArray[np.float64], shares: NDArray[np.float64] | None, bounds: tuple[float, float] | None,
    alpha: float, null: float | None,
) -> Interval | None:  # fmt: skip
    """Return the interval to use instead of a bootstrap where too few units differ; None where enough do."""
    if not len(values):
        return Interval(low=None, high=None, method="none", note="no sample has any weight").within(bounds)
    if different(values)[0] >= FEWEST_DIFFERENT:
        return None
    if shares is None:
        return few_different(values, np.ones(len(values)), None, alpha).within(bounds)
    return few_different(values, shares, bounds, alpha, null=null).within(bounds)


def _unseen(
    found: Interval, sums: NDArray[np.float64], weights: NDArray[np.float64], groups: NDArray[np.int64],
    bounds: tuple[float, float], alpha: float, null: float | None,
) -> Interval:  # fmt: skip
    """Return a bootstrap's interval, made as wide as what it may not have seen asks for.

    Clusters are weighed whole, and a score that was not seen weighs as one of so many independent samples as the
    clustered ones are worth.
    """
    if found.method == "none":
        return found
    value = float(sums.sum() / weights.sum())
    units = _by_group(np.column_stack([sums, weights]), groups)
    carried_by = carriers(units[:, 0] - value * units[:, 1])
    weighs = weights > 0.0
    alike = np.unique(groups[weighs], return_inverse=True)[1].reshape(-1).astype(np.int64)
    worth = effective_size((sums - value * weights)[weighs], alike, alpha).n
    if carried_by >= FEWEST_CARRIERS:
        bound = never_seen(value, worth, bounds, alpha, null=null)
    else:
        added = float(weights.sum()) / worth
        bound = bounded_mean(units[:, 0], units[:, 1], bounds, alpha, added=added, null=null)
    wide = replace(found.hull(bound), carriers=carried_by)
    if (wide.low, wide.high) == (found.low, found.high):
        return wide
    return replace(wide, method=f"the farther of {found.method} and {bound.method}")


def _linearised(
    candidate: NDArray[np.float64], baseline: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a difference of two weighted means as one: weight times score, and weight, each of shape (n,).

    Exact where the weights of the arms are equal; elsewhere to first order (W. G. Cochran, Sampling Techniques, 1977,
    section 6.3).
    """
    first, second = candidate[:, 1] / candidate[:, 1].mean(), baseline[:, 1] / baseline[:, 1].mean()
    left, right = candidate[:, 0] / candidate[:, 1].mean(), baseline[:, 0] / baseline[:, 1].mean()
    weights = 0.5 * (first + second)
    own, its = left.mean(), right.mean()
    return (left - own * first) - (right - its * second) + (own - its) * weights, weights


def _bootstrap(
    units: NDArray[np.float64], estimate: Callable[[NDArray[np.float64]], NDArray[np.float64]], alpha: float,
    null: float | None, seed: int, resamples: int, *, strict: bool,
) -> Interval:  # fmt: skip
    total = units.sum(axis=0)
    resamples = max(resamples, min(MOST_RESAMPLES, math.ceil(BEYOND / alpha)))
    drawn = f"{resamples:,} resamples"
    if len(units) > MOST_UNITS:
        units = _by_group(units, deal(np.arange(len(units), dtype=np.int64), seed, MOST_UNITS))
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
