"""Finds the likeliest token of each row by a rough product of the head, on processors that multiply bfloat16 quickly.

A rough product in bfloat16 says which tokens it can be: by how much it may be off follows from the lengths of the
vectors (Cauchy and Schwarz). These few are multiplied in float32, so that the token is that of float32, at a fraction
of the head's arithmetic and with half of its weights read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from harness_models.hf.loading import Loaded

_ROWS = 32
"""Rows that the order of the weights is chosen for."""
_CANDIDATES = 4_096
"""Tokens that are multiplied one by one, of all rows; where there are more, all logits are made."""
_ROUNDING = 2.0**-9
"""Of a number, that it is off by in bfloat16 at most, and so of a vector's length."""
_RESULT = 2.0**-8
"""Of a result in bfloat16, that its rounding may be off by: twice the unit roundoff."""
_SUM = 2.0**-22
"""The same of each term of a sum in float32, whatever its order, rough and exact together."""


class RoughHead:
    """The head in bfloat16, beside its weights in float32.

    Args:
        weight: float32, (V, H), which stays where it is.

    Raises:
        RuntimeError: where this torch lacks the operators.
    """

    def __init__(self, weight: torch.Tensor) -> None:
        self._weight = weight.detach()
        self._longest = float(_length(self._weight).max())
        self._groups = next(count for count in (64, 16, 4, 1) if len(weight) % count == 0)
        operators = torch.ops.mkldnn
        self._packed = operators._reorder_linear_weight(self._weight.to(torch.bfloat16), _ROWS)  # noqa: SLF001 - it has no public name
        self._multiply = operators._linear_pointwise  # noqa: SLF001

    def tokens(self, states: torch.Tensor) -> list[int]:
        """Return the token with the largest float32 logit for each state (B, H), the first where several are equal."""
        near = states.to(torch.bfloat16)
        rough = self._multiply(near, self._packed, None, "none", [], "")
        # Every so manyth token is of one group: a comparison with the largest of each group spares one with all.
        grouped = rough.view(len(states), self._groups, -1)
        largest = grouped.amax(dim=1)
        least = self._least(states, near, largest.amax(dim=-1, keepdim=True).float())
        rows, groups = (largest >= least).nonzero().unbind(dim=1)
        members = grouped[rows, :, groups]
        found, places = (members >= least[rows]).nonzero().unbind(dim=1)
        rows, tokens = rows[found], places * largest.shape[1] + groups[found]
        if len(rows) > _CANDIDATES or len(set(rows.tolist())) < len(states):  # NaN is larger than nothing
            whole: list[int] = functional.linear(states, self._weight).argmax(dim=-1).tolist()
            return whole
        exact = (states[rows] * self._weight[tokens]).sum(dim=-1)
        best: dict[int, tuple[float, int]] = {}
        for row, token, value in zip(rows.tolist(), tokens.tolist(), exact.tolist(), strict=True):
            best[row] = max(best.get(row, (value, -token)), (value, -token))
        return [-best[row][1] for row in range(len(states))]

    def _least(self, states: torch.Tensor, near: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
        """Return the rough logit (B, 1) below which no token can be the likeliest, where `top` is the largest.

        With w and x for a token's weights and the state, and v and y for the same in bfloat16:
        |v y - w x| <= |w - v| |x| + |v| |x - y|, and a little for what sums and the result are rounded by.
        """
        length = _length(states)
        off = self._longest * (_ROUNDING + _SUM * states.shape[-1]) * length
        off += 1.01 * self._longest * _length(states - near.float())
        least = top - _RESULT * top.abs() - 2 * off
        return (least - 2 * _RESULT * least.abs()).to(torch.bfloat16)


def _length(vectors: torch.Tensor) -> torch.Tensor:
    lengths: torch.Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return lengths


def rough_head(loaded: Loaded) -> RoughHead | None:
    """Return the rough head of a model of our own; None where the processor gains nothing by it.

    It gains where it multiplies bfloat16 in instructions of its own (AVX512-BF16, AMX).
    """
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    if not (loaded.own and loaded.place.dtype == "float32" and supported is not None and supported()):
        return None
    size = loaded.model.config.vocab_size
    try:
        head = RoughHead(loaded.model.get_output_embeddings().weight)
        states = loaded.hidden(loaded.tensor([[(7 * number + 3) % size for number in range(8)]]))[0]
        same = head.tokens(states) == loaded.logits(states).argmax(dim=-1).tolist()
    except (AttributeError, RuntimeError):  # these operators are not part of torch's public interface
        return None
    return head if same else None
