"""Caches of keys and values as a model takes them: those of our own models in plain torch, and those of transformers.

Both kinds are made here, so that nothing of transformers is imported for a model that does without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness_models.hf.loading import Loaded


class LayerCache(Protocol):
    """The cache of one layer."""

    def update(self, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Take note of new states (B, heads, L, D); return what the layer is to attend to."""
        ...

    def get_seq_length(self) -> int:
        """Return the tokens held before the pass under way."""
        ...


class Growing:
    """Keeps everything."""

    def __init__(self) -> None:
        self.held: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(self, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Put new states behind those held."""
        if self.held is not None:
            keys, values = torch.cat([self.held[0], keys], dim=-2), torch.cat([self.held[1], values], dim=-2)
        self.held = (keys, values)
        return keys, values

    def get_seq_length(self) -> int:
        """Return the tokens held."""
        return 0 if self.held is None else self.held[0].shape[-2]


class Behind:
    """Puts a prefix of one row before whatever comes, for any number of rows, and keeps nothing else."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        self._held = (keys, values)

    def update(self, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the prefix with the new states behind it."""
        rows = keys.shape[0]
        before, other = (part.expand(rows, -1, -1, -1) for part in self._held)
        return torch.cat([before, keys], dim=-2), torch.cat([other, values], dim=-2)

    def get_seq_length(self) -> int:
        """Return the tokens of the prefix."""
        return self._held[0].shape[-2]


class Before(Behind):
    """The same for a model that attends to the prefix apart: the new keys carry it along."""

    def update(self, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the new states."""
        keys.before = self._held  # type: ignore[attr-defined] # to be found again where it attends
        return keys, values


class Layers:
    """What a model of our own takes for its cache."""

    def __init__(self, layers: Sequence[LayerCache]) -> None:
        self._layers = layers
        self.apart = any(isinstance(layer, Before) for layer in layers)
        """Whether what is held stands apart from the new states, so that a mask has no columns for it."""

    def update(self, keys: torch.Tensor, values: torch.Tensor, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Hand new states to a layer."""
        return self._layers[layer].update(keys, values)

    def get_seq_length(self) -> int:
        """Return the tokens held before the pass under way."""
        return self._layers[0].get_seq_length()


def cache_of(loaded: Loaded, layers: Sequence[LayerCache]) -> Any:  # noqa: ANN401 - ours or that of transformers
    """Return a cache for the model around caches of its layers."""
    if loaded.own:
        return Layers(layers)
    from harness_models.hf.transformers_caches import wrapped

    return wrapped(layers)
