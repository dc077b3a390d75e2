"""What the statistics, the gates and the tables need to know of a kind of metric."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from harness.contracts import Metric
from harness.plugin_code import broken
from harness.stats.interval import Inference, Interval
from harness.types import NotApplicable, Reply, Row, Sample, Unscored

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_DIFFERENT = 10
"""A bootstrap needs at least so many samples (or clusters) that differ from the commonest value: one of equal values
has no width, and one of nearly equal values too little, since it cannot know of what it has not seen."""
Bounds = tuple[float, float] | None
Records = Sequence[tuple[Sample, tuple[Reply, ...]]]
Values = tuple[float | None, float | None]
"""Of candidate and baseline."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sampled:
    """What a procedure works on: some samples of which nothing is missing."""

    rows: NDArray[np.float64]
    """Shape (n, k)."""
    groups: NDArray[np.int64]
    """Cluster number of each sample, from 0 without gaps, shape (n,)."""
    records: Records = ()
    """For kinds that read them: each sample with its replies."""


class MetricKind(ABC):
    """One kind of metric."""

    name: str
    row: str
    """What a sample's row is, for the errors of plugins."""
    width: int | None = None
    """Numbers in a row; None where the metric decides."""
    shares = False
    """Whether values are shares of the samples: written in percent, planned by counts."""
    per_sample = True
    """False for what is measured once per run, without rows."""
    reads_records = False
    """Whether it is about all texts at once, so that samples and replies must stay in memory."""
    summed = True
    """Whether values are a function of the rows' weighted sum, so that runs can be drawn from stored rows."""

    fewest = FEWEST_DIFFERENT + 1
    """Samples without which there is no interval, where no exact bound says more."""

    def bounds(self, metric: Metric) -> Bounds:
        """Return the metric's least and greatest value; None where it has none."""
        return metric.bounds

    def fewest_of(self, metric: Metric, alpha: float) -> int:  # noqa: ARG002
        """Return the samples without which there is no interval of this metric at the level `alpha`."""
        return self.fewest

    def is_weighted_mean(self, metric: Metric) -> bool:
        """Tell whether the value is the sum of the rows' first column over that of their second."""
        return self.summed and type(metric).estimate is Metric.estimate

    def score_range(self, metric: Metric) -> Bounds:
        """Return the range of the scores where bounds reckon with scores that were not seen; None elsewhere."""
        return self.bounds(metric) if self.is_weighted_mean(metric) else None

    def row_problem(self, metric: Metric, row: Row) -> str:  # noqa: ARG002 - for those that override it
        """Return what a row should have been; empty where it is right. Its numbers are finite, and as many as asked."""
        return ""

    def missing_weight(self, known: NDArray[np.float64]) -> float | None:  # noqa: ARG002
        """Return the weight that an unscored sample counts with; None where the scored rows cannot tell."""
        return 1.0

    def changes(self, first: Sampled, second: Sampled) -> tuple[int | None, int | None]:  # noqa: ARG002
        """Return how many pairs have the event in the first alone, and in the second alone; None without events."""
        return None, None

    def check_row(self, metric: Metric, sample: str, given: object) -> Row | Unscored | NotApplicable:
        """Return a metric's row for a sample as floats; what is not finite is Unscored.

        Raises:
            PluginError: when the row is not what the kind asks for.
        """
        if isinstance(given, Unscored | NotApplicable):
            return given
        what = f"the metric {metric.name!r} on the sample {sample!r}"
        if not isinstance(given, tuple) or not given or not all(isinstance(number, Real) for number in given):
            raise broken(what, given, self.wanted, metric)
        try:
            row = tuple(float(number) for number in given)
        except OverflowError:
            return Unscored(reason=f"the metric {metric.name} gave a number beyond what a float holds")
        if self.width is not None and len(row) != self.width:
            raise broken(what, given, self.wanted, metric)
        if not all(math.isfinite(number) for number in row):
            return Unscored(reason=f"the metric {metric.name} gave {given!r}, which is not finite")
        if problem := self.row_problem(metric, row):
            raise broken(what, given, problem, metric)
        return row

    @property
    def wanted(self) -> str:
        """Say what a row is."""
        return f"a row of kind {self.name} is {self.row}, and what could not be scored is Unscored(reason=...)"

    @abstractmethod
    def interval(self, metric: Metric, data: Sampled, how: Inference) -> tuple[float | None, Interval]:
        """Return the value and its interval."""

    @abstractmethod
    def difference(self, metric: Metric, first: Sampled, second: Sampled, how: Inference) -> tuple[Values, Interval]:
        """Return both values and the interval of their difference, on the same samples in the same order."""
