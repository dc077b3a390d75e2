"""Keys and values of texts that were generated, kept for the next turn of their conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness_models.hf.planning import common

if TYPE_CHECKING:
    from harness_models.hf.slots import Slots

_SHORTEST = 16
"""A shorter common beginning is not worth a pass of its own."""
Key = tuple[str, ...]
"""Ids of the adapters: under others the same tokens have other keys and values."""


class Remembered:
    """The newest texts with their keys and values, within so many tokens.

    Args:
        most: tokens held at most; the least recently used texts go first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[tuple[Key, tuple[int, ...]], Slots] = {}
        """The most recently used last."""

    @property
    def tokens(self) -> int:
        """Tokens that there is room for, used or not."""
        return sum(slots.tokens for slots in self._kept.values())

    def add(self, key: Key, tokens: Sequence[int], slots: Slots, slot: int) -> None:
        """Keep what a slot holds of these tokens; a text that this one goes on from is dropped."""
        whole = tuple(tokens)
        if not _SHORTEST <= len(whole) <= self._most:
            return
        for other in [other for other in self._kept if other[0] == key and whole[: len(other[1])] == other[1]]:
            del self._kept[other]
        self._kept[key, whole] = slots.copied(slot, len(whole))
        while self.tokens > self._most:
            del self._kept[next(iter(self._kept))]

    def find(self, key: Key, prompt: Sequence[int]) -> tuple[int, Slots | None]:
        """Return how many leading tokens of the prompt are held, all but its last at most, and where; or 0 and None."""
        whole = tuple(prompt)
        best, found = 0, None
        for other in self._kept:
            if other[0] == key:
                length = min(common(whole, other[1]), len(whole) - 1)
                if length > best:
                    best, found = length, other
        if found is None or best < _SHORTEST:
            return 0, None
        self._kept[found] = self._kept.pop(found)
        return best, self._kept[found]

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
