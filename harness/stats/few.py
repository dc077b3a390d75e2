"""Too few samples that differ for a bootstrap: bounds that hold whatever the distribution.

A bootstrap of equal values has no width, and of nearly equal values too little: it cannot know of what it has not
seen. But if e of n samples differ from the commonest value, the share that differs in truth is at most Clopper and
Pearson's upper bound of e in n, and a sample that differs can differ only as far as the metric's bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.stats.interval import Interval
from harness.stats.proportion import clopper_pearson

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_DIFFERENT = 10
"""A bootstrap needs at least so many samples (or clusters) that differ from the commonest value."""


def different(values: NDArray[np.float64]) -> tuple[int, float]:
    """Return how many of `values`, shape (n,), differ from the commonest one, and that one.

    Values that agree to 12 digits of the largest are equal: division leaves the last digits to chance.
    """
    scale = float(np.abs(values).max()) or 1.0
    _, first, counts = np.unique(np.round(values / scale, 12), return_index=True, return_counts=True)
    most = int(counts.argmax())
    return len(values) - int(counts[most]), float(values[first[most]])


def few_different(
    values: NDArray[np.float64], shares: NDArray[np.float64], bounds: tuple[float, float] | None, alpha: float,
    *, null: float | None = None,
) -> Interval:  # fmt: skip
    """Return bounds of the weighted mean of `values` that need no shape of their distribution.

    Args:
        values: one per sample or cluster, shape (n,).
        shares: the weight of each, positive, shape (n,): the share that differs counts with the heaviest weight.
        bounds: least and greatest possible value; None gives no bounds at all.
        alpha: one-sided level.
        null: the value to test against.
    """
    count, common = different(values)
    note = f"{count} of {len(values)} differ, too few for a bootstrap"
    if bounds is None:
        return Interval(low=None, high=None, method="none", note=note)
    heaviest = float(shares.max() / shares.mean())

    def bound(share: float, end: float) -> float:
        return common + min(1.0, share * heaviest) * (end - common)

    def p(end: float, *, beyond: bool) -> float:
        """The level at which the bound towards `end` would meet `null`."""
        if null is None or beyond:
            return 0.0
        share = (null - common) / (end - common) / heaviest if end != common else 0.0
        return 1.0 if share <= 0 else clopper_pearson(count, len(values), alpha, null=min(share, 1.0)).p_below or 0.0

    most = clopper_pearson(count, len(values), alpha).high or 0.0
    return Interval(
        low=bound(most, bounds[0]), high=bound(most, bounds[1]),
        p_above=None if null is None else p(bounds[0], beyond=null < bounds[0]),
        p_below=None if null is None else p(bounds[1], beyond=null > bounds[1]),
        method="exact bound on the share that differs", note=note,
    )  # fmt: skip
