"""Attention over blocks, as on a GPU, gives the scores and texts of plain passes; here torch computes it uncompiled."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.contracts import RunContext
from harness.types import LogLikelihood
from harness_models.hf import blocks, probing
from harness_models.hf.batching import BLOCK, Budget, batches
from harness_models.hf.layout import Layout, joined, tree_mask
from harness_models.hf.loading import Loaded, load
from harness_models.hf.planning import Branches
from harness_models.hf.scoring import score
from tests.models.conftest import Plain, ask, make, shapes_in, spec_of, user
from tests.models.test_hf_continuous import asks, near_ties, prompt, run
from tests.models.test_hf_shapes import tries
from tests.shapes import PLAIN, SHAPES, save_shape

TAKING = sorted(set(SHAPES) - PLAIN)
SOME = ["llama", "gpt2", "gemma2", "gemma3", "mistral-sliding", "qwen2-sliding"]


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Choose blocks on the CPU too, of few tokens, and let torch run what it would make a kernel of."""
    monkeypatch.setattr(probing, "_by_blocks", lambda device: True)
    monkeypatch.setattr("torch.nn.attention.flex_attention._FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return shapes_in(tmp_path_factory.mktemp("shapes"))


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The masks that passes are given."""
    seen: list[Any] = []
    real = Loaded.hidden

    def watched(self: Loaded, ids: Any, **given: Any) -> Any:
        mask = given.get("mask")
        masks = mask.values() if isinstance(mask, dict) else [mask]
        seen.extend(getattr(one, "blocks", one) for one in masks)
        return real(self, ids, **given)

    monkeypatch.setattr(Loaded, "hidden", watched)
    return seen


STEM = tuple(3 + 7 * n % 300 for n in range(60))
ROWS = [
    *(
        Branches(
            context=(1, *STEM[: 20 + n % 3 * 20], *range(60 + n, 64 + 2 * n)), continuations=((7, n), (7, 9), (11,))
        )
        for n in range(9)
    ),
    Branches(context=(1, *range(100, 150)), continuations=((5, 6, 7),)),
]


@pytest.mark.parametrize("budget", [{"tokens": 48, "rows": 4, "pack": 16}, {"tokens": 400, "rows": 9, "pack": 64}])
@pytest.mark.parametrize("name", TAKING)
def test_every_shape_scores_as_alone_and_under_no_dense_mask(
    name: str, budget: dict[str, int], loaded: Any, passes: list[Any]
) -> None:
    model, plain = loaded(name)
    assert model.blocks, model.dense
    passes.clear()
    found: dict[int, Any] = {}
    score(model, ROWS, Budget(**budget), found.__setitem__)
    assert any(isinstance(mask, blocks.BlockMask) for mask in passes)
    assert all(mask is None or isinstance(mask, blocks.BlockMask) for mask in passes)
    for index, row in enumerate(ROWS):
        for one, continuation in zip(found[index].scores, row.continuations, strict=True):
            logprob, is_greedy = plain.logprob(row.context, continuation)
            assert one.logprob == pytest.approx(logprob, abs=1e-3)
            assert one.is_greedy is is_greedy


@pytest.mark.parametrize("name", ["llama", "gemma2", "mistral-sliding"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=tries(), tokens=st.integers(1, 300), most=st.integers(1, 8), pack=st.integers(1, 200))
def test_any_trie_scores_as_plain_passes(
    name: str, loaded: Any, rows: list[Branches], tokens: int, most: int, pack: int
) -> None:
    model, plain = loaded(name)
    found: dict[int, Any] = {}
    score(model, rows, Budget(tokens=tokens, rows=most, pack=pack), found.__setitem__)
    for index, row in enumerate(rows):
        for one, continuation in zip(found[index].scores, row.continuations, strict=True):
            logprob, is_greedy = plain.logprob(row.context, continuation)
            assert one.logprob == pytest.approx(logprob, abs=1e-3)
            assert one.is_greedy is is_greedy


@pytest.mark.parametrize("name", SOME)
def test_prompts_enter_their_slots_under_no_dense_mask(name: str, loaded: Any, passes: list[Any]) -> None:
    model, plain = loaded(name)
    asked = asks([prompt(n, 5 + 4 * n, shared=24) for n in range(7)], room=6)
    run(model, asks([prompt(0, 3)], room=1))
    passes.clear()
    assert len(near_ties(plain, asked, run(model, asked))) <= 1
    long = [mask for mask in passes if mask is not None and mask.shape[-2] > 1]
    assert long
    assert all(isinstance(mask, blocks.BlockMask) for mask in long)


def _dense(mask: blocks.BlockMask) -> Any:
    """What a mask by blocks lets each token see: all of its full blocks, and of the others what its function says."""
    import torch

    length, whole = mask.seq_lengths
    query, key = torch.arange(length)[:, None], torch.arange(whole)[None]
    lists = ((mask.kv_num_blocks, mask.kv_indices), (mask.full_kv_num_blocks, mask.full_kv_indices))
    sees = torch.zeros(length, whole, dtype=torch.bool)
    for full, (counts, indices) in enumerate(lists):
        assert counts is not None
        assert indices is not None
        listed = torch.zeros(indices.shape[2:], dtype=torch.bool)
        for row, (count, places) in enumerate(zip(counts[0, 0].tolist(), indices[0, 0].tolist(), strict=True)):
            listed[row, places[:count]] = True
        here = listed[query // BLOCK, key // BLOCK]
        sees |= here if full else here & mask.mask_mod(query * 0, query * 0, query, key)
    return sees


@pytest.mark.parametrize("window", [None, 5, 150])
@pytest.mark.parametrize("depth", [0, 1, 127, 128, 700])
def test_a_mask_by_blocks_says_what_a_dense_one_says(depth: int, window: int | None, loaded: Any) -> None:
    """Branches of many lengths, over several blocks: some are seen in part, some wholly, most not at all."""
    import torch

    from harness_models.hf.reach import Reach

    model, _ = loaded("llama")
    layouts = []
    for stem, branch in ((1, 3), (300, 40), (130, 2), (5, 129)):
        tokens = stem + 2 * branch
        positions = [*range(depth, depth + stem + branch), *range(depth + stem, depth + stem + branch)]
        ends = [*[tokens] * stem, *[stem + branch] * branch, *[tokens] * branch]
        layouts.append(Layout(tokens=[0] * tokens, positions=positions, ends=ends, reads=[]))
    one = joined(layouts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "reach", Reach(window=window))
        mask = tree_mask(model, [one], len(one.tokens), depth).blocks  # type: ignore[union-attr]
        found = _dense(mask)
        patch.setattr(model, "blocks", False)
        expected = tree_mask(model, [one], len(one.tokens), depth)[0, 0] == 0  # type: ignore[index]
    assert torch.equal(found, expected)
    if depth == 700 and window is None:
        assert mask.full_kv_num_blocks is not None
        assert int(mask.full_kv_num_blocks.sum()) > int(mask.kv_num_blocks.sum())


def test_packs_behind_each_other_need_no_padding_and_their_mask_little_room() -> None:
    lengths, budget = [700, 10, 10, 10, 650], Budget(tokens=1_400, rows=9, mask=1_400 * 1_400)
    assert batches(lengths, budget) == [[0, 4], [1, 2, 3]]
    assert batches(lengths, budget, joined=True) == [[0, 4, 1, 2, 3]]
    far = 100_000
    assert batches(lengths, budget, far) == [[0], [4], [1], [2], [3]]
    assert batches(lengths, budget, far, joined=True) == [[0, 4, 1, 2, 3]]
    assert batches(lengths, Budget(tokens=1_400, rows=9, mask=7_000), far, joined=True) == [[0], [4, 1, 2, 3]]


def test_an_architecture_that_gives_other_numbers_keeps_dense_masks(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = blocks.flex_attention
    monkeypatch.setattr(blocks, "flex_attention", lambda *given, **more: real(*given, **more) * 1.5)
    path = save_shape(tmp_path / "base", "qwen2")
    model, candidate = make(path, RunContext(offline=True, weights=tmp_path))
    asked = [LogLikelihood(messages=user("Yes or No?"), continuation=answer) for answer in ("Yes", "No thank you")]
    plain = Plain(path)
    for request, reply in zip(asked, ask(model, candidate, asked), strict=True):
        assert reply.logprob == pytest.approx(plain.continuation(request.messages, request.continuation)[0], abs=1e-3)  # type: ignore[union-attr]
    assert model.facts()["shared tokens"] == "forwarded once"
    assert model.facts()["attention masks"] == "dense: other scores than those of plain passes"


def test_an_architecture_that_raises_keeps_dense_masks_and_the_record_says_why(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*given: Any, **more: Any) -> Any:
        raise RuntimeError("no kernel for heads of this size\nand more")

    monkeypatch.setattr(blocks, "flex_attention", none)
    path = save_shape(tmp_path / "base", "qwen2")
    model, candidate = make(path, RunContext(offline=True, weights=tmp_path))
    ask(model, candidate, [LogLikelihood(messages=user("Yes or No?"), continuation="Yes")])
    assert model.facts()["attention masks"] == "dense: RuntimeError: no kernel for heads of this size"


@pytest.mark.parametrize("nth", [1, 2, 4])
def test_a_kernel_that_fails_later_costs_no_score_and_no_text(
    nth: int, loaded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, plain = loaded("llama")
    real, calls = blocks.flex_attention, [0]

    def failing(*given: Any, **more: Any) -> Any:
        calls[0] += 1
        if calls[0] >= nth:
            raise RuntimeError("out of resource: shared memory")
        return real(*given, **more)

    asked = asks([prompt(n, 5 + 4 * n, shared=24) for n in range(7)], room=6)
    run(model, asks([prompt(0, 3)], room=1))
    monkeypatch.setattr(blocks, "flex_attention", failing)
    try:
        found: dict[int, Any] = {}
        score(model, ROWS, Budget(tokens=48, rows=4, pack=16), found.__setitem__)
        for index, row in enumerate(ROWS):
            for one, continuation in zip(found[index].scores, row.continuations, strict=True):
                assert one.logprob == pytest.approx(plain.logprob(row.context, continuation)[0], abs=1e-3)
        assert (calls[0], model.dense) == (nth, "RuntimeError: out of resource: shared memory")
        model.blocks, model.dense, calls[0] = True, "", 0
        assert len(near_ties(plain, asked, run(model, asked))) <= 1
        assert (calls[0], model.dense) == (nth, "RuntimeError: out of resource: shared memory")
    finally:
        model.blocks, model.dense = True, ""


def test_the_record_says_where_masks_are_by_blocks(tmp_path: Any) -> None:
    model, candidate = make(save_shape(tmp_path / "base", "gemma2"), RunContext(offline=True, weights=tmp_path))
    ask(model, candidate, [LogLikelihood(messages=user("Yes or No?"), continuation="Yes")])
    assert model.facts()["attention masks"] == "by blocks"


@pytest.mark.parametrize("name", ["qwen2-sliding", "gemma2"])
def test_the_kernel_is_traced_whole_and_not_made_anew_for_each_length(
    name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of a GPU's way but for the code that torch generates last, which the probe compares with plain passes."""
    import torch

    made = [0]

    def backend(graph: Any, given: Any) -> Any:
        made[0] += 1
        return graph.forward

    monkeypatch.setattr(blocks, "_fused", lambda device: True)
    monkeypatch.setattr(blocks, "_compiled", functools.cache(blocks._compiled.__wrapped__))
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    path = save_shape(tmp_path / "base", name)
    model, plain = load(spec_of(path), RunContext(offline=True, weights=tmp_path)), Plain(path)
    assert model.blocks, model.dense
    counts = []
    for tokens in (24, 100, 400, 70, 150, 300):
        found: dict[int, Any] = {}
        score(model, ROWS, Budget(tokens=tokens, rows=9, pack=16), found.__setitem__)
        for index, row in enumerate(ROWS):
            for one, continuation in zip(found[index].scores, row.continuations, strict=True):
                assert one.logprob == pytest.approx(plain.logprob(row.context, continuation)[0], abs=1e-3)
        run(model, asks([prompt(n, 5 + tokens // 40 * n, shared=24) for n in range(7)], room=3))
        counts.append(made[0])
    assert 1 <= counts[2] == counts[5] < blocks._VARIANTS / 4
