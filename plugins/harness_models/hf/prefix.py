"""Keys and values of a beginning that many sequences share, held once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

if TYPE_CHECKING:
    from harness_models.hf.loading import Loaded


class KeptPrefix:
    """The keys and values of some tokens, computed behind those of a parent when first used.

    Args:
        loaded: the model.
        tokens: behind the parent's.
        parent: what stands before, or None.
    """

    def __init__(self, loaded: Loaded, tokens: tuple[int, ...], parent: KeptPrefix | None) -> None:
        self.depth: int = len(tokens) + (0 if parent is None else parent.depth)
        """Tokens from the beginning to its end."""
        self._loaded = loaded
        self._tokens = tokens
        self._parent = parent
        self._layers: list[tuple[torch.Tensor, torch.Tensor]] = []

    def behind(self) -> Any:  # noqa: ANN401 - a transformers cache
        """Return a cache for one pass behind the prefix; what the pass adds is not kept."""
        if not self._layers:
            self._layers = self._compute()
        cache = DynamicCache()
        cache.layers = [_BehindPrefix(keys, values) for keys, values in self._layers]
        cache.layer_class_to_replicate = None
        return cache

    def _compute(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        cache = self._loaded.new_cache()
        if self._parent is not None:
            for index, layer in enumerate(self._parent.behind().layers):
                cache.update(layer.keys, layer.values, index)
        self._loaded.hidden(self._loaded.tensor([self._tokens]), cache=cache)
        return [(layer.keys, layer.values) for layer in cache.layers]


class _BehindPrefix(DynamicLayer):  # type: ignore[misc] # transformers is untyped here
    """A layer that puts a prefix before whatever comes, for any number of rows, and keeps nothing else."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        *args: Any,  # noqa: ANN401, ARG002
        **kwargs: Any,  # noqa: ANN401, ARG002
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the prefix with the new states behind it."""
        rows = key_states.shape[0]
        return (
            torch.cat([self.keys.expand(rows, -1, -1, -1), key_states], dim=-2),
            torch.cat([self.values.expand(rows, -1, -1, -1), value_states], dim=-2),
        )
