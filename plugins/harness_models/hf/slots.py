"""Keys and values of the rows in flight: one slot each, written in place, so that no token copies what is there.

A token at position p of its row lies in column p of its slot. Rows of any length share a step, since each writes at its
own end and sees only its own columns. The slots in use are always the first ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from harness_models.hf.layout import Mask
    from harness_models.hf.loading import Loaded

_STEP = 16
"""Columns come in multiples of it: attention is quicker on even sizes, and masks need no padding on GPUs."""


class _Layer(DynamicLayer):  # type: ignore[misc] # transformers is untyped here
    """The slots of one layer, (slots, heads, columns, size) for keys and for values."""

    def __init__(self, slots: Slots) -> None:
        super().__init__()
        self._slots = slots
        self.room: list[torch.Tensor] = []

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        *args: Any,  # noqa: ANN401, ARG002
        **kwargs: Any,  # noqa: ANN401, ARG002
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the new states where the pass under way says; return views of what its rows hold."""
        slots = self._slots
        if not self.room:
            self.is_initialized = True
            self.room = [
                states.new_zeros(slots.rows, states.shape[1], slots.columns, states.shape[3])
                for states in (key_states, value_states)
            ]
        keys, values = self.room
        rows, end = slice(slots.first, slots.first + key_states.shape[0]), slots.end
        if slots.places is None:
            start = end - key_states.shape[2]
            keys[rows, :, start:end] = key_states
            values[rows, :, start:end] = value_states
        else:
            keys[slots.places[0], :, slots.places[1]] = key_states[:, :, 0]
            values[slots.places[0], :, slots.places[1]] = value_states[:, :, 0]
        return keys[rows, :, :end], values[rows, :, :end]

    def get_seq_length(self) -> int:
        """Return the columns held before the pass under way."""
        return self._slots.start


class Slots:
    """Storage for rows in flight, and the two kinds of passes over it.

    Args:
        loaded: the model.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self.rows = 0
        self.columns = 0
        self.first = 0
        """First slot of the pass under way."""
        self.start = 0
        """Columns before the pass under way."""
        self.end = 0
        """Columns with it."""
        self.places: tuple[torch.Tensor, torch.Tensor] | None = None
        """Slot and column of each new state; None where they are a rectangle."""
        self._cache = DynamicCache()
        self._cache.layers = [_Layer(self) for _ in range(loaded.model.config.get_text_config().num_hidden_layers)]
        self._cache.layer_class_to_replicate = None

    def reserve(self, rows: int, columns: int) -> None:
        """Make room for so many rows of so many tokens, keeping what is there."""
        if rows <= self.rows and columns <= self.columns:
            return
        old_rows, old_columns = self.rows, self.columns
        self.rows, self.columns = max(rows, 1), _rounded(columns)
        kept_rows, kept_columns = min(old_rows, self.rows), min(old_columns, self.columns)
        for layer in self._cache.layers:
            for place, old in enumerate(layer.room):  # one at a time: the old one is freed before the next is made
                new = old.new_zeros(self.rows, old.shape[1], self.columns, old.shape[3])
                new[:kept_rows, :, :kept_columns] = old[:kept_rows, :, :kept_columns]
                layer.room[place] = new

    def fill(self, first: int, rows: Sequence[Sequence[int]], prefix: Slots | None = None) -> torch.Tensor:
        """Run rows from their beginning, into the slots from `first` on; return the last hidden states (B, H).

        Args:
            first: the first slot.
            rows: token ids, more than the prefix has.
            prefix: slots of which the first holds what the rows begin with; it is copied.
        """
        import torch

        start = 0 if prefix is None else prefix.end
        if prefix is not None:
            self._paste(prefix, first, len(rows))
        width = max(map(len, rows)) - start
        ids = self._loaded.tensor([[*row[start:], *[0] * (start + width - len(row))] for row in rows])
        self.first, self.start, self.end, self.places = first, start, start + width, None
        positions = torch.arange(start, self.end, device=ids.device)
        # Padding stands behind the tokens, where causal attention never looks: plain attention needs no mask at all.
        mask = self._mask(positions[None]) if start or self._narrower_than(width) else None
        hidden = self._loaded.hidden(ids, mask=mask, positions=positions.expand(len(rows), -1), cache=self._cache)
        last = self._loaded.tensor([len(row) - start - 1 for row in rows])
        return hidden[torch.arange(len(rows), device=ids.device), last]

    def step(self, tokens: Sequence[int], lengths: Sequence[int]) -> torch.Tensor:
        """Run one more token of each row; return the hidden states (B, H).

        Args:
            tokens: the newest token of the row in each slot in use.
            lengths: how many tokens of it are in its slot already.
        """
        import torch

        ids, positions = self._loaded.tensor([tokens, lengths])
        longest = max(lengths)
        self.first, self.start, self.end = 0, longest, min(_rounded(longest + 1), self.columns)
        self.places = (torch.arange(len(tokens), device=ids.device), positions)
        at = positions[:, None]
        return self._loaded.hidden(ids[:, None], mask=self._mask(at), positions=at, cache=self._cache)[:, -1]

    def move(self, source: int, target: int, length: int) -> None:
        """Copy a row of so many tokens to another slot."""
        for layer in self._cache.layers:
            for part in layer.room:
                part[target, :, :length] = part[source, :, :length]

    def _narrower_than(self, length: int) -> bool:
        reach = self._loaded.reach
        return any(window is not None and window < length for window in (reach.window, *reach.windows.values()))

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

    def _paste(self, prefix: Slots, first: int, rows: int) -> None:
        for layer, held in zip(self._cache.layers, prefix._cache.layers, strict=True):
            if not layer.room:
                layer.is_initialized = bool(held.room)
                layer.room = [
                    part.new_zeros(self.rows, part.shape[1], self.columns, part.shape[3]) for part in held.room
                ]
            for part, states in zip(layer.room, held.room, strict=True):
                part[first : first + rows, :, : prefix.end] = states[:1, :, : prefix.end]


def _rounded(columns: int) -> int:
    return -(-columns // _STEP) * _STEP
