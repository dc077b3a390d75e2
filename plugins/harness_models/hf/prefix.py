"""Keys and values of a beginning that many sequences share, held once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness_models.hf.batching import or_dense
from harness_models.hf.caches import Before, Behind, Growing, cache_of

if TYPE_CHECKING:
    import torch

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
            self._layers = or_dense(self._loaded, self._compute)
        kind = Before if self._loaded.apart else Behind
        return cache_of(self._loaded, [kind(keys, values) for keys, values in self._layers])

    def cut(self, depth: int) -> KeptPrefix:
        """Return the first tokens of it, computed where they are not yet."""
        self.behind()
        part = KeptPrefix(self._loaded, (), None)
        part.depth = depth
        part._layers = [(keys[:, :, :depth].clone(), values[:, :, :depth].clone()) for keys, values in self._layers]
        return part

    def _compute(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        layers = [Growing() for _ in range(self._loaded.model.config.get_text_config().num_hidden_layers)]
        if self._parent is not None:
            self._parent.behind()
            for layer, held in zip(layers, self._parent._layers, strict=True):  # noqa: SLF001 - another of this class
                layer.held = held
        none, mask, before = self._loaded.tensor([]), None, self.depth - len(self._tokens)
        if self._loaded.joins(branching=False, depth=before):
            from harness_models.hf.blocks import causal_blocks

            mask = causal_blocks(self._loaded, before, len(self._tokens))
        self._loaded.hidden(
            self._loaded.tensor([self._tokens]), mask=mask, cache=cache_of(self._loaded, layers), at=(none, none)
        )
        self._parent = None  # what it holds is held here too
        return [layer.held for layer in layers if layer.held is not None]
