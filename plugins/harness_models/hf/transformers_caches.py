"""The engine's caches and its attention as transformers takes them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from transformers import AttentionInterface, DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from harness_models.hf.blocks import attend_over_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

    from harness_models.hf.caches import LayerCache
    from harness_models.hf.loading import Loaded

BY_SHELF, OVER_BLOCKS = "harness-shelves", "harness-blocks"
"""Names of attention functions of ours."""


class _Layer(DynamicLayer):  # type: ignore[misc] # transformers is untyped here
    """Hands on to one of our layers."""

    def __init__(self, layer: LayerCache) -> None:
        super().__init__()
        self.is_initialized = True
        self._layer = layer

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        *args: Any,  # noqa: ANN401, ARG002
        **kwargs: Any,  # noqa: ANN401, ARG002
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the layer is to attend to."""
        return self._layer.update(key_states, value_states)

    def get_seq_length(self) -> int:
        """Return the tokens held before the pass under way."""
        return self._layer.get_seq_length()


def wrapped(layers: Sequence[LayerCache]) -> DynamicCache:
    """Return a cache of transformers around ours."""
    cache = DynamicCache()
    cache.layers = [_Layer(layer) for layer in layers]
    cache.layer_class_to_replicate = None
    return cache


@contextmanager
def attention(loaded: Loaded, name: str) -> Iterator[None]:
    """Let the model attend by one of our functions."""
    config = loaded.model.config.get_text_config()
    before = config._attn_implementation  # noqa: SLF001 - transformers has no public name for it
    config._attn_implementation = name  # noqa: SLF001 - the same
    try:
        yield
    finally:
        config._attn_implementation = before  # noqa: SLF001 - the same


def _attend(
    module: Any,  # noqa: ANN401 - a model's attention layer
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,  # noqa: ARG001 - the values are with the shelves
    attention_mask: torch.Tensor,
    **more: Any,  # noqa: ANN401
) -> tuple[torch.Tensor, None]:
    """Attend for one new token of each row: (B, heads, 1, size) to (B, 1, heads, size)."""
    result = None
    for slots, keys, values in key.shelves:  # type: ignore[attr-defined] # put there by `Slots.write`
        mask = attention_mask[slots, :, :, : keys.shape[2]]
        found = sdpa_attention_forward(module, query[slots], keys, values, mask, **more)[0]
        result = found.new_empty(len(query), *found.shape[1:]) if result is None else result
        result[slots] = found
    assert result is not None  # noqa: S101 - there is a row
    return result, None


AttentionInterface.register(BY_SHELF, _attend)
AttentionInterface.register(OVER_BLOCKS, attend_over_blocks)
