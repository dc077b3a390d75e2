"""How well scores rank one group below another."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence


def auc(benign: Sequence[float | None], failing: Sequence[float | None]) -> float | None:
    """Return the share of (benign, failing) pairs in which the benign one scores higher, ties counting half.

    What is None is left out; None where one side has nothing left.
    """
    above = [score for score in benign if score is not None]
    below = sorted(score for score in failing if score is not None)
    if not above or not below:
        return None
    wins = sum((bisect_left(below, score) + bisect_right(below, score)) / 2 for score in above)
    return wins / (len(above) * len(below))
