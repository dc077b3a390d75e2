"""Too few samples that differ for a bootstrap.

A bootstrap of equal values has no width, and of nearly equal values too little: it cannot know of what it has not
seen. For bounded scores other bounds take its place (`harness.stats.unseen`); elsewhere there are none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

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
