"""Chooses the next token of each row: the most probable one, or a draw that depends on the row alone."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from harness.api import sha256_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from harness.api import Decoding
    from harness_models.hf.loading import Loaded
    from harness_models.hf.rows import Row

_NUCLEUS = 1024
"""Most probable tokens that are sorted at first: nearly every nucleus is smaller, and sorting all is slow."""


def uniforms(prompt: Sequence[int], decoding: Decoding, draw: int, count: int) -> Sequence[float]:
    """Return the row's own numbers in [0, 1), one for each token; none where nothing is drawn.

    They are a function of prompt, seed and draw, never of batch or order.
    """
    if decoding.temperature <= 0:
        return ()
    import torch

    seed = int(sha256_json([list(prompt), decoding.seed, draw])[:15], 16)
    generator = torch.Generator(device="cpu").manual_seed(seed)
    # Eight bytes each, not the thirty of a list: thousands of rows wait with a number for each token they may say.
    return array("d", torch.rand(count, generator=generator, dtype=torch.float64).tolist())


def next_tokens(loaded: Loaded, states: torch.Tensor, rows: Sequence[Row]) -> list[int]:
    """Choose the next token of each row from the states (B, H) that predict it."""
    if loaded.likeliest is not None and not any(row.uniforms for row in rows):
        return loaded.likeliest(states)
    return choose(loaded.logits(states), rows)


def choose(logits: torch.Tensor, rows: Sequence[Row]) -> list[int]:
    """Choose the next token of each row from logits (B, V); reads from the device once where all rows are greedy."""
    chosen: list[int] = logits.argmax(dim=-1).tolist()
    drawn = [place for place, row in enumerate(rows) if row.uniforms]
    for nucleus in (True, False):
        places = [place for place in drawn if (rows[place].ask.decoding.top_p < 1) is nucleus]
        if places:
            given = [rows[place] for place in places]
            numbers = [row.uniforms[len(row.tokens)] for row in given]
            tempered = _probabilities(logits[places], [row.ask.decoding.temperature for row in given])
            tokens = (
                _from_nucleus(tempered, [row.ask.decoding.top_p for row in given], numbers)
                if nucleus
                else _from_all(tempered, numbers)
            )
            for place, token in zip(places, tokens, strict=True):
                chosen[place] = token
    return chosen


def _probabilities(logits: torch.Tensor, temperatures: Sequence[float]) -> torch.Tensor:
    if logits.device.type == "mps":  # which has no double precision
        logits = logits.cpu()
    doubled = logits.double()
    return (doubled / doubled.new_tensor(temperatures)[:, None]).softmax(dim=-1)


def _from_all(probabilities: torch.Tensor, numbers: Sequence[float]) -> list[int]:
    """Draw from all tokens: the first at which the summed probability exceeds the number."""
    cumulative = probabilities.cumsum(dim=-1)
    tokens: list[int] = _first_beyond(cumulative, cumulative[:, -1:], numbers)[:, 0].tolist()
    return tokens


def _from_nucleus(probabilities: torch.Tensor, top_ps: Sequence[float], numbers: Sequence[float]) -> list[int]:
    """Draw from the smallest set of most probable tokens whose probability reaches `top_p`.

    Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", section 3.1.
    """
    import torch

    wanted = probabilities.new_tensor(top_ps)[:, None]
    ordered, tokens = _most_probable(probabilities, min(_NUCLEUS, probabilities.shape[-1]))
    cumulative = ordered.cumsum(dim=-1)
    if cumulative.shape[-1] < probabilities.shape[-1] and bool((cumulative[:, -1:] < wanted).any()):
        ordered, tokens = _most_probable(probabilities, probabilities.shape[-1])
        cumulative = ordered.cumsum(dim=-1)
    last = (cumulative < wanted).sum(dim=-1, keepdim=True).clamp(max=cumulative.shape[-1] - 1)
    places = torch.minimum(_first_beyond(cumulative, cumulative.gather(1, last), numbers), last)
    drawn: list[int] = tokens.gather(1, places)[:, 0].tolist()
    return drawn


def _most_probable(probabilities: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the `count` greatest probabilities and their tokens, the smaller token first where two are equal."""
    if count == probabilities.shape[-1]:
        return probabilities.sort(dim=-1, descending=True, stable=True)
    tokens = probabilities.topk(count, dim=-1).indices.sort(dim=-1).values
    ordered, order = probabilities.gather(1, tokens).sort(dim=-1, descending=True, stable=True)
    return ordered, tokens.gather(1, order)


def _first_beyond(cumulative: torch.Tensor, mass: torch.Tensor, numbers: Sequence[float]) -> torch.Tensor:
    """Return the first place (B, 1) of cumulative (B, V) that exceeds the number's share of the mass (B, 1)."""
    import torch

    shares = cumulative.new_tensor(numbers)[:, None] * mass
    return torch.searchsorted(cumulative, shares, right=True).clamp(max=cumulative.shape[-1] - 1)
