"""Scores of every architecture equal those of plain forward passes, over any trie, lengths and budgets."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.contracts import RunContext
from harness.types import Completion, Decoding, Generate, LogLikelihood, LogProb, RollingLogLikelihood
from harness_models.hf.batching import Budget
from harness_models.hf.planning import Branches
from harness_models.hf.scoring import Scored, score
from tests.models.conftest import Plain, ask, greedy, make, user
from tests.shapes import BY_LENGTH, PLAIN, SHAPES, save_shape

QUESTIONS = ("Yes or No?", "What is the capital of France? please tell me", "What is the capital? " * 5, "sun " * 12)
ANSWERS = ("Yes", "No thank you", "Paris is the capital .", "Paris is the warm sun")


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("shapes")
    return functools.cache(lambda name: save_shape(folder / name, name))


@pytest.fixture(scope="session")
def loaded(shapes: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    @functools.cache
    def load(name: str) -> Any:
        model, candidate = make(shapes(name), RunContext(offline=True, weights=tmp_path_factory.mktemp("store")))
        ask(model, candidate, [LogLikelihood(messages=user("Yes"), continuation="No")])
        return model._loaded, Plain(shapes(name))

    return load


@pytest.mark.parametrize("name", SHAPES | BY_LENGTH)
def test_every_shape_scores_as_alone(name: str, shapes: Any, surroundings: RunContext) -> None:
    model, candidate = make(shapes(name), surroundings)
    plain = Plain(shapes(name))
    asked = [LogLikelihood(messages=user(q), continuation=a) for q in QUESTIONS for a in ANSWERS]
    for request, reply in zip(asked, ask(model, candidate, asked), strict=True):
        assert isinstance(reply, LogProb)
        logprob, is_greedy = plain.continuation(request.messages, request.continuation)
        assert reply.logprob == pytest.approx(logprob, abs=1e-3)
        assert reply.is_greedy is is_greedy


@pytest.mark.parametrize("name", SHAPES | BY_LENGTH)
def test_texts_longer_than_the_window_score_the_same_on_every_shape(
    name: str, shapes: Any, surroundings: RunContext
) -> None:
    model, candidate = make(shapes(name), surroundings)
    model._ready(candidate).window = 48
    plain = Plain(shapes(name))
    text = "the quick brown fox jumps over a lazy dog and then it sleeps in the warm sun . " * 6
    ids = [1, *plain.tokenizer(text, add_special_tokens=False)["input_ids"]]
    expected, done, end = 0.0, 1, 49
    while done < len(ids):
        expected += plain.logprob(ids[max(0, end - 49) : done], ids[done:end])[0]
        done, end = end, min(len(ids), end + 24)
    (reply,) = ask(model, candidate, [RollingLogLikelihood(text=text, stride=24)])
    assert isinstance(reply, LogProb)
    assert reply.logprob == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("name", SHAPES | BY_LENGTH)
def test_what_an_architecture_cannot_take_is_said(name: str, loaded: Any) -> None:
    model, _ = loaded(name)
    assert model.split
    assert bool(model.plain) is (name in PLAIN)
    assert bool(model.plain) is (name in PLAIN)


def test_the_fall_back_is_said(shapes: Any, surroundings: RunContext) -> None:
    model, candidate = make(shapes("bloom"), surroundings)
    ask(model, candidate, [LogLikelihood(messages=user("Yes"), continuation="No")])
    assert model.facts()["shared tokens"].startswith("forwarded each time: ")
    (note,) = model.notes()
    assert note.startswith("plain batches")
    ask(model, candidate, [Generate(messages=user("Yes"), decoding=Decoding(max_new_tokens=2))])
    note, waits = model.notes()
    assert "wait for their longest row" in waits
    assert "wait for their longest row" in model.facts()["generation"]


TOKENS = st.integers(3, 6)
"""Few different tokens, so that the paths part late and often."""


@st.composite
def tries(draw: st.DrawFn) -> list[Branches]:
    """Draw contexts behind one or many beginnings, of which they share any length, with any continuations."""
    head = draw(st.lists(TOKENS, min_size=0, max_size=40))
    stems = [[*head, *rest] for rest in draw(st.lists(st.lists(TOKENS, max_size=30), min_size=1, max_size=5))]
    rows: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for _ in range(draw(st.integers(1, 12))):
        stem = draw(st.sampled_from(stems))
        cut = draw(st.integers(0, len(stem)))
        context = (1, *stem[:cut], *draw(st.lists(TOKENS, max_size=20)))
        answers = draw(st.lists(st.lists(TOKENS, min_size=1, max_size=6).map(tuple), min_size=1, max_size=4))
        rows.setdefault(context, []).extend(answers)
    return [Branches(context=context, continuations=tuple(dict.fromkeys(found))) for context, found in rows.items()]


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2", "mistral-sliding", "bloom", "phi3-long"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=tries(), tokens=st.integers(1, 300), most=st.integers(1, 8), pack=st.integers(1, 200))
def test_any_trie_scores_as_plain_passes(
    name: str, loaded: Any, rows: list[Branches], tokens: int, most: int, pack: int
) -> None:
    model, plain = loaded(name)
    found: dict[int, Scored] = {}

    def deliver(index: int, scored: Scored | None) -> None:
        assert index not in found
        assert scored is not None
        found[index] = scored

    score(model, rows, Budget(tokens=tokens, rows=most, pack=pack), deliver)
    assert sorted(found) == list(range(len(rows)))
    for index, row in enumerate(rows):
        assert len(found[index].scores) == len(row.continuations)
        for one, continuation in zip(found[index].scores, row.continuations, strict=True):
            logprob, is_greedy = plain.logprob(row.context, continuation)
            assert one.logprob == pytest.approx(logprob, abs=1e-3)
            assert one.is_greedy is is_greedy


def test_lost_memory_costs_no_score(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes of more than 40 tokens fail: what is planned larger is cut until it fits, and one path stays too long."""
    model, plain = loaded("llama")
    stem = tuple(range(3, 23))
    rows = [Branches(context=(1, *stem, 30 + n), continuations=((40, 41), (50, 51, 52))) for n in range(6)]
    rows.append(Branches(context=(1, *range(60, 110)), continuations=((5,),)))
    real = model.hidden

    def scarce(ids: Any, **given: Any) -> Any:
        if ids.numel() > 40:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")
        return real(ids, **given)

    monkeypatch.setattr(model, "hidden", scarce)
    found: dict[int, Scored | None] = {}
    budget = Budget(tokens=4_096, rows=8)
    score(model, rows, budget, found.__setitem__)
    assert budget.tokens < 4_096
    assert sorted(found) == list(range(len(rows)))
    assert found[6] is None
    for index, row in enumerate(rows[:6]):
        scored = found[index]
        assert scored is not None
        for one, continuation in zip(scored.scores, row.continuations, strict=True):
            assert one.logprob == pytest.approx(plain.logprob(row.context, continuation)[0], abs=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_soft_cap_far_above_the_logits_is_found(dtype: str, shapes: Any, surroundings: RunContext) -> None:
    import torch

    model, candidate = make(shapes("gemma2-high-cap"), surroundings, dtype=dtype)
    loaded = model._ready(candidate)  # type: ignore[attr-defined]
    ids = loaded.tensor([[11 + 7 * n % 300 for n in range(30)]])
    with torch.inference_mode():
        whole = loaded.model(input_ids=ids).logits.float()
        assert torch.equal(loaded.logits(loaded.hidden(ids)), whole)


def test_a_recurrent_architecture_is_run_plainly(shapes: Any, surroundings: RunContext) -> None:
    model, candidate = make(shapes("mamba"), surroundings)
    plain = Plain(shapes("mamba"))
    asked = [LogLikelihood(messages=user(q), continuation=a) for q in QUESTIONS for a in ANSWERS]
    for request, reply in zip(asked, ask(model, candidate, asked), strict=True):
        assert isinstance(reply, LogProb)
        assert reply.logprob == pytest.approx(plain.continuation(request.messages, request.continuation)[0], abs=1e-3)
    said = [Generate(messages=user(q), decoding=greedy(12)) for q in QUESTIONS]
    for generate, reply in zip(said, ask(model, candidate, said), strict=True):
        assert isinstance(reply, Completion)
        assert reply.text == plain.greedy(generate.messages, 12)
    assert model.notes()


def test_padding_never_spoils_what_stands_before_it(loaded: Any) -> None:
    """In float16 a score below -16 under a mask that hides everything is minus infinity, and its softmax NaN."""
    from harness_models.hf.layout import lay_out, tree_mask
    from harness_models.hf.planning import plan

    model, _ = loaded("llama")
    answers = ((8, 9), (10, 11), (12, 13))
    rows = [Branches(context=(n, *range(20, 20 + length)), continuations=answers) for n, length in ((1, 3), (2, 12))]
    trie = plan(rows, pack_tokens=8)
    layouts = [lay_out(trie, pack, 0, rows) for pack in trie.groups[0].packs]
    longest = max(len(item.tokens) for item in layouts)
    assert min(len(item.tokens) for item in layouts) < longest
    mask = tree_mask(model, layouts, longest, 0)
    assert bool((mask == 0).any(dim=-1).all())
