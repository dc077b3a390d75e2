"""Lends a model on a CPU matrix products that are quicker for few rows, while it generates.

A step multiplies a few rows by every weight of the model. torch's own product reads weights as they lie; oneDNN's reads
them in blocks that fit the processor, which took two fifths to nine tenths of the time where it was measured, if they
are brought into that order first. The copy in that order is dropped after generating.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from harness_models.hf.memory import free_bytes
from harness_models.hf.probing import alike

if TYPE_CHECKING:
    import torch

    from harness_models.hf.loading import Loaded

WORTH = 2_000
"""Tokens to generate that are worth the copy."""
_ROWS = 32
"""Rows that the order is chosen for. It was quicker than torch's own for 1 to 1,024."""
_SMALLEST = 64
"""Inputs or outputs of the smallest layer worth it: the halves of an adapter are smaller."""
_SHARE = 0.25
"""Of the free memory, that the copy may take."""


@contextmanager
def packed(loaded: Loaded, tokens: int) -> Iterator[bool]:
    """Run linear layers by oneDNN over copied weights, where that is possible and worth it; tell whether it is done.

    Args:
        loaded: the model.
        tokens: about how many will be generated at most.
    """
    layers = _layers(loaded) if tokens >= WORTH else []
    done = False
    try:
        done = bool(layers) and _lend(loaded, layers)
        yield done
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


def _layers(loaded: Loaded) -> list[Any]:
    """Return the layers to pack; none where they would not fit, or this torch cannot."""
    import torch

    if loaded.place.device != "cpu" or loaded.place.dtype != "float32" or not _has_onednn():
        return []
    layers = [
        module
        for module in loaded.model.modules()
        if type(module) is torch.nn.Linear and "forward" not in vars(module) and min(module.weight.shape) >= _SMALLEST
    ]
    free = free_bytes("cpu")
    size = sum(4 * layer.weight.numel() for layer in layers)
    return layers if free is None or size <= _SHARE * free else []


def _has_onednn() -> bool:
    import torch

    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def _lend(loaded: Loaded, layers: list[Any]) -> bool:
    """Pack the layers, and check on a few tokens that the model still says the same."""
    ids = loaded.tensor([[(7 * number + 3) % loaded.model.config.get_text_config().vocab_size for number in range(8)]])
    expected = loaded.logits(loaded.hidden(ids))
    try:
        for layer in layers:
            layer.forward = _quick(layer)
        if alike(loaded.logits(loaded.hidden(ids)), expected, loaded):
            return True
    except (AttributeError, TypeError, RuntimeError):  # these operators are not part of torch's public interface
        pass
    for layer in layers:
        vars(layer).pop("forward", None)
    return False


def _quick(layer: Any) -> Callable[[torch.Tensor], torch.Tensor]:  # noqa: ANN401 - a torch.nn.Linear
    import torch

    operators = torch.ops.mkldnn
    weight = operators._reorder_linear_weight(layer.weight.detach(), _ROWS)  # noqa: SLF001 - it has no public name
    bias, multiply = layer.bias, operators._linear_pointwise  # noqa: SLF001 - the same

    def forward(given: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = multiply(given, weight, bias, "none", [], "")
        return result

    return forward
