"""Lends a model on a CPU matrix products that are quicker for few rows, while it generates.

A step multiplies a few rows by every weight of the model. torch's own product reads weights as they lie; oneDNN's reads
them in blocks that fit the processor, which took two fifths to nine tenths of the time where it was measured, if they
are brought into that order first. The copy in that order is dropped after generating.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from harness_models.hf.memory import free_bytes
from harness_models.hf.probing import alike

if TYPE_CHECKING:
    import torch

    from harness_models.hf.loading import Loaded

WORTH = 600
"""Tokens to generate that are worth the copy, which takes as long as some ten steps of a few rows save."""
_ROWS = 32
"""Rows that the order is chosen for. It was quicker than torch's own for 1 to 1,024."""
_SMALLEST = 64
"""Inputs or outputs of the smallest layer worth it: the halves of an adapter are smaller."""
_SHARE = 0.25
"""Of the free memory, that the copy may take."""
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Of glibc's `mallopt`: from how many freed bytes at its end on the heap shrinks; by how many more than asked for it
grows; from how many bytes on an allocation has pages of its own, which go back when it is freed."""
_KEPT = {_MMAP_THRESHOLD: 32 * 2**20, _TRIM_THRESHOLD: 256 * 2**20, _TOP_PAD: 64 * 2**20}
"""Pages stay for the next pass. The first is the most that glibc takes."""


def keep_pages() -> None:
    """Let passes use the pages of the one before, where the system's library can.

    It gives them back else, and each pass has its pages filled with zeros anew.
    """
    with suppress(OSError, AttributeError, TypeError):  # the last on Windows
        library = ctypes.CDLL(None)
        for name, value in _KEPT.items():
            library.mallopt(name, value)


@contextmanager
def packed(loaded: Loaded, tokens: int, *, giving: bool = True, greedy: bool = False) -> Iterator[bool]:
    """Run linear layers by oneDNN over copied weights, where that is possible and worth it; tell whether it is done.

    Where nothing but the likeliest tokens is asked for, the head is copied in bfloat16 where that tells them quicker.

    Args:
        loaded: the model.
        tokens: about how many will be generated at most.
        giving: whether layers of our own may give up their weights meanwhile, so that the base cannot be proven.
        greedy: whether nothing but the likeliest token of each state will be asked for.
    """
    from harness_models.hf.likeliest import rough_head

    layers = _layers(loaded) if tokens >= WORTH else []
    given: dict[Any, torch.Tensor] = {}
    rough = rough_head(loaded) if greedy and layers else None
    if rough is not None:
        layers = [layer for layer in layers if layer is not loaded.model.get_output_embeddings()]
    try:
        done = bool(layers) and _lend(loaded, layers, given, giving=giving and loaded.own)
        loaded.likeliest = rough.tokens if done and rough is not None else None
        yield done
    finally:
        loaded.likeliest = rough = None  # its room is for the weights that come back
        _give_back(layers, given)


def pack_for_good(loaded: Loaded) -> bool:
    """Let a base of our own in bfloat16 multiply by copied weights as long as it is loaded; tell whether it does.

    torch brings bfloat16 weights into oneDNN's order again at every product, which for the hundred tokens of a judge's
    question takes a third of the product's time. The weights as they lie are kept, so that the base can be proven.
    """
    import torch

    if not loaded.own or loaded.place.dtype != "bfloat16":
        return False
    with torch.inference_mode():
        return _lend(loaded, _layers(loaded, "bfloat16"), {}, giving=False)


def _give_back(layers: Sequence[Any], given: dict[Any, torch.Tensor]) -> None:
    """Let layers multiply as they did, with the weights that they gave up brought back from the other order."""
    for layer in reversed(layers):  # the head first: it gave up nothing, so that only room is won
        vars(layer).pop("forward", None)
        if layer in given:
            layer.weight.data = given.pop(layer).to_dense()
    _trim()


def _trim() -> None:
    """Give the gaps between the pieces back to the system, where it is Linux: a fifth of the weights' size."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _layers(loaded: Loaded, dtype: str = "float32") -> list[Any]:
    """Return the layers to pack; none where they would not fit, or this torch cannot."""
    import torch

    if loaded.place.device != "cpu" or loaded.place.dtype != dtype or not _has_onednn():
        return []
    layers = [
        module
        for module in loaded.model.modules()
        if type(module) is torch.nn.Linear and "forward" not in vars(module) and min(module.weight.shape) >= _SMALLEST
    ]
    free = free_bytes("cpu")
    size = sum(layer.weight.nbytes for layer in layers)
    return layers if free is None or size <= _SHARE * free else []


def _has_onednn() -> bool:
    import torch

    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def _lend(loaded: Loaded, layers: list[Any], given: dict[Any, torch.Tensor], *, giving: bool) -> bool:
    """Pack the layers, and check on a few tokens that the model still says the same.

    Layers of a model of our own give up their weights, so that they are held once: nothing else reads them but the
    embeddings', which are the head's too. `given` is what they have instead.
    """
    shared = loaded.model.get_input_embeddings().weight
    ids = loaded.tensor([[(7 * number + 3) % loaded.model.config.get_text_config().vocab_size for number in range(8)]])
    expected = loaded.logits(loaded.hidden(ids))
    try:
        for layer in layers:
            layer.forward = _quick(layer)
            if giving and layer.weight is not shared:
                given[layer] = layer.forward.keywords["weight"]
                layer.weight.data = layer.weight.new_empty(0)
        _trim()
        if alike(loaded.logits(loaded.hidden(ids)), expected, loaded):
            return True
    except (AttributeError, TypeError, RuntimeError):  # these operators are not part of torch's public interface
        pass
    _give_back(layers, given)
    return False


def _quick(layer: Any) -> functools.partial[torch.Tensor]:  # noqa: ANN401 - a torch.nn.Linear
    import torch

    operators = torch.ops.mkldnn
    weight = operators._reorder_linear_weight(layer.weight.detach(), _ROWS)  # noqa: SLF001 - it has no public name
    return functools.partial(_multiplied, operators._linear_pointwise, weight=weight, bias=layer.bias)  # noqa: SLF001


def _multiplied(
    multiply: Callable[..., torch.Tensor], given: torch.Tensor, *, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    return multiply(given, weight, bias, "none", [], "")
