"""A share of the samples: rows (1 or 0, 1), exact intervals of counts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from harness.api.stats import (
    Bounds,
    Sampled,
    clopper_pearson,
    corrected_interval,
    effective_size,
    paired_difference,
    rogan_gladen,
)
from harness_statistics.summed import SummedKind

if TYPE_CHECKING:
    from harness.api import Metric, Row
    from harness.api.stats import Inference, Interval


class Proportion(SummedKind):
    """Clopper and Pearson's interval; of differences Tango's, with the exact McNemar test at zero."""

    name = "proportion"
    row = "(1 or 0, 1)"
    width = 2
    shares = True

    def bounds(self, metric: Metric) -> Bounds:  # noqa: ARG002
        """Return [0, 1], which a proportion has without saying so."""
        return 0.0, 1.0

    def score_range(self, metric: Metric) -> Bounds:  # noqa: ARG002
        """Return None: the exact interval reckons with events that were not seen by itself."""
        return None

    def row_problem(self, metric: Metric, row: Row) -> str:  # noqa: ARG002
        """Return what a row should have been."""
        return "" if row[0] in {0.0, 1.0} and row[1] == 1.0 else self.wanted

    def changes(self, first: Sampled, second: Sampled) -> tuple[int | None, int | None]:
        """Return how many pairs have the event in the first alone, and in the second alone."""
        changes = first.rows[:, 0] - second.rows[:, 0]
        return int(np.count_nonzero(changes > 0)), int(np.count_nonzero(changes < 0))

    def _interval(self, metric: Metric, data: Sampled, how: Inference, value: float) -> tuple[float, Interval]:
        events = data.rows[:, 0]
        effective = effective_size(events, data.groups, how.alpha)
        # Whole counts where samples are independent: the product would miss them by a rounding error.
        count = float(events.mean()) * effective.n if effective.clustered else float(events.sum())
        calibration = metric.calibration if how.corrected else None
        if calibration is None:
            found = clopper_pearson(count, effective.n, how.alpha, null=how.null)
        else:
            value = rogan_gladen(value, calibration)
            found = corrected_interval(count, effective.n, calibration, how.alpha, null=how.null)
        return value, replace(found, note=effective.note)

    def _difference(self, metric: Metric, first: Sampled, second: Sampled, how: Inference) -> Interval:  # noqa: ARG002
        effective = effective_size(first.rows[:, 0] - second.rows[:, 0], first.groups, how.alpha)
        scale = effective.n / len(first.rows) if effective.clustered else 1.0
        gains, losses = self.changes(first, second)
        found = paired_difference(
            float(gains or 0) * scale, float(losses or 0) * scale, effective.n, how.alpha, null=how.null or 0.0
        )
        return replace(found, note=effective.note)
