"""Kinds of metric whose value is a function of the rows' sum."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from harness.api.stats import Inference, Interval, MetricKind, Sampled, Values

if TYPE_CHECKING:
    from harness.api import Metric


class SummedKind(MetricKind):
    """A kind whose value is a function of the rows' sum."""

    def interval(self, metric: Metric, data: Sampled, how: Inference) -> tuple[float | None, Interval]:
        """Return the value and its interval."""
        value = _estimate(metric, data)
        if value is None:
            return None, Interval(low=None, high=None, method="none", note="the value is not defined on these samples")
        return self._interval(metric, data, how, value)

    def difference(self, metric: Metric, first: Sampled, second: Sampled, how: Inference) -> tuple[Values, Interval]:
        """Return both values and the interval of their difference."""
        values = _estimate(metric, first), _estimate(metric, second)
        if None in values:
            return values, Interval(low=None, high=None, method="none", note="the value is not defined on these pairs")
        return values, self._difference(metric, first, second, how)

    @abstractmethod
    def _interval(self, metric: Metric, data: Sampled, how: Inference, value: float) -> tuple[float, Interval]: ...

    @abstractmethod
    def _difference(self, metric: Metric, first: Sampled, second: Sampled, how: Inference) -> Interval: ...


def _estimate(metric: Metric, data: Sampled) -> float | None:
    with np.errstate(all="ignore"):
        value = float(metric.estimate(data.rows.sum(axis=0)))
    return value if math.isfinite(value) else None
