"""A set-like statistic of all texts at once, such as distinct-n: intervals by the delete-a-group jackknife."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from harness.api.stats import MetricKind, Sampled, Values, reach_of
from harness_statistics.jackknife import deal, jackknife

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.api import Metric
    from harness.api.stats import Inference, Interval


class Corpus(MetricKind):
    """What `Metric.resample` returns on the records; the same samples are left out in both arms of a comparison."""

    name = "corpus"
    row = "a tuple of the numbers that resample reads"
    reads_records = True
    summed = False
    fewest = 2

    def interval(self, metric: Metric, data: Sampled, how: Inference) -> tuple[float | None, Interval]:
        """Return the value and its interval."""
        value, left_out = _leave_out(metric, data, how.seed)
        return _defined(value), jackknife(value, left_out, how.alpha, null=how.null).within(metric.bounds)

    def difference(self, metric: Metric, first: Sampled, second: Sampled, how: Inference) -> tuple[Values, Interval]:
        """Return both values and the interval of their difference."""
        own, own_out = _leave_out(metric, first, how.seed)
        its, its_out = _leave_out(metric, second, how.seed)
        found = jackknife(own - its, own_out - its_out, how.alpha, null=how.null)
        return (_defined(own), _defined(its)), found.within(reach_of(metric.bounds))


def _leave_out(metric: Metric, data: Sampled, seed: int) -> tuple[float, NDArray[np.float64]]:
    records = data.records
    everything = np.arange(len(records), dtype=np.int64)
    dealt = deal(data.groups, seed)
    left_out = [metric.resample(records, everything[dealt != group]) for group in range(int(dealt.max()) + 1)]
    return float(metric.resample(records, everything)), np.array(left_out, dtype=np.float64)


def _defined(value: float) -> float | None:
    return value if math.isfinite(value) else None
