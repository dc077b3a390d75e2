"""Where something is just enough, by halving."""

from __future__ import annotations

from collections.abc import Callable

MOST = 1_000_000
"""Where more samples than these would be needed, none are named."""


def halve(inside: float, outside: float, holds: Callable[[float], bool], steps: int = 60) -> tuple[float, float]:
    """Return two points around where a condition ceases to hold; 60 steps exhaust the precision of a float.

    Args:
        inside: where it holds.
        outside: where it does not.
        holds: the condition.
        steps: how often the distance is halved.
    """
    for _ in range(steps):
        middle = 0.5 * (inside + outside)
        inside, outside = (middle, outside) if holds(middle) else (inside, middle)
    return inside, outside


def smallest(enough: Callable[[int], bool]) -> int | None:
    """Return about the smallest number that is enough, by doubling and halving; None above `MOST`."""
    high = 1
    while not enough(high):
        if high >= MOST:
            return None
        high = min(2 * high, MOST)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
