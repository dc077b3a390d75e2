"""Drawn tokens follow the tempered, cut distribution, and each row's own numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.types import Decoding
from harness_models.hf import sampling
from harness_models.hf.rows import Ask, rows_of


def row(seed: int, **decoding: Any) -> Any:
    given = Decoding(max_new_tokens=8, **({"temperature": 1.0} | decoding), seed=seed)
    (found,) = rows_of([Ask(prompt=(1, 2, seed), decoding=given, room=8)], str)
    return found


def drawn(logits: Any, row: Any) -> int:
    """The definition, a token at a time: walk down the sorted nucleus until the number is spent."""
    decoding = row.ask.decoding
    if not row.uniforms:
        return int(np.argmax(logits))
    probabilities = np.exp(logits.astype(np.float64) / decoding.temperature)
    probabilities /= probabilities.sum()
    order = np.arange(len(logits))
    if decoding.top_p < 1:
        order = np.lexsort((order, -probabilities))
        kept = int((np.cumsum(probabilities[order]) < decoding.top_p).sum()) + 1
        order = order[:kept]
    cumulative = np.cumsum(probabilities[order])
    return int(order[np.searchsorted(cumulative, row.uniforms[0] * cumulative[-1], side="right")])


@given(seed=st.integers(0, 10_000), top_p=st.sampled_from([0.05, 0.5, 0.95, 0.999, 1.0]), flat=st.booleans())
@settings(max_examples=60, deadline=None)
def test_draws_follow_the_definition_whatever_shares_the_batch(seed: int, top_p: float, flat: bool) -> None:
    import torch

    rng = np.random.default_rng(seed)
    size = 3000  # more than are sorted at first: a flat distribution's nucleus is larger
    logits = rng.normal(scale=0.1 if flat else 4.0, size=(4, size)).astype(np.float32)
    rows = [
        row(seed, top_p=top_p), row(seed + 1, temperature=0.0), row(seed + 2), row(seed + 3, top_p=0.7, temperature=2.0)
    ]  # fmt: skip
    expected = [drawn(each, r) for each, r in zip(logits, rows, strict=True)]
    assert sampling.choose(torch.tensor(logits), rows) == expected
    assert sampling.choose(torch.tensor(logits[::-1].copy()), rows[::-1]) == expected[::-1]
    assert sampling.choose(torch.tensor(logits[:1]), rows[:1]) == expected[:1]


def test_equal_logits_are_ordered_by_token() -> None:
    import torch

    logits = torch.zeros(1, 3000)
    logits[0, 1500:1510] = 9.0
    assert {sampling.choose(logits, [row(seed, top_p=0.2)])[0] for seed in range(40)} <= set(range(1500, 1505))


def test_frequencies_are_the_probabilities() -> None:
    import torch

    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0]]).expand(4000, -1)
    counts = Counter(sampling.choose(logits, [row(seed) for seed in range(4000)]))
    for token, probability in enumerate(torch.tensor([0.0, 1.0, 2.0, -1.0]).softmax(-1).tolist()):
        assert counts[token] / 4000 == pytest.approx(probability, abs=0.03)


def test_numbers_depend_on_prompt_seed_and_draw() -> None:
    decoding = Decoding(max_new_tokens=8, temperature=1.0, seed=4)
    numbers = sampling.uniforms((1, 2), decoding, 0, 8)
    assert numbers == sampling.uniforms((1, 2), decoding, 0, 8)
    assert numbers[:3] == sampling.uniforms((1, 2), decoding, 0, 3)
    assert numbers != sampling.uniforms((1, 2), decoding, 1, 8)
    assert numbers != sampling.uniforms((1, 3), decoding, 0, 8)
    assert all(0 <= number < 1 for number in numbers)
