"""The kinds of metric, by name.

Each is one file of `plugins/harness_statistics`: what a row is, its interval, and how its values are written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import unknown_name
from harness.registry import Known

if TYPE_CHECKING:
    from harness.contracts import Metric
    from harness.stats.kind import Bounds, MetricKind
    from harness.types import Estimate

KINDS: Known[MetricKind] = Known("metric_kinds")


def kind_of(measured: Metric | Estimate) -> MetricKind:
    """Return the kind of a metric, or of its estimate.

    Raises:
        InputError: for a kind that there is not, as in a run of a later version.
    """
    if measured.kind not in KINDS:
        raise unknown_name("kind of metric", measured.kind, KINDS)
    return KINDS[measured.kind]


def bounds_of(metric: Metric) -> Bounds:
    """Return the metric's least and greatest value; None where it has none."""
    return kind_of(metric).bounds(metric)


def is_weighted_mean(metric: Metric) -> bool:
    """Tell whether the value is the sum of the rows' first column over that of their second."""
    return kind_of(metric).is_weighted_mean(metric)


def score_range(metric: Metric) -> Bounds:
    """Return the range of the scores where bounds reckon with scores that were not seen; None elsewhere."""
    return kind_of(metric).score_range(metric)
