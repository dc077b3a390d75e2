"""Attention over blocks of tokens, for models of transformers on a GPU: no mask of length x (prefix + length) is made.

A mask says for each block of 128 queries which blocks of 128 keys it looks at, and how two tokens of a block are told
apart; blocks that nobody looks at are skipped. torch's `flex_attention` makes a kernel of that: Dong et al. 2024, "Flex
Attention: A Programming Model for Generating Optimized Attention Kernels". The packs of a batch stand behind each other
as one sequence, so that no padding is forwarded and a prefix is put before all of them once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from harness_models.hf.batching import BLOCK

if TYPE_CHECKING:
    from harness_models.hf.layout import Mask
    from harness_models.hf.loading import Loaded

_LEAST = 2
"""Blocks of a mask at least, used or not: torch compiles anew for a size of one."""
_VARIANTS = 64
"""Kernels that may be compiled: for each set of heads, number format and soft cap, with one row or more."""


def block_mask(loaded: Loaded, positions: Sequence[int], ends: Sequence[int], depth: int) -> Mask:
    """Return the mask of one sequence behind a prefix, for all layers or for each type of layer.

    An architecture hands on any tensor of four dimensions untouched, so an empty one carries each mask as `blocks`.

    Args:
        loaded: says which layers look how far.
        positions: of the N tokens, as `Layout` has them.
        ends: the same; the token at `t` sees the one at `j` where `j <= t < ends[j]`.
        depth: P, tokens of the prefix, which all see as far as their layer looks.
    """
    if loaded.reach.by_layer:
        made = {window: _mask(loaded, positions, ends, depth, window) for window in {*loaded.reach.windows.values()}}
        return {kind: made[window] for kind, window in loaded.reach.windows.items()}
    return _mask(loaded, positions, ends, depth, loaded.reach.window)


def causal_blocks(loaded: Loaded, depth: int, length: int) -> Mask:
    """Return the mask of rows of so many tokens behind so many others, each of which sees all before it."""
    return block_mask(loaded, range(depth, depth + length), [length] * length, depth)


def _mask(
    loaded: Loaded, positions: Sequence[int], ends: Sequence[int], depth: int, window: int | None
) -> torch.Tensor:
    """Compare what is least and most in each block: a mask is never made token by token."""
    length, whole = len(positions), depth + len(positions)
    new = torch.tensor(positions, dtype=torch.int32)
    order = torch.arange(depth, whole, dtype=torch.int32)  # of the queries, among the keys
    seen = torch.cat([torch.full((depth,), whole, dtype=torch.int32), torch.tensor(ends, dtype=torch.int32) + depth])
    at = torch.cat([torch.arange(depth, dtype=torch.int32), new])
    floor = torch.full_like(new, -1) if window is None else new - window  # a query sees what stands above it
    first, last = _blocks(torch.arange(whole, dtype=torch.int32))
    (order_low, order_high), (seen_low, seen_high) = _blocks(order), _blocks(seen)
    (at_low, at_high), (floor_low, floor_high) = _blocks(at), _blocks(floor)
    some = (first <= order_high[:, None]) & (order_low[:, None] < seen_high) & (at_high > floor_low[:, None])
    every = (last <= order_low[:, None]) & (order_high[:, None] < seen_low) & (at_low > floor_high[:, None])
    device = loaded.model.device
    # A kernel looks up all tokens of a block, those of the last block of queries too.
    seen, at = (torch.nn.functional.pad(_filled(part, 0), (0, BLOCK)).to(device) for part in (seen, at))
    start = torch.tensor(depth, dtype=torch.int32, device=device)
    far = torch.tensor(window or 0, dtype=torch.int32, device=device)

    def sees(row: torch.Tensor, head: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:  # noqa: ARG001
        here = query + start
        return (key <= here) & (here < seen[key])

    def sees_near(row: torch.Tensor, head: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        return sees(row, head, query, key) & (at[query + start] - at[key] < far)

    carrier = torch.zeros(1, 1, 1, 1, dtype=loaded.model.dtype, device=device)
    carrier.blocks = BlockMask.from_kv_blocks(  # type: ignore[attr-defined] # to be found again where it attends
        *_listed(some & ~every, device),
        *_listed(some & every, device),
        BLOCK_SIZE=BLOCK,
        mask_mod=sees if window is None else sees_near,
        seq_lengths=(length, whole),
        compute_q_blocks=False,
    )
    return carrier


def _blocks(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the least and the largest of each block; of one that is empty, the other way round, so nothing is seen."""
    limits = torch.iinfo(values.dtype)
    low, high = (_filled(values, least_or_most).view(-1, BLOCK) for least_or_most in (limits.max, limits.min))
    return low.amin(dim=1), high.amax(dim=1)


def _filled(values: torch.Tensor, value: int) -> torch.Tensor:
    """Fill the last block up."""
    count = max(_LEAST, -(-len(values) // BLOCK))
    return torch.nn.functional.pad(values, (0, count * BLOCK - len(values)), value=value)


def _listed(chosen: torch.Tensor, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how many blocks of keys each block of queries looks at (1, 1, Q), and which come first (1, 1, Q, K)."""
    counts = chosen.sum(dim=1, dtype=torch.int32)
    indices = chosen.int().argsort(dim=1, descending=True, stable=True).to(torch.int32)
    return counts[None, None].to(device), indices[None, None].contiguous().to(device)


def attend_over_blocks(
    module: Any,  # noqa: ANN401, ARG001 - a model's attention layer
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    scaling: float | None = None,
    softcap: float | None = None,
    **more: Any,  # noqa: ANN401
) -> tuple[torch.Tensor, None]:
    """Attend as transformers asks for it: (B, heads, L, D) to (B, L, heads, D).

    Raises:
        TypeError: where a layer asks for more, such as sinks or a bias by position.
    """
    for name in ("s_aux", "position_bias"):
        if more.get(name) is not None:
            raise TypeError(f"its attention takes {name}")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    flex = _compiled() if _fused(query.device) else _flex
    mask = attention_mask.blocks  # type: ignore[attr-defined] # put there by `block_mask`
    found = flex(query, key, value, mask, _number(scale, query.device), _number(softcap, query.device))
    return found.transpose(1, 2).contiguous(), None


def _fused(device: torch.device) -> bool:
    """Tell whether torch is to make a kernel for a device; else it makes all scores, which only tests do."""
    return device.type == "cuda"


@functools.cache
def _compiled() -> Callable[..., torch.Tensor]:
    """Return the attention as a kernel, with lengths that may change; where none can be made it raises."""
    make: Any = torch.compile  # not all that it takes is in its types
    compiled: Callable[..., torch.Tensor] = make(
        _flex, dynamic=True, fullgraph=True, recompile_limit=_VARIANTS, isolate_recompiles=True
    )
    return compiled


def _flex(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: BlockMask,
    scale: torch.Tensor | None,
    cap: torch.Tensor | None,
) -> torch.Tensor:
    def scaled(score: torch.Tensor, row: Any, head: Any, at: Any, to: Any) -> torch.Tensor:  # noqa: ANN401, ARG001
        assert scale is not None  # noqa: S101 - for the type checker
        return score * scale

    def capped(score: torch.Tensor, row: Any, head: Any, at: Any, to: Any) -> torch.Tensor:  # noqa: ANN401, ARG001
        assert scale is not None and cap is not None  # noqa: S101, PT018 - the same
        return torch.tanh(score * scale / cap) * cap

    # The kernel for few queries shares heads by powers of two alone, so it is not taken. On a CPU this says nothing.
    options: Any = {"BACKEND": "TRITON"}
    found: torch.Tensor = flex_attention(
        query, key, value, score_mod=scaled if cap is None else capped, block_mask=mask, scale=1.0, enable_gqa=True,
        kernel_options=options,
    )  # fmt: skip
    return found


@functools.cache
def _number(value: float | None, device: torch.device) -> torch.Tensor | None:
    """Return a number as a tensor: a kernel is compiled anew for another number, or cannot be where it may change."""
    return None if value is None else torch.tensor(value, dtype=torch.float32, device=device)
