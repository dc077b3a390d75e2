"""A mean over the samples: rows (value, 1), intervals by the bootstrap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.api.stats import Sampled
from harness_statistics.procedures import smallest_n, weighted, weighted_difference
from harness_statistics.summed import SummedKind

if TYPE_CHECKING:
    from harness.api import Metric, Row
    from harness.api.stats import Inference, Interval

_NEARLY = 1e-6
"""By how much rounding may carry a value out of its bounds."""


class Mean(SummedKind):
    """BCa; for bounded scores made as wide as scores that were not seen ask for."""

    name = "mean"
    row = "(value, 1)"
    width: int | None = 2

    def fewest_of(self, metric: Metric, alpha: float) -> int:
        """Return the samples without which there is no interval: more where nothing bounds a sample's value."""
        return max(self.fewest, smallest_n(alpha)) if metric.bounds is None else self.fewest

    def row_problem(self, metric: Metric, row: Row) -> str:
        """Return what a row should have been."""
        if row[1] != 1.0:  # a weight of 0 would drop the sample unseen
            return self.wanted
        if metric.bounds is None or metric.bounds[0] - _NEARLY <= row[0] <= metric.bounds[1] + _NEARLY:
            return ""
        return f"its bounds are ({metric.bounds[0]:g}, {metric.bounds[1]:g})"

    def _interval(self, metric: Metric, data: Sampled, how: Inference, value: float) -> tuple[float, Interval]:
        return value, weighted(metric, data.rows, data.groups, how)

    def _difference(self, metric: Metric, first: Sampled, second: Sampled, how: Inference) -> Interval:
        return weighted_difference(metric, first.rows, second.rows, first.groups, how)
