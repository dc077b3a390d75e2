"""Attention to a prefix that many rows share, apart from what stands behind it: nothing is copied and nothing masked.

All new tokens of a pass look at all of the prefix, so that they are one long row of queries before its keys, without a
mask of (length) x (prefix + length); what they see of each other is a second attention. The two are put together by the
logarithms of their sums of exponentials, which is the softmax over both: Milakov and Gimelshein 2018, "Online
normalizer calculation for softmax", section 3; for shared prefixes Juravsky et al. 2024, "Hydragen", section 3.1.
"""

from __future__ import annotations

import functools

import torch

Prefix = tuple[torch.Tensor, torch.Tensor]
"""Keys and values of one row, (1, key heads, P, D)."""


@functools.cache
def possible() -> bool:
    """Tell whether this torch says the sums of its attention on a CPU, which is not part of its public interface."""
    one = torch.zeros(1, 1, 1, 8)
    try:
        _attention(one.expand(-1, 2, -1, -1), one, one, None, causal=False)  # two heads that share keys
    except (AttributeError, RuntimeError, TypeError, ValueError):
        return False
    return True


def attend(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None, prefix: Prefix
) -> torch.Tensor:
    """Attend to a prefix and to what is new, (B, heads, L, D).

    Args:
        query: (B, heads, L, D).
        keys: of the new tokens, (B, key heads, L, D).
        values: the same.
        mask: additive, (B or 1, 1, L, L), of the new tokens alone; None is causal attention.
        prefix: what all of them see.
    """
    rows, heads, length, size = query.shape
    own, sums = _attention(query, keys, values, mask, causal=mask is None)
    kinds = keys.shape[1]
    # Heads of a group stand as if they were tokens: each key is read once for all.
    grouped = query.reshape(rows, kinds, -1, size).transpose(0, 1).reshape(1, kinds, -1, size)
    before, other = _attention(grouped, *prefix, None, causal=False)
    before = before.view(kinds, rows, -1, size).transpose(0, 1).reshape(rows, heads, length, size)
    other = other.reshape(kinds, rows, -1).transpose(0, 1).reshape(rows, heads, length)
    return torch.lerp(before, own, torch.sigmoid(sums - other)[..., None].to(own.dtype))


def _attention(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None, *, causal: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what is attended, and the logarithm of each query's sum of exponentials, (B, heads, L), float32."""
    flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # noqa: SLF001 - it has no public name
    found: tuple[torch.Tensor, torch.Tensor] = flash(query, keys, values, 0.0, causal, attn_mask=mask)
    return found
