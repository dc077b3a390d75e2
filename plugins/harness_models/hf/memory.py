"""How many tokens fit into free memory, for passes and for cached keys and values."""

from __future__ import annotations

from contextlib import suppress
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api import tensor_shapes
from harness_models.hf.batching import Budget

if TYPE_CHECKING:
    from harness_models.hf.loading import Loaded

_SHARE = 0.5
"""Of the free memory; the rest is for what cannot be foreseen, such as the allocator's gaps."""
_HIDDEN_COPIES = 14
_WIDE_COPIES = 4
"""Activations of a token that live at the same time in one layer: measured on SmolLM2 and rounded up."""
_MASK_BYTES = 16
"""Of an element while a mask is made: what is seen, what is added, and a layer's scores."""
_ON_CPU = Budget(tokens=1_024, rows=64, pack=256, cached=16_384)
_ON_GPU = Budget(tokens=32_768, rows=256, pack=1_024, cached=524_288)
"""More than this made nothing faster where it was measured; see docs/engine.md."""


def base_bytes(folder: Path, dtype: str) -> int:
    """Return about how many bytes the weights in a folder take once they are loaded in a number format."""
    shapes = {name: shape for file in folder.glob("*.safetensors") for name, shape in tensor_shapes(file).items()}
    return sum(prod(shape) for shape in shapes.values()) * (4 if dtype == "float32" else 2)


def budget_for(loaded: Loaded) -> Budget:
    """Return what suits the device, or less where free memory does not allow that."""
    return budget_of(loaded.place.device, activation_bytes(loaded), cache_bytes(loaded))


def budget_of(device: str, activation: int, cache: int) -> Budget:
    """Return what suits the device, or less where free memory does not allow that.

    Args:
        device: `cpu`, `cuda`, `cuda:N` or `mps`.
        activation: bytes of a token in a pass.
        cache: bytes of a token's keys and values.
    """
    best = _ON_CPU if device == "cpu" else _ON_GPU
    free = free_bytes(device)
    if free is None:
        return Budget(tokens=best.tokens, rows=best.rows, pack=best.pack, cached=best.cached)
    half = free * _SHARE / 2  # one half for activations, one for keys and values
    tokens = max(64, min(best.tokens, int(half / activation)))
    cached = max(256, min(best.cached, int(half / cache)))
    return Budget(
        tokens=tokens, rows=max(1, min(best.rows, cached // 64)), pack=max(32, min(best.pack, tokens)), cached=cached,
        mask=max(4_096, min(best.mask, int(half / _MASK_BYTES))),
    )  # fmt: skip


def activation_bytes(loaded: Loaded) -> int:
    """Return about how many bytes a forwarded token needs while it passes through a layer."""
    config = loaded.model.config.get_text_config()
    hidden = int(config.hidden_size)
    wide = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * hidden
    return (_HIDDEN_COPIES * hidden + _WIDE_COPIES * int(wide)) * _item_bytes(loaded)


def cache_bytes(loaded: Loaded) -> int:
    """Return how many bytes the keys and values of a token take in all layers."""
    config = loaded.model.config.get_text_config()
    heads = int(getattr(config, "num_attention_heads", None) or 1)  # recurrent architectures have none
    width = getattr(config, "head_dim", None) or int(config.hidden_size) // heads
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    return 2 * int(config.num_hidden_layers) * int(key_heads) * int(width) * _item_bytes(loaded)


def _item_bytes(loaded: Loaded) -> int:
    return 4 if loaded.place.dtype == "float32" else 2


def free_bytes(device: str) -> int | None:
    """Return the bytes that may be allocated now; None where nothing tells.

    On a CPU that is what the operating system calls available, or what is left of a container's limit.
    """
    if device.startswith("cuda"):
        import torch

        place = torch.device(device)
        free: int = torch.cuda.mem_get_info(place)[0]
        # What was freed in this process stays with torch, which uses it again.
        return free + torch.cuda.memory_reserved(place) - torch.cuda.memory_allocated(place)
    if device != "cpu":
        return None
    import psutil

    left = [psutil.virtual_memory().available]
    left += [room for room in (_room(*files) for files in _LIMITS) if room is not None]
    return min(left)


_GROUPS = Path("/sys/fs/cgroup")
_LIMITS: tuple[tuple[Path, Path, Path], ...] = (
    (_GROUPS / "memory.max", _GROUPS / "memory.current", _GROUPS / "memory.stat"),
    (
        _GROUPS / "memory/memory.limit_in_bytes",
        _GROUPS / "memory/memory.usage_in_bytes",
        _GROUPS / "memory/memory.stat",
    ),
)
"""Where Linux tells a container's limit and use, in both of its versions."""


def _room(limit: Path, used: Path, details: Path) -> int | None:
    """Return what a container may still use; pages of files that can be dropped count as free."""
    with suppress(OSError, ValueError):
        most, now = int(limit.read_text()), int(used.read_text())
        stat = dict(line.split() for line in details.read_text().splitlines())
        return max(0, most - now + int(stat.get("inactive_file", stat.get("total_inactive_file", 0))))
    return None
