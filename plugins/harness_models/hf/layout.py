"""Lays a pack of paths out as one sequence, and says which of its tokens see each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import torch

    from harness_models.hf.loading import Loaded
    from harness_models.hf.planning import Branches, Pack, Plan

Mask: TypeAlias = "torch.Tensor | Mapping[str, torch.Tensor]"
"""One mask for all layers, or one for each type of layer: additive (B, 1, L, P + L), or one that carries `blocks`."""
States: TypeAlias = "tuple[torch.Tensor, torch.Tensor]"
"""Some of the states (B, L) of a pass: their rows and their places, (N,) each."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A pack as one sequence: its part of the trie in depth-first order, each node once."""

    tokens: list[int]
    positions: list[int]
    """Depth in the trie: where the token stands in every path through it."""
    ends: list[int]
    """One past the last token below each: token `t` sees token `j` where `j <= t < ends[j]`."""
    reads: list[tuple[int, int, int]]
    """Path, index of the state that predicts, predicted token; a path's in order."""


def lay_out(plan: Plan, pack: Pack, depth: int, rows: Sequence[Branches]) -> Layout:
    """Lay out a pack behind a prefix of `depth` tokens."""
    tokens: list[int] = []
    positions: list[int] = []
    ends: list[int] = []
    reads: list[tuple[int, int, int]] = []
    above: list[int] = []  # the tokens from the prefix down to the current one
    for index in range(pack.first, pack.last):
        path = plan.paths[index]
        start = depth if index == pack.first else path.shared
        for left in above[start - depth :]:
            ends[left] = len(tokens)
        del above[start - depth :]
        count = len(path.tokens) - start
        above += range(len(tokens), len(tokens) + count)
        tokens += path.tokens[start:]
        positions += range(start, start + count)
        ends += [0] * count
        first = path.context - 1 - depth
        continuation = rows[path.row].continuations[path.number]
        reads += [
            (index, state, token)
            for state, token in zip(above[first : first + len(continuation)], continuation, strict=True)
        ]
    for left in above:
        ends[left] = len(tokens)
    return Layout(tokens=tokens, positions=positions, ends=ends, reads=reads)


def joined(layouts: Sequence[Layout]) -> Layout:
    """Return layouts behind each other as one sequence, whose tokens see none of another layout's."""
    tokens: list[int] = []
    positions: list[int] = []
    ends: list[int] = []
    reads: list[tuple[int, int, int]] = []
    for item in layouts:
        before = len(tokens)
        tokens += item.tokens
        positions += item.positions
        ends += [before + end for end in item.ends]
        reads += [(path, before + state, token) for path, state, token in item.reads]
    return Layout(tokens=tokens, positions=positions, ends=ends, reads=reads)


def tree_mask(loaded: Loaded, layouts: Sequence[Layout], longest: int, depth: int) -> Mask:
    """Return the masks of a batch: a token sees the prefix and its ancestors, as far as its layer looks.

    They are additive, or by blocks where the model attends so and the batch is one sequence.

    Args:
        loaded: says which layers look how far.
        layouts: the batch, B of them, to be padded on the right.
        longest: L, the longest layout.
        depth: P, the length of the prefix.
    """
    import torch

    if loaded.blocks and len(layouts) == 1:
        from harness_models.hf.blocks import block_mask

        return block_mask(loaded, layouts[0].positions, layouts[0].ends, depth)
    device, dtype = loaded.model.device, loaded.model.dtype
    # Padding sees what stands before it: where nothing is seen float16 may give NaN, which no weight of 0 hides.
    ends = torch.tensor([item.ends + [longest] * (longest - len(item.ends)) for item in layouts], device=device)
    order = torch.arange(longest, device=device)
    sees = (order[None, None, :] <= order[None, :, None]) & (order[None, :, None] < ends[:, None, :])
    sees = torch.cat([sees.new_ones(len(layouts), longest, depth), sees], dim=2)
    blocked = torch.finfo(dtype).min

    def additive(window: int | None) -> torch.Tensor:
        seen = sees
        if window is not None:
            at = torch.tensor(
                [item.positions + [0] * (longest - len(item.positions)) for item in layouts], device=device
            )
            keys = torch.cat([torch.arange(depth, device=device).expand(len(layouts), -1), at], dim=1)
            seen = sees & (at[:, :, None] - keys[:, None, :] < window)
        return torch.zeros(seen.shape, dtype=dtype, device=device).masked_fill_(~seen, blocked)[:, None]

    if loaded.reach.by_layer:
        return {kind: additive(window) for kind, window in loaded.reach.windows.items()}
    return additive(loaded.reach.window)
