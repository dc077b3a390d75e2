"""How far a metric moves when the same samples are computed another way, and how far a difference of two arms does.

The rows of both ways pair sample by sample, so the procedures of `harness.api.stats.compare` serve: no change among k
samples is not no change, but a share of at most 1 - alpha^(1/k) (Clopper and Pearson).

For a difference of two arms both arms move, and what counts is the shift of the difference on the same samples:
(candidate - baseline) as computed, minus (candidate - baseline) in the reference. Arms that move alike cancel, which
the sum of two separate bounds could not show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.api import Metric, NotApplicable, Reply, Sample, Unscored
from harness.api.stats import Comparison, MetricTable, Scored, compare, metric_kind, reach_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def shift(run: MetricTable, reference: MetricTable, *, alpha: float, seed: int = 0) -> Comparison:
    """Return the shift of a metric's value: the run's minus the reference's, on the same samples."""
    return compare(run, reference, alpha=alpha, seed=seed)


def shift_of_difference(
    run: tuple[MetricTable, MetricTable], reference: tuple[MetricTable, MetricTable], *, alpha: float, seed: int = 0
) -> Comparison:
    """Return the shift of the difference between two arms.

    Args:
        run: candidate and baseline as the run computed them.
        reference: candidate and baseline in the reference; all four tables hold the same samples in the same order.
        alpha: one-sided level of each bound.
        seed: of the resampling.
    """
    return compare(_differences(*run), _differences(*reference), alpha=alpha, seed=seed)


class _MeanDifference(Metric):
    """Candidate minus baseline of a proportion or mean, as a mean of its own: rows (difference, 1)."""

    kind = "mean"

    def __init__(self, metric: Metric) -> None:
        self.name, self.bounds = metric.name, reach_of(metric_kind(metric).bounds(metric))


class _SideBySide(Metric):
    """Candidate minus baseline of any other statistic, from the rows or replies of both arms side by side."""

    def __init__(self, metric: Metric) -> None:
        self.name, self._metric = metric.name, metric
        self.kind = metric.kind if metric_kind(metric).reads_records else "ratio"

    def estimate(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the difference of both arms' values; the two rows have the same length."""
        k = sums.shape[-1] // 2
        difference: NDArray[np.float64] = self._metric.estimate(sums[..., :k]) - self._metric.estimate(sums[..., k:])
        return difference

    def resample(self, records: Sequence[tuple[Sample, tuple[Reply, ...]]], indices: NDArray[np.int64]) -> float:
        """Return the difference of both arms' values on the records at `indices`."""
        first = [(sample, replies[: len(replies) // 2]) for sample, replies in records]
        second = [(sample, replies[len(replies) // 2 :]) for sample, replies in records]
        return self._metric.resample(first, indices) - self._metric.resample(second, indices)


def _differences(candidate: MetricTable, baseline: MetricTable) -> MetricTable:
    metric, kind = candidate.metric, metric_kind(candidate.metric)
    mean = kind.width is not None and kind.is_weighted_mean(metric)
    records = None
    if candidate.records is not None:
        pairs = zip(candidate.records, baseline.records or (), strict=True)
        records = tuple((sample, (*first, *second)) for (sample, first), (_, second) in pairs)

    def row(first: Scored, second: Scored) -> Scored:
        if isinstance(first, NotApplicable) and isinstance(second, NotApplicable):
            return first
        if not isinstance(first, tuple) or not isinstance(second, tuple):
            return Unscored(reason="one of the two arms has no score")
        return (first[0] / first[1] - second[0] / second[1], 1.0) if mean else (*first, *second)

    return MetricTable(
        metric=_MeanDifference(metric) if mean else _SideBySide(metric), ids=candidate.ids,
        content_hashes=candidate.content_hashes, clusters=candidate.clusters, records=records,
        rows=tuple(row(*rows) for rows in zip(candidate.rows, baseline.rows, strict=True)),
    )  # fmt: skip
