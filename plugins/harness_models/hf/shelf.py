"""Room for the keys and values of rows of about one length: a slot of so many columns for each."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from harness_models.hf.pages import clear, gives_back, paged

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

_MADE = count()


@dataclass(eq=False)
class Shelf:
    """Slots of one width."""

    columns: int
    rows: int = 0
    """Slots that there is room for."""
    slots: list[int] = field(default_factory=list)
    """The slot at each place in use; these are always the first places."""
    ends: list[int] = field(default_factory=list)
    """Leading columns at each of these places that may hold states. No other was written, and none takes memory where
    pages do so when they are written."""
    room: dict[int, list[torch.Tensor]] = field(default_factory=dict)
    """Keys and values of each layer, (rows, heads, columns, size). They are zero where nothing was written, since a
    weight of zero does not hide NaN."""
    made: int = field(default_factory=lambda: next(_MADE))
    """Changes when its keys and values are moved."""

    @property
    def held(self) -> int:
        """Tokens of room that takes memory, or may."""
        parts = next(iter(self.room.values()), None)
        rows = len(self.slots) if parts is not None and gives_back(parts[0]) else self.rows
        return rows * self.columns

    def parts(self, layer: int, like: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return keys and values of a layer, made when first asked for."""
        if layer not in self.room:
            self.room[layer] = [self._made(part) for part in like]
        return self.room[layer]

    def _made(self, like: torch.Tensor) -> torch.Tensor:
        return paged((self.rows, like.shape[1], self.columns, like.shape[3]), like)

    def resize(self, rows: int, columns: int) -> None:
        """Make room for so many rows, no fewer than are in use, of so many tokens, keeping what is there."""
        self.rows, self.columns, self.made = rows, columns, next(_MADE)
        for parts in self.room.values():
            for index, old in enumerate(parts):  # one at a time: the old one is freed before the next is made
                parts[index] = self._made(old)
                if gives_back(old):  # what a row has not written is not to take memory
                    for place, end in enumerate(self.ends):
                        parts[index][place, :, :end] = old[place, :, :end]
                else:
                    used, width = len(self.ends), max(self.ends, default=0)
                    parts[index][:used, :, :width] = old[:used, :, :width]

    def take(self, slot: int, end: int = 0) -> int:
        """Give a slot the next place, of whose columns so many are about to be written; return the place."""
        self.slots.append(slot)
        self.ends.append(end)
        return len(self.slots) - 1

    def reach(self, lengths: Sequence[int]) -> None:
        """Take note that each row's next token will be written; lengths are those of all slots."""
        for place, slot in enumerate(self.slots):
            self.ends[place] = max(self.ends[place], lengths[slot] + 1)

    def free(self, slot: int, to: Shelf | None = None) -> None:
        """Free the place of a slot, where the last one moves; its states go to another shelf's next place if told."""
        place, last = self.slots.index(slot), len(self.slots) - 1
        moved = self.ends[place]
        target = None if to is None else to.take(slot, moved)
        self.slots[place], self.ends[place] = self.slots[last], self.ends[last]
        self.slots.pop()
        end = self.ends.pop()
        for layer, parts in self.room.items():
            for index, part in enumerate(parts):
                if to is not None:
                    to.parts(layer, parts)[index][target, :, :moved] = part[place, :, :moved]
                clear(part, place, moved)  # also lest NaN be left behind the states that come here
                if place != last:
                    part[place, :, :end] = part[last, :, :end]
                    clear(part, last, end)
