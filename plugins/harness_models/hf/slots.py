"""Keys and values of the rows in flight: one slot each, written in place, so that no token copies what is there.

A token at position p of its row lies in column p of its slot. Slots of one width stand on one shelf, so that a long row
does not make room for the short ones as long as itself. All rows share a step: only attention goes shelf by shelf.
"""

from __future__ import annotations

import weakref
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from harness_models.hf.batching import or_dense
from harness_models.hf.caches import cache_of
from harness_models.hf.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    import torch

    from harness_models.hf.graphs import FixedSteps
    from harness_models.hf.layout import Mask
    from harness_models.hf.loading import Loaded

_STEP = 16
"""Columns come in multiples of it: attention is quicker on even sizes, and masks need no padding on GPUs."""
_NARROWEST = 64
"""Columns of the narrowest shelf. The others are one and a half times, and twice, and so on, as wide, up to:"""
_EVEN, _APART = 1_024, 256
"""From here on each is so many columns wider than the one before: half as much again leaves too many unused."""
_PIECE = 512
"""Tokens of a long row that a pass takes. Longer ones were not quicker."""

Written: TypeAlias = "tuple[Shelf, torch.Tensor | slice, torch.Tensor, torch.Tensor, int]"
"""For a step: a shelf, its rows of the pass, their places, the column of each new state, and the columns seen."""


class _Layer:
    """What the model takes for the cache of one layer."""

    def __init__(self, slots: Slots, index: int) -> None:
        self._slots = slots
        self._index = index

    def update(self, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the new states where the pass under way says; return what its rows hold."""
        return self._slots.write(self._index, keys, values)

    def get_seq_length(self) -> int:
        """Return the columns held before the pass under way."""
        return self._slots.start


class Slots:
    """Storage for rows in flight, and the two kinds of passes over it.

    Args:
        loaded: the model; its `shelves` says whether there may be more than one shelf.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._shelves: dict[int, Shelf] = {}
        self.homes: list[Shelf] = []
        """The shelf of each slot."""
        self.start = 0
        """Columns before the pass under way."""
        self.end = 0
        """Columns with it."""
        self._filled: tuple[Shelf, slice] | None = None
        """Where a pass over whole rows writes; None in a step."""
        self._apart = False
        """Whether that pass attends to what is before it apart."""
        self._written: list[Written] = []
        """Where a step writes."""
        self._fixed: FixedSteps | None = None
        """Where steps are of fixed shapes, so that a GPU may record them."""
        layers = range(loaded.model.config.get_text_config().num_hidden_layers)
        # Not a circle, which would keep all keys and values until Python next looks for garbage.
        self._cache = cache_of(loaded, [_Layer(weakref.proxy(self), index) for index in layers])

    def empty(self) -> Slots:
        """Return other slots, of which none is in use."""
        return Slots(self._loaded)

    @property
    def tokens(self) -> int:
        """Tokens of room that takes memory, or may."""
        return sum(shelf.held for shelf in self._shelves.values())

    def width(self, columns: int) -> int:
        """Return the columns of the slot for a row of so many tokens."""
        if not self._loaded.shelves:
            return _rounded(columns)
        width = _NARROWEST
        while width < min(columns, _EVEN):
            width = width * 3 // 2 if width & (width - 1) == 0 else width * 4 // 3
        return width if columns <= width else -(-columns // _APART) * _APART

    def room(self, slot: int) -> int:
        """Return the columns of a slot."""
        return self.homes[slot].columns

    def enter(self, rows: int, columns: int, more: int = 0) -> None:
        """Add slots for so many rows of so many tokens, after those in use.

        Args:
            rows: how many.
            columns: tokens of the longest.
            more: rows of this width that will follow, so that room for them is made at once.
        """
        self._let_go()
        shelf = self._shelf(columns)
        if len(shelf.slots) + rows > shelf.rows:
            shelf.resize(len(shelf.slots) + rows + more, shelf.columns)
        for _ in range(rows):
            shelf.take(len(self.homes))
            self.homes.append(shelf)

    def leave(self, slot: int) -> None:
        """Free a slot; the last one takes its number, and the last of its shelf its place."""
        shelf, last = self.homes[slot], len(self.homes) - 1
        shelf.free(slot)
        if not shelf.slots:
            del self._shelves[shelf.columns]
        if slot != last:
            home = self.homes[slot] = self.homes[last]
            home.slots[home.slots.index(last)] = slot
        self.homes.pop()

    def widen(self, slot: int, columns: int) -> None:
        """Give a row room for so many tokens."""
        old, new = self.homes[slot], self._shelf(columns)
        if new is old:
            return
        self._let_go()
        if len(new.slots) == new.rows:
            new.resize(new.rows + 1, new.columns)
        old.free(slot, new)
        if not old.slots:
            del self._shelves[old.columns]
        self.homes[slot] = new

    def copied(self, slot: int, length: int) -> Slots:
        """Return other slots, of which the first holds the first tokens of this one, as a beginning to fill from."""
        other, home = self.empty(), self.homes[slot]
        other.enter(1, length)
        place, shelf = home.slots.index(slot), other.homes[0]
        shelf.ends[0] = length
        for layer, parts in home.room.items():
            for part, target in zip(parts, shelf.parts(layer, parts), strict=True):
                target[0, :, :length] = part[place, :, :length]
        other.end = length
        return other

    def _let_go(self) -> None:
        """Forget shelves that the last step wrote on and that are empty now."""
        self._written = []
        if self._fixed is not None:
            self._fixed.let_go()

    def trim(self) -> None:
        """Give back the room that no row uses."""
        for shelf in list(self._shelves.values()):
            if not shelf.slots:
                del self._shelves[shelf.columns]
            elif len(shelf.slots) * shelf.columns < shelf.held:
                shelf.resize(len(shelf.slots), shelf.columns)

    def _shelf(self, columns: int) -> Shelf:
        width = self.width(columns)
        if not self._loaded.shelves and self._shelves:  # one for all, as wide as the widest row
            (shelf,) = self._shelves.values()
            if width > shelf.columns:
                shelf.resize(len(shelf.slots), width)
                self._shelves = {width: shelf}
            return shelf
        return self._shelves.setdefault(width, Shelf(columns=width))

    def write(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the new states of a layer where the pass under way says; return views of what its rows hold.

        Where they stand on several shelves, the new keys are returned with the views of each shelf as `shelves`.
        """
        given = (keys, values)
        if self._filled is not None:
            shelf, rows = self._filled
            for part, states in zip(shelf.parts(layer, given), given, strict=True):
                part[rows, :, self.start : self.end] = states
            held, value = shelf.room[layer]
            if self._apart:  # all rows begin alike
                one = slice(rows.start, rows.start + 1)
                keys.before = (held[one, :, : self.start], value[one, :, : self.start])  # type: ignore[attr-defined]
                return given
            return held[rows, :, : self.end], value[rows, :, : self.end]
        seen = []
        for shelf, slots, places, columns, end in self._written:
            for part, states in zip(shelf.parts(layer, given), given, strict=True):
                part[places, :, columns] = states[slots, :, 0]
            held, value = shelf.room[layer]
            seen.append((slots, held[: len(places), :, :end], value[: len(places), :, :end]))
        if not self._loaded.shelves:
            return seen[0][1:]
        keys.shelves = seen  # type: ignore[attr-defined] # to be found again where it attends
        return given

    def fill(self, rows: Sequence[Sequence[int]], prefix: Slots | None = None, start: int = 0) -> torch.Tensor:
        """Run rows from their beginning, into the slots entered last; return the last hidden states (B, H).

        Args:
            rows: token ids, more than the prefix has.
            prefix: slots of which the first holds what the rows begin with; it is copied.
            start: how many tokens of the prefix the rows begin with; 0: all of them.
        """
        start = 0 if prefix is None else start or prefix.end
        shelf, longest = self.homes[-1], max(map(len, rows))
        first = len(shelf.slots) - len(rows)
        shelf.ends[first:] = [longest] * len(rows)
        self._filled = (shelf, slice(first, len(shelf.slots)))
        if prefix is not None:
            for layer, held in prefix.homes[0].room.items():
                for part, states in zip(shelf.parts(layer, held), held, strict=True):
                    part[first : len(shelf.slots), :, :start] = states[:1, :, :start]
        # What a model of our own attends to apart needs no mask, so that a long row can come in pieces, which take less
        # memory. Rows that come together are short enough.
        piece = _PIECE if self._loaded.apart and len(rows) == 1 else longest
        while longest - start > piece:
            or_dense(self._loaded, partial(self._fill, rows, start, start + piece))
            start += piece
        return or_dense(self._loaded, partial(self._fill, rows, start, longest))

    def _fill(self, rows: Sequence[Sequence[int]], start: int, end: int) -> torch.Tensor:
        """Run rows from one column to another; return the hidden states (B, H) of those that end there."""
        import torch

        ids = self._loaded.tensor([[*row[start:end], *[0] * (end - max(start, len(row)))] for row in rows])
        self.start, self.end = start, end
        positions = torch.arange(start, self.end, device=ids.device)
        # Padding stands behind the tokens, where causal attention never looks: plain attention needs no mask at all.
        mask: Mask | None = None
        self._apart = self._loaded.apart and start > 0
        if self._loaded.own:
            self._cache.apart = self._apart
        if not self._apart and (start or self._narrower_than(end)):
            mask = self._causal_blocks(end - start) if self._loaded.blocks else self._mask(positions[None])
        ending = [(place, len(row) - start - 1) for place, row in enumerate(rows) if len(row) <= end]
        places, states = zip(*ending, strict=True) if ending else ((), ())
        last = (self._loaded.tensor([*places]), self._loaded.tensor([*states]))
        return self._loaded.hidden(
            ids, mask=mask, positions=positions.expand(len(rows), -1), cache=self._cache, at=last
        )

    def step(self, tokens: Sequence[int], lengths: Sequence[int]) -> torch.Tensor:
        """Run one more token of each row; return the hidden states (B, H).

        Args:
            tokens: the newest token of the row in each slot in use.
            lengths: how many tokens of it are in its slot already.
        """
        import torch

        loaded = self._loaded
        if loaded.graphs and not loaded.mixed:
            self._fixed = self._fixed or self._fixed_steps()
            return self._fixed.step(self._shelves.values(), tokens, lengths)
        ids, positions = loaded.tensor([tokens, lengths])
        written: list[Written] = []
        for shelf in self._shelves.values():
            slots = loaded.tensor(shelf.slots)
            longest = max(lengths[slot] for slot in shelf.slots)
            end = min(_rounded(longest + 1), shelf.columns)
            shelf.reach(lengths)
            places = torch.arange(len(shelf.slots), device=ids.device)
            written.append((shelf, slots, places, positions[slots], end))
        return self.forward(ids, positions, written, max(lengths))

    def _fixed_steps(self) -> FixedSteps:
        from harness_models.hf.graphs import FixedSteps

        return FixedSteps(self._loaded, weakref.proxy(self))

    def forward(self, ids: torch.Tensor, positions: torch.Tensor, written: list[Written], start: int) -> torch.Tensor:
        """Run one token of each row, ids and positions (R,), to hidden states (R, H); `start` columns are held."""
        self._filled, self._written = None, written
        self.end = max(end for *_, end in written)
        self.start, at = start, positions[:, None]
        with self._by_shelf():
            return self._loaded.hidden(ids[:, None], mask=self._mask(at), positions=at, cache=self._cache)[:, -1]

    def _by_shelf(self) -> AbstractContextManager[None]:
        """Let the model attend shelf by shelf; ours does so by itself."""
        if self._loaded.own or not self._loaded.shelves:
            return nullcontext()
        from harness_models.hf.transformers_caches import BY_SHELF, attention

        return attention(self._loaded, BY_SHELF)

    def _narrower_than(self, length: int) -> bool:
        reach = self._loaded.reach
        return any(window is not None and window < length for window in (reach.window, *reach.windows.values()))

    def _causal_blocks(self, length: int) -> Mask:
        from harness_models.hf.blocks import causal_blocks

        return causal_blocks(self._loaded, self.start, length)

    def _mask(self, positions: torch.Tensor) -> Mask:
        """Return the additive masks of tokens at positions (B, L), as far as each type of layer looks."""
        import torch

        dtype, reach = self._loaded.model.dtype, self._loaded.reach
        behind = positions[..., None] - torch.arange(self.end, device=positions.device)

        def additive(window: int | None) -> torch.Tensor:
            hidden = behind < 0 if window is None else (behind < 0) | (behind >= window)
            mask = torch.zeros(hidden.shape, dtype=dtype, device=hidden.device)
            return mask.masked_fill_(hidden, torch.finfo(dtype).min)[:, None]

        if reach.by_layer:
            return {kind: additive(window) for kind, window in reach.windows.items()}
        return additive(reach.window)


def _rounded(columns: int) -> int:
    return -(-columns // _STEP) * _STEP
