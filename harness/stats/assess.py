"""One metric on one run: its estimate, its worst case, and the p values of a test against a limit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.stats.bootstrap import RESAMPLES
from harness.stats.interval import Interval
from harness.stats.misclassified import rogan_gladen
from harness.stats.procedures import corpus, proportion, weighted
from harness.stats.proportion import FEWEST_CLUSTERS
from harness.stats.worst_case import bounds_of, fill
from harness.types import Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.stats.table import MetricTable


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """What one procedure says of a metric on a run."""

    estimate: Estimate
    worst: Interval
    """Whatever the unscored samples were: what gates go by. Its p values are against the limit."""
    worst_values: tuple[float | None, float | None]
    """Least and greatest value that the unscored samples allow; None where they allow any."""
    obstacle: str = ""
    """Why nothing can be decided, whatever the interval; empty where there is no such reason."""


def assess(
    table: MetricTable, *, alpha: float = 0.05, null: float | None = None, seed: int = 0,
    resamples: int = RESAMPLES, corrected: bool = False,
) -> Assessment:  # fmt: skip
    """Assess a metric on a run.

    Args:
        table: the metric's rows.
        alpha: one-sided level of each bound.
        null: the limit to test against, in the metric's unit.
        seed: of the resampling.
        resamples: how many, where the procedure resamples.
        corrected: correct a proportion for its labeller's errors, which `metric.calibration` tells.
    """
    at, scored = table.applicable, table.scored
    bounds = bounds_of(table.metric)
    if len(scored) == 0:
        value, found = None, Interval(low=None, high=None, method="none", note="nothing could be scored")
    elif table.metric.kind == "run":
        value = float(table.values(scored)[0, 0])
        found = Interval(low=None, high=None, method="one measurement", note="this very run, without an interval")
    else:
        value, found = _procedure(
            table, scored, table.values(scored), alpha, null, seed, resamples, corrected=corrected
        )
    worst, values = found, (value, value)
    if len(scored) < len(at):
        worst, values = _worst(table, at, found, value, alpha, null, seed, resamples, corrected=corrected)
    estimate = Estimate(
        metric=table.metric.name, kind=table.metric.kind, direction=table.metric.direction, value=value,
        low=found.low, high=found.high, n=table.n, unscored=table.unscored, not_applicable=table.not_applicable,
        confidence=round(1 - 2 * alpha, 12), method=found.method, unit=table.metric.unit, note=found.note,
        worst_case=None if bounds is None or worst.low is None or worst.high is None else (worst.low, worst.high),
    )  # fmt: skip
    return Assessment(estimate=estimate, worst=worst, worst_values=values, obstacle=_obstacle(table, value))


def _obstacle(table: MetricTable, value: float | None) -> str:
    if value is None:
        return "nothing could be scored" if table.n else "no sample is in the denominator"
    return "" if table.metric.kind == "run" else cluster_obstacle(table.groups(table.applicable))


def cluster_obstacle(groups: NDArray[np.int64]) -> str:
    """Return why these clusters cannot decide a gate; empty where they can, or where each holds one sample."""
    clusters = len(np.unique(groups))
    if clusters == len(groups) or clusters >= FEWEST_CLUSTERS:
        return ""
    return f"its {len(groups)} samples come in {clusters} clusters, and at least {FEWEST_CLUSTERS} are needed"


def _procedure(
    table: MetricTable, at: NDArray[np.int64], rows: NDArray[np.float64], alpha: float, null: float | None, seed: int,
    resamples: int, *, corrected: bool, filled: bool = False,
) -> tuple[float | None, Interval]:  # fmt: skip
    """Return value and interval from the complete `rows` of the samples at `at`, of which some may be `filled` in."""
    metric, groups = table.metric, table.groups(at)
    if metric.kind == "corpus":
        records = table.records or ()
        exact, found = corpus(metric, [records[i] for i in at], groups, alpha, null, seed)
        return (exact if math.isfinite(exact) else None), found
    with np.errstate(all="ignore"):
        exact = float(metric.estimate(rows.sum(axis=0)))
    if not math.isfinite(exact):
        return None, Interval(low=None, high=None, method="none", note="the value is not defined on these samples")
    if metric.kind == "proportion":
        calibration = metric.calibration if corrected else None
        value = exact if calibration is None else rogan_gladen(exact, calibration)
        return value, proportion(rows, groups, alpha, null, calibration)
    return exact, weighted(metric, rows, groups, alpha, null, seed, resamples, filled=filled)


def _worst(
    table: MetricTable, at: NDArray[np.int64], found: Interval, value: float | None, alpha: float,
    null: float | None, seed: int, resamples: int, *, corrected: bool,
) -> tuple[Interval, tuple[float | None, float | None]]:  # fmt: skip
    """Return the interval and the values with the unscored samples at either end of the bounds."""
    bounds = bounds_of(table.metric)
    least, greatest = fill(table, at, "least"), fill(table, at, "greatest")
    if value is None or least is None or greatest is None:
        anything = Interval(low=None, high=None, method=found.method, note="unscored samples can be anything")
        return anything.within(bounds), bounds or (None, None)
    lowest, low = _procedure(table, at, least, alpha, null, seed, resamples, corrected=corrected, filled=True)
    highest, high = _procedure(table, at, greatest, alpha, null, seed, resamples, corrected=corrected, filled=True)
    # The scored samples' own counts too: one value that repeats can have a narrower interval.
    return found.hull(low).hull(high), (lowest, highest)
