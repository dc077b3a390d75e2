"""A key-value cache that writes in place: the stock one copies everything it holds at every token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

if TYPE_CHECKING:
    import torch


class RoomyLayer(DynamicLayer):  # type: ignore[misc] # transformers is untyped here
    """One layer with room for the tokens to come.

    Args:
        capacity: tokens it will hold at most; it grows where that was too few.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self._capacity = capacity
        self._room: tuple[torch.Tensor, torch.Tensor] | None = None
        self._length = 0

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        *args: Any,  # noqa: ANN401, ARG002
        **kwargs: Any,  # noqa: ANN401, ARG002
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the new states behind the old ones; return views of all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self._length + key_states.shape[-2]
        if self._room is None or end > self._capacity:
            self._grow(key_states, value_states, end)
        assert self._room is not None  # noqa: S101 - for the type checker
        keys, values = self._room
        keys[:, :, self._length : end] = key_states
        values[:, :, self._length : end] = value_states
        self._length = end
        self.keys, self.values = keys[:, :, :end], values[:, :, :end]
        return self.keys, self.values

    def _grow(self, keys: torch.Tensor, values: torch.Tensor, needed: int) -> None:
        self._capacity = max(self._capacity, needed + needed // 2 if self._room is not None else needed)
        old = self._room
        batch, heads = keys.shape[:2]
        self._room = (
            keys.new_empty(batch, heads, self._capacity, keys.shape[-1]),
            values.new_empty(batch, heads, self._capacity, values.shape[-1]),
        )
        if old is not None:
            for new, before in zip(self._room, old, strict=True):
                new[:, :, : self._length] = before[:, :, : self._length]

    def get_seq_length(self) -> int:
        """Return the number of tokens held."""
        return self._length

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep only these rows."""
        if self._room is not None:
            self._room = (self._room[0][indices], self._room[1][indices])
            self.keys, self.values = (part[:, :, : self._length] for part in self._room)


def roomy_cache(layers: int, capacity: int) -> DynamicCache:
    """Return an empty cache of so many layers, each with room for `capacity` tokens."""
    cache = DynamicCache()
    cache.layers = [RoomyLayer(capacity) for _ in range(layers)]
    cache.layer_class_to_replicate = None
    return cache
