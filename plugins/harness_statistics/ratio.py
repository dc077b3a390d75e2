"""A ratio of two sums, or any function of summed rows, such as an F score: intervals by the bootstrap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness_statistics.mean import Mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from harness.api import Metric, Row


class Ratio(Mean):
    """As a mean, with a weight of its own for each sample."""

    name = "ratio"
    row = "(numerator, denominator)"
    width = None

    def row_problem(self, metric: Metric, row: Row) -> str:  # noqa: ARG002
        """Return nothing: any finite numbers are a row."""
        return ""

    def missing_weight(self, known: NDArray[np.float64]) -> float | None:
        """Return the weight of the heaviest scored sample."""
        return float(known[:, 1].max()) if len(known) else None
