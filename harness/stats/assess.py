"""One metric on one run: its estimate, its worst case, and the p values of a test against a limit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from harness.stats.interval import RESAMPLES, Inference, Interval
from harness.stats.kinds import kind_of
from harness.stats.proportion import FEWEST_CLUSTERS, effective_clusters
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
    metric, at, scored = table.metric, table.applicable, table.scored
    kind = kind_of(metric)
    how = Inference(alpha=alpha, null=null, seed=seed, resamples=resamples, corrected=corrected)
    if len(scored) == 0:
        value, found = None, Interval(low=None, high=None, method="none", note="nothing could be scored")
    else:
        value, found = kind.interval(metric, table.sampled(scored), how)
    worst, values = found, (value, value)
    if len(scored) < len(at):
        worst, values = _worst(table, found, value, how)
    unbounded = kind.bounds(metric) is None
    found_estimate = Estimate(
        metric=metric.name, kind=metric.kind, direction=metric.direction, value=value,
        low=found.low, high=found.high, n=table.n, unscored=table.unscored, not_applicable=table.not_applicable,
        confidence=round(1 - 2 * alpha, 12), method=found.method, unit=metric.unit, note=found.note,
        worst_case=None if unbounded or worst.low is None or worst.high is None else (worst.low, worst.high),
    )  # fmt: skip
    return Assessment(estimate=found_estimate, worst=worst, worst_values=values,
                      obstacle=_obstacle(table, value) or found.obstacle)  # fmt: skip


def _obstacle(table: MetricTable, value: float | None) -> str:
    if value is None:
        return "nothing could be scored" if table.n else "no sample is in the denominator"
    return cluster_obstacle(table.groups(table.applicable))


def cluster_obstacle(groups: NDArray[np.int64]) -> str:
    """Return why these clusters cannot decide a gate; empty where they can, or where each holds one sample."""
    sizes = np.unique(groups, return_counts=True)[1].astype(np.float64)
    worth = effective_clusters(sizes)
    if len(sizes) == len(groups) or worth >= FEWEST_CLUSTERS:
        return ""
    uneven = "" if len(sizes) < FEWEST_CLUSTERS else f" of such unequal sizes that they weigh as {worth:.0f}"
    return f"its {len(groups)} samples come in {len(sizes)} clusters{uneven}, and at least {FEWEST_CLUSTERS} are needed"


def _worst(
    table: MetricTable, found: Interval, value: float | None, how: Inference
) -> tuple[Interval, tuple[float | None, float | None]]:
    """Return the interval and the values with the unscored samples at either end of the bounds."""
    kind, at = kind_of(table.metric), table.applicable
    bounds = kind.bounds(table.metric)
    least, greatest = table.filled(at, "least"), table.filled(at, "greatest")
    if value is None or least is None or greatest is None:
        anything = Interval(low=None, high=None, method=found.method, note="unscored samples can be anything")
        return anything.within(bounds), bounds or (None, None)
    how = replace(how, filled=True)
    lowest, low = kind.interval(table.metric, table.sampled(at, least), how)
    highest, high = kind.interval(table.metric, table.sampled(at, greatest), how)
    # The scored samples' own counts too: one value that repeats can have a narrower interval.
    return found.hull(low).hull(high), (lowest, highest)


def estimate(table: MetricTable, *, confidence: float = 0.90, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Return value and interval of the scored samples, as run records keep them.

    Args:
        table: the metric's rows on a run.
        confidence: two-sided, in (0, 1): 0.90 makes each bound a one-sided 95 % bound.
        seed: of the resampling.
        resamples: how many, where the procedure resamples.
    """
    return assess(table, alpha=(1 - confidence) / 2, seed=seed, resamples=resamples).estimate
