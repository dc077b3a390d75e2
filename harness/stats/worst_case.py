"""What an unscored sample could have been: the least and the greatest that the metric can give.

C. F. Manski, Partial Identification of Probability Distributions (2003), ch. 1: without assuming why a value is
missing, only the bounds of the value bound what it does to a mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from harness.contracts import Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.stats.table import MetricTable

End = Literal["least", "greatest"]


def bounds_of(metric: Metric) -> tuple[float, float] | None:
    """Return the metric's least and greatest value; a proportion has [0, 1] without saying so."""
    return (0.0, 1.0) if metric.kind == "proportion" else metric.bounds


def is_weighted_mean(metric: Metric) -> bool:
    """Whether the metric is the sum of its rows' first column over that of their second, and not of another form."""
    return metric.kind in {"proportion", "mean", "ratio"} and type(metric).estimate is Metric.estimate


def score_range(metric: Metric) -> tuple[float, float] | None:
    """Return the range of a mean's scores where its bounds reckon with scores that were not seen; None elsewhere."""
    return bounds_of(metric) if metric.kind in {"mean", "ratio"} and is_weighted_mean(metric) else None


def fill(table: MetricTable, at: NDArray[np.int64], end: End) -> NDArray[np.float64] | None:
    """Return the rows at positions `at`, shape (len(at), k), with the unscored ones at the `end` of the bounds.

    An unscored sample of a ratio counts with the weight of the heaviest scored one.

    Returns:
        None where no row can stand for the worst: the metric is unbounded, or not a weighted mean, or a ratio of which
        nothing was scored.
    """
    bounds = bounds_of(table.metric)
    missing = ~table.is_scored[at]
    if not missing.any():
        return table.values(at)
    if bounds is None or not is_weighted_mean(table.metric):
        return None
    known = table.values(at[~missing])
    if table.metric.kind != "ratio":
        weight = 1.0
    elif len(known):
        weight = float(known[:, 1].max())
    else:
        return None
    rows = np.empty((len(at), 2), dtype=np.float64)
    if len(known):
        rows[~missing] = known
    rows[missing] = (bounds[0 if end == "least" else 1] * weight, weight)
    return rows
