"""The likeliest tokens of a rough product are those of float32, and nothing but greedy rows is told by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.contracts import RunContext
from harness.types import Candidate, Generate
from harness_models.hf import packing
from tests import tiny
from tests.models.conftest import Plain, ask, greedy, spec_of, user

if TYPE_CHECKING:
    import torch

TEXTS = ("What is the capital of France?", "Yes", "the quick brown fox", "one two three four five six", "sun")


@pytest.fixture(autouse=True)
def multiplies_bfloat16() -> None:
    import torch

    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("oneDNN multiplies no bfloat16 on this processor")


def numbers(*shape: int, seed: int) -> torch.Tensor:
    import torch

    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("tokens", [1, 77, 640, 1_024])
@pytest.mark.parametrize("rows", [1, 3, 40])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
def test_they_are_those_of_float32(tokens: int, rows: int, scale: float) -> None:
    import torch

    from harness_models.hf.likeliest import RoughHead

    weight, states = numbers(tokens, 64, seed=1), scale * numbers(rows, 64, seed=2)
    # Each token has neighbours that bfloat16 cannot tell from it.
    weight[1::2] = weight[: tokens // 2 * 2 : 2] * (1 + 1e-4 * numbers(tokens // 2, 1, seed=3))
    found = RoughHead(weight).tokens(states)
    exact = states.double() @ weight.double().T
    chosen = exact[range(rows), found]
    assert bool((chosen >= exact.amax(dim=-1) - 1e-5 * exact.abs().amax(dim=-1)).all())
    assert all(type(token) is int for token in found)
    torch.testing.assert_close(chosen, exact.amax(dim=-1), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("many", [False, True])
def test_the_first_of_equal_tokens_counts(many: bool) -> None:
    from harness_models.hf.likeliest import RoughHead

    states = numbers(5, 64, seed=4)
    weight = 0.01 * numbers(512, 64, seed=5)
    places = range(7, 512) if many else (500, 130, 7, 71)
    for place in places:
        weight[place] = states.sum(dim=0)
    assert RoughHead(weight).tokens(states) == [7] * 5


def test_what_is_not_a_number_is_told_as_by_all_logits() -> None:
    import torch

    from harness_models.hf.likeliest import RoughHead

    weight, states = numbers(128, 64, seed=6), numbers(3, 64, seed=7)
    states[1, 5] = torch.nan
    assert RoughHead(weight).tokens(states) == (states @ weight.T).argmax(dim=-1).tolist()


def test_only_greedy_rows_are_told_by_it(
    tmp_path: Path, surroundings: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from harness_models.hf.likeliest import RoughHead
    from harness_models.hf.model import HfModel

    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(packing, "WORTH", 40)
    calls: list[int] = []
    plain = RoughHead.tokens

    def counted(head: Any, states: torch.Tensor) -> list[int]:
        calls.append(len(states))
        return plain(head, states)

    monkeypatch.setattr(RoughHead, "tokens", counted)
    wide = tiny.save_llama(tmp_path / "wide", hidden=128)
    model, candidate = HfModel(spec_of(wide), surroundings), Candidate(model=spec_of(wide))
    asked = [Generate(messages=user(text), decoding=greedy(12)) for text in TEXTS]
    replies, whole = ask(model, candidate, asked), Plain(wide)
    assert [reply.text for reply in replies] == [whole.greedy(request.messages, 12) for request in asked]
    assert sum(calls) > 5 * 12
    assert model._loaded.likeliest is None
    calls.clear()
    drawn = [replace(request, decoding=replace(request.decoding, temperature=0.7)) for request in asked[:2]]
    ask(model, candidate, [*drawn, *asked[2:]])
    assert calls == []


def test_its_room_is_free_before_weights_come_back(
    tmp_path: Path, surroundings: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    import weakref

    import torch

    from harness_models.hf import likeliest
    from harness_models.hf.model import HfModel

    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    heads: list[weakref.ref[likeliest.RoughHead]] = []
    made, give_back = likeliest.rough_head, packing._give_back
    events: list[object] = []

    def watched(loaded: Any) -> Any:
        head = made(loaded)
        heads.append(weakref.ref(head))
        return head

    def returned(*given: Any) -> None:
        events.append(heads[0]())
        give_back(*given)

    monkeypatch.setattr(likeliest, "rough_head", watched)
    monkeypatch.setattr(packing, "_give_back", returned)
    wide = tiny.save_llama(tmp_path / "wide", hidden=128)
    loaded = HfModel(spec_of(wide), surroundings)._ready(Candidate(model=spec_of(wide)))
    with packing.packed(loaded, packing.WORTH, greedy=True):
        assert loaded.likeliest is not None
        assert not events
    assert events == [None]
