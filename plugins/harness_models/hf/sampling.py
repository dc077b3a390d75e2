"""Chooses the next token: the most probable one, or a draw that depends on the row alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.hashing import sha256_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from harness.types import Decoding


def row_generator(prompt: Sequence[int], decoding: Decoding, draw: int) -> torch.Generator:
    """Return the row's own source of chance: a function of prompt, seed and draw, never of batch or order."""
    import torch

    seed = int(sha256_json([list(prompt), decoding.seed, draw])[:15], 16)
    return torch.Generator(device="cpu").manual_seed(seed)


def sample(logits: torch.Tensor, decoding: Decoding, generator: torch.Generator) -> int:
    """Draw a token from logits (V,), tempered and cut to the nucleus, by one uniform number.

    The nucleus is the smallest set of most probable tokens whose probability reaches `top_p`
    (Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration").
    """
    import torch

    probabilities = torch.softmax(logits.double() / decoding.temperature, dim=-1)
    ordered, tokens = probabilities.sort(descending=True, stable=True)
    cumulative = ordered.cumsum(dim=-1)
    kept = int((cumulative < decoding.top_p).sum()) + 1 if decoding.top_p < 1 else len(ordered)
    kept = min(kept, len(ordered))
    uniform = float(torch.rand((), generator=generator, dtype=torch.float64)) * float(cumulative[kept - 1])
    place = int(torch.searchsorted(cumulative[:kept], torch.tensor(uniform, device=cumulative.device), right=True))
    return int(tokens[min(place, kept - 1)])
