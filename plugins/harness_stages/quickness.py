"""What makes a training on a CPU quicker and changes its sums by rounding alone, or not at all."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

SHORT = 128
"""Tokens of a row up to which plain attention is quicker on a CPU than torch's fused one."""
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
"""Parameters of glibc's `mallopt`."""
_LARGEST = 32 * 2**20
"""Bytes: the largest that the first may be, which glibc itself comes to after a while."""


@contextmanager
def keeping_memory() -> Iterator[None]:
    """Let glibc keep freed memory for the next step, instead of handing it back and asking for it again.

    Each step frees as much as the next one takes; handing it back costs clearing its pages. Elsewhere nothing is done.
    """
    libc = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
    if libc is None:
        yield
        return
    libc.mallopt(_MMAP_THRESHOLD, _LARGEST)
    libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        libc.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST)
        libc.malloc_trim(0)


def lighten(model: Any) -> Any:  # noqa: ANN401 - PEFT is not typed
    """Let LoRA layers on a bfloat16 base multiply in bfloat16; their weights and gradients stay in float32.

    PEFT casts each layer's inputs to float32 and back, which takes longer than the products. Only plain layers are
    changed: none of DoRA, none whose base is quantised.
    """
    from peft.tuners.lora import Linear

    for layer in model.modules():
        if type(layer) is Linear and layer.get_base_layer().weight.dtype == torch.bfloat16 and not layer.lora_variant:
            layer.forward = _light(layer, layer.forward)
    return model


def _light(layer: Any, usual: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:  # noqa: ANN401
    def forward(x: torch.Tensor, *more: Any, **given: Any) -> torch.Tensor:  # noqa: ANN401
        active = layer.active_adapters
        if more or given or layer.disable_adapters or layer.merged or len(active) != 1 or x.dtype != torch.bfloat16:
            return usual(x, *more, **given)
        name = active[0]
        if name not in layer.lora_A:
            return usual(x)
        low = torch.nn.functional.linear(layer.lora_dropout[name](x), layer.lora_A[name].weight.to(x.dtype))
        back = (layer.lora_B[name].weight * layer.scaling[name]).to(x.dtype)
        result: torch.Tensor = layer.base_layer(x) + torch.nn.functional.linear(low, back)
        return result

    return forward


def without_needless_mask(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out a mask that hides padding behind the tokens alone: causal attention never looks there.

    Args:
        inputs: with `attention_mask` of shape (rows, tokens), if any; packed rows, which have `position_ids`, stay as
            they are.
    """
    mask = inputs.get("attention_mask")
    if mask is None or "position_ids" in inputs or mask.dim() != 2 or bool((mask[:, 1:] > mask[:, :-1]).any()):
        return dict(inputs)
    return {name: value for name, value in inputs.items() if name != "attention_mask"}


@contextmanager
def short_attention(model: Any, tokens: int) -> Iterator[None]:  # noqa: ANN401 - transformers is not typed
    """Attend plainly while rows are short, where torch's fused attention is what the model would use."""
    config = model.config.get_text_config()
    before = config._attn_implementation  # noqa: SLF001 - transformers has no public name for it
    plain = tokens <= SHORT and before == "sdpa"
    if plain:
        config._attn_implementation = "eager"  # noqa: SLF001 - the same
    try:
        yield
    finally:
        config._attn_implementation = before  # noqa: SLF001 - the same


def token_batches(lengths: Sequence[int], most: int, keys: Sequence[float]) -> list[list[int]]:
    """Put rows of like length together, as many as take `most` tokens with their padding; a row may stand alone.

    Args:
        lengths: tokens of each row.
        most: tokens of a batch.
        keys: one number per row, which orders rows of equal length; the batches' shapes do not depend on it.
    """
    order = sorted(range(len(lengths)), key=lambda index: (lengths[index], keys[index]))
    batches: list[list[int]] = []
    for index in order:
        if batches and (len(batches[-1]) + 1) * lengths[index] <= most:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


class TokenBatches(torch.utils.data.Sampler[list[int]]):
    """Batches of like lengths in random order, drawn anew for each pass by torch's generator.

    Args:
        lengths: tokens of each row.
        most: tokens of a batch, padding included.
    """

    def __init__(self, lengths: Sequence[int], most: int) -> None:
        self._lengths, self._most = lengths, most
        self._count = len(token_batches(lengths, most, [0.0] * len(lengths)))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[list[int]]:
        # Drawn with the first batch and not before, as by the samplers of transformers: what goes on draws the same.
        keys = torch.rand(len(self._lengths), dtype=torch.float64).tolist()
        batches = token_batches(self._lengths, self._most, keys)
        yield from (batches[index] for index in torch.randperm(len(batches)).tolist())
