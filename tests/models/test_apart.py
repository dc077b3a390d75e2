"""Attention to a shared prefix apart from what stands behind it is attention to both."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from harness.contracts import RunContext
from harness_models.hf import apart
from harness_models.hf.batching import Budget
from harness_models.hf.loading import load
from harness_models.hf.planning import Branches
from harness_models.hf.scoring import score
from tests import tiny
from tests.models.conftest import spec_of


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("masked", [False, True], ids=["causal", "tree"])
@pytest.mark.parametrize(
    ("rows", "heads", "kinds", "length", "before"), [(1, 4, 4, 1, 1), (3, 6, 2, 7, 40), (5, 4, 1, 33, 3)]
)
def test_it_is_attention_to_both(
    rows: int, heads: int, kinds: int, length: int, before: int, masked: bool, dtype: str
) -> None:
    import torch
    from torch.nn import functional

    assert apart.possible()
    draw = torch.Generator().manual_seed(rows + length)

    def some(*shape: int) -> torch.Tensor:
        return (4 * torch.randn(*shape, 16, generator=draw)).to(getattr(torch, dtype))

    query, keys, values = some(rows, heads, length), some(rows, kinds, length), some(rows, kinds, length)
    prefix = some(1, kinds, before), some(1, kinds, before)
    sees = torch.ones(length, length, dtype=torch.bool).tril().expand(rows, 1, -1, -1).clone()
    if masked:
        sees[:, :, 2:, 1:2] = False  # a branch that the tokens behind it are not on
    mask = torch.zeros(sees.shape, dtype=query.dtype).masked_fill_(~sees, torch.finfo(query.dtype).min)
    whole = torch.cat([torch.zeros(rows, 1, length, before, dtype=query.dtype), mask], dim=-1)
    expected = functional.scaled_dot_product_attention(
        query, *(torch.cat([held.expand(rows, -1, -1, -1), new], dim=2) for held, new in zip(prefix, (keys, values), strict=True)),
        attn_mask=whole, enable_gqa=True,
    )  # fmt: skip
    found = apart.attend(query, keys, values, mask if masked else None, prefix)
    assert float((found - expected).abs().max()) <= (1e-5 if dtype == "float32" else 0.1)


def test_scores_behind_a_prefix_are_the_same_and_no_mask_has_columns_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load(
        spec_of(tiny.save_llama(tmp_path / "base", hidden=32)), RunContext(offline=True, weights=tmp_path), bare=True
    )
    assert loaded.own
    beginning = tuple(range(20, 60))
    rows = [
        Branches(context=(*beginning, *range(number, number + 5)), continuations=((7, number), (7, 9), (11,)))
        for number in range(60, 72)
    ]
    widths: list[tuple[int, int]] = []
    forward = type(loaded.model).forward

    def watched(self: Any, ids: Any, mask: Any = None, *given: Any, **more: Any) -> Any:
        if mask is not None:
            widths.append((mask.shape[-1], ids.shape[1]))
        return forward(self, ids, mask, *given, **more)

    monkeypatch.setattr(type(loaded.model), "forward", watched)

    def scores() -> list[float]:
        found: dict[int, list[float]] = {}
        score(loaded, rows, Budget(tokens=64, rows=4, pack=16, cached=256), lambda index, scored: found.update({
            index: [one.logprob for one in scored.scores] if scored is not None else []
        }))  # fmt: skip
        return list(itertools.chain.from_iterable(found[index] for index in range(len(rows))))

    one, shapes = scores(), list(widths)
    widths.clear()
    monkeypatch.setattr(apart, "possible", lambda: False)
    assert one == pytest.approx(scores(), abs=1e-5)
    assert shapes
    assert all(columns == length for columns, length in shapes)
    assert any(columns >= length + len(beginning) for columns, length in widths)
