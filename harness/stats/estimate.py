"""The estimate of a metric on a run, as run records keep it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.stats.assess import assess
from harness.stats.interval import RESAMPLES

if TYPE_CHECKING:
    from harness.stats.table import MetricTable
    from harness.types import Estimate


def estimate(table: MetricTable, *, confidence: float = 0.90, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Return value and interval by the one procedure of the metric's kind.

    Args:
        table: the metric's rows on a run.
        confidence: two-sided, in (0, 1): 0.90 makes each bound a one-sided 95 % bound.
        seed: of the resampling.
        resamples: how many, where the procedure resamples.

    Returns:
        `value`, `low` and `high` are of the scored samples; `worst_case` of all, with the unscored ones at either end
        of the metric's bounds. All three are None where nothing was scored.
    """
    return assess(table, alpha=(1 - confidence) / 2, seed=seed, resamples=resamples).estimate
