"""One measurement of the very run, such as seconds per reply: a value without an interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.api.stats import Inference, Interval, Sampled
from harness_statistics.summed import SummedKind

if TYPE_CHECKING:
    from harness.api import Metric


class Run(SummedKind):
    """What `Metric.measure` returns."""

    name = "run"
    row = "a tuple of numbers"
    per_sample = False
    summed = False

    def _interval(self, metric: Metric, data: Sampled, how: Inference, value: float) -> tuple[float, Interval]:  # noqa: ARG002
        note = "this very run, without an interval"
        return value, Interval(low=None, high=None, method="one measurement", note=note)

    def _difference(self, metric: Metric, first: Sampled, second: Sampled, how: Inference) -> Interval:  # noqa: ARG002
        return Interval(low=None, high=None, method="one measurement each")
