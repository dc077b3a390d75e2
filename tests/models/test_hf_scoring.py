"""Scores equal those of a plain forward pass, whatever shares the batch."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.contracts import RunContext
from harness.types import LogLikelihood, LogProb, Message, NoReply, RollingLogLikelihood
from harness_models.hf.batching import Budget
from tests.models.conftest import Plain, ask, make, reasons, user
from tests.tiny import WINDOW

QUESTIONS = (
    "What is the capital of France?",
    "The quick brown fox jumps over the lazy dog. What does it do then? Please tell me about it. " * 2,
    "Yes or No?",
    "one two three four five six seven eight nine ten",
)
ANSWERS = ("Yes", "No", "Paris is the capital.", "I can not help you with that, sorry.", "Maybe")


def requests() -> list[LogLikelihood]:
    return [LogLikelihood(messages=user(q), continuation=a) for q in QUESTIONS for a in ANSWERS]


def test_continuations_score_as_alone(base: Path, surroundings: RunContext) -> None:
    model, candidate = make(base, surroundings)
    plain = Plain(base)
    for request, reply in zip(requests(), ask(model, candidate, requests()), strict=True):
        logprob, is_greedy = plain.continuation(request.messages, request.continuation)
        assert isinstance(reply, LogProb)
        assert reply.logprob == pytest.approx(logprob, abs=1e-3)
        assert reply.is_greedy is is_greedy
        assert reply.tokens == len(plain.tokenizer(request.continuation, add_special_tokens=False)["input_ids"])


def test_the_shortcuts_are_in_use(base: Path, surroundings: RunContext) -> None:
    model, candidate = make(base, surroundings)
    ask(model, candidate, requests()[:1])
    assert model._loaded.split
    assert not model._loaded.plain


def test_continuations_score_the_same_without_shortcuts(
    base: Path, surroundings: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness_models.hf.loading.own", lambda *_: None)
    model, candidate = make(base, surroundings)
    quick = ask(model, candidate, requests())
    model._loaded.split, model._loaded.plain = False, "so that nothing is shared"
    slow = ask(model, candidate, requests())
    for a, b in zip(quick, slow, strict=True):
        assert isinstance(a, LogProb)
        assert isinstance(b, LogProb)
        assert a.logprob == pytest.approx(b.logprob, abs=1e-3)


def test_a_shared_prefix_changes_nothing(base: Path, surroundings: RunContext) -> None:
    rules = Message(role="system", content="please tell me about the quick brown fox and the lazy dog. " * 2)
    many = [
        LogLikelihood(messages=(rules, *user(q)), continuation=a) for q in QUESTIONS for a in ("Yes", "No thank you")
    ]
    many += requests()
    random.Random(3).shuffle(many)
    model, candidate = make(base, surroundings)
    plain = Plain(base)
    for request, reply in zip(many, ask(model, candidate, many), strict=True):
        assert isinstance(reply, LogProb)
        assert reply.logprob == pytest.approx(plain.continuation(request.messages, request.continuation)[0], abs=1e-3)


def test_small_batches_give_the_same_scores(base: Path, surroundings: RunContext) -> None:
    model, candidate = make(base, surroundings)
    large = ask(model, candidate, requests())
    model._budget = Budget(tokens=1, rows=1)
    small = ask(model, candidate, requests())
    for a, b in zip(large, small, strict=True):
        assert isinstance(a, LogProb)
        assert isinstance(b, LogProb)
        assert a.logprob == pytest.approx(b.logprob, abs=1e-3)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_texts_score_as_alone(tiny_base: Path, surroundings: RunContext, data: st.DataObject) -> None:
    words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)
    asked = [
        LogLikelihood(messages=user(data.draw(words)), continuation=data.draw(words))
        for _ in range(data.draw(st.integers(1, 6)))
    ]
    asked = list(dict.fromkeys(asked))
    if not hasattr(test_any_texts_score_as_alone, "made"):
        test_any_texts_score_as_alone.made = (make(tiny_base, surroundings), Plain(tiny_base))
    (model, candidate), plain = test_any_texts_score_as_alone.made
    for request, reply in zip(asked, ask(model, candidate, asked), strict=True):
        assert isinstance(reply, LogProb)
        context = plain.prompt_ids(request.messages)
        turns = [{"role": "user", "content": request.messages[0].content}]
        text = plain.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        whole = plain.tokenizer(text + request.continuation, add_special_tokens=False)["input_ids"]
        assert whole[: len(context)] == context
        assert reply.logprob == pytest.approx(plain.logprob(context, whole[len(context) :])[0], abs=1e-3)


def test_plain_text_is_joined_by_one_space(tiny_base: Path, surroundings: RunContext) -> None:
    model, candidate = make(tiny_base, surroundings)
    candidate = type(candidate)(model=candidate.model, template="none")
    plain = Plain(tiny_base)
    asked = [
        LogLikelihood(messages=user("the lazy"), continuation="dog"),
        LogLikelihood(messages=user("the lazy "), continuation="dog"),
    ]
    joined, ended = ask(model, candidate, asked)
    context = plain.tokenizer("the lazy", add_special_tokens=False)["input_ids"]
    whole = plain.tokenizer("the lazy dog", add_special_tokens=False)["input_ids"]
    assert isinstance(joined, LogProb)
    assert joined.logprob == pytest.approx(plain.logprob(context, whole[len(context) :])[0], abs=1e-3)
    # Where the space stands in the context it belongs to the first scored token all the same: that is how it is read.
    assert isinstance(ended, LogProb)
    assert ended.logprob == pytest.approx(joined.logprob, abs=1e-3)


def test_an_empty_context_starts_from_the_start_token(tiny_base: Path, surroundings: RunContext) -> None:
    model, candidate = make(tiny_base, surroundings)
    candidate = type(candidate)(model=candidate.model, template="none")
    plain = Plain(tiny_base)
    (reply,) = ask(model, candidate, [LogLikelihood(messages=user(""), continuation="Paris is the capital")])
    ids = plain.tokenizer("Paris is the capital", add_special_tokens=False)["input_ids"]
    assert isinstance(reply, LogProb)
    assert reply.logprob == pytest.approx(plain.logprob([1], ids)[0], abs=1e-3)


def test_what_cannot_be_scored_is_no_reply(tiny_base: Path, surroundings: RunContext) -> None:
    model, candidate = make(tiny_base, surroundings)
    empty = LogLikelihood(messages=user("Yes or No?"), continuation="")
    long = LogLikelihood(messages=user("dog " * (2 * WINDOW)), continuation="Yes")
    good = LogLikelihood(messages=user("Yes or No?"), continuation="Yes")
    replies = ask(model, candidate, [empty, long, good])
    assert [type(reply) for reply in replies] == [NoReply, NoReply, LogProb]
    assert "no tokens" in reasons(replies)[0]
    assert f"window has {WINDOW}" in reasons(replies)[1]


def test_a_short_text_rolls_in_one_window(base: Path, surroundings: RunContext) -> None:
    text = "the quick brown fox jumps over a lazy dog."
    model, candidate = make(base, surroundings)
    plain = Plain(base)
    ids = plain.tokenizer(text, add_special_tokens=False)["input_ids"]
    (reply,) = ask(model, candidate, [RollingLogLikelihood(text=text)])
    assert isinstance(reply, LogProb)
    assert reply.tokens == len(ids)
    assert reply.logprob == pytest.approx(plain.logprob([1], ids)[0], abs=1e-3)


@pytest.mark.parametrize("stride", [None, WINDOW // 2, 3 * WINDOW])
def test_a_long_text_rolls_through_full_windows(base: Path, surroundings: RunContext, stride: int | None) -> None:
    text = " ".join(
        random.Random(5).choices(["the", "fox", "dog", "Paris", "Yes", "No", "one", "two", "sun", "day"], k=700)
    )
    model, candidate = make(base, surroundings)
    plain = Plain(base)
    ids = [1, *plain.tokenizer(text, add_special_tokens=False)["input_ids"]]
    expected, done, end = 0.0, 1, WINDOW + 1
    while done < len(ids):
        expected += plain.logprob(ids[max(0, end - WINDOW - 1) : done], ids[done:end])[0]
        done, end = end, min(len(ids), end + min(stride or WINDOW, WINDOW))
    (reply,) = ask(model, candidate, [RollingLogLikelihood(text=text, stride=stride)])
    assert isinstance(reply, LogProb)
    assert len(ids) > 2 * WINDOW
    assert reply.tokens == len(ids) - 1
    assert reply.logprob == pytest.approx(expected, abs=len(ids) * 1e-4)


def test_an_empty_text_is_no_reply(tiny_base: Path, surroundings: RunContext) -> None:
    model, candidate = make(tiny_base, surroundings)
    assert "no tokens" in reasons(ask(model, candidate, [RollingLogLikelihood(text="")]))[0]


def test_a_long_text_adds_up_to_what_double_precision_gives() -> None:
    """The sum of a vocabulary's exponentials in float32 must not be off to one side, as that of log_softmax is."""
    from types import SimpleNamespace

    import torch

    from harness_models.hf.layout import Layout
    from harness_models.hf.scoring import _read

    tokens, vocabulary = 200, 49_152
    logits = 3 * torch.randn(1, tokens, vocabulary, generator=torch.Generator().manual_seed(1))
    asked = [(7 * place) % vocabulary for place in range(tokens)]
    expected = float(logits[0].double().log_softmax(dim=-1)[range(tokens), asked].sum())
    biased = float(logits[0].log_softmax(dim=-1)[range(tokens), asked].double().sum())
    config = SimpleNamespace(vocab_size=vocabulary)
    config.get_text_config = lambda: config
    loaded = SimpleNamespace(
        place=SimpleNamespace(device="cpu"), model=SimpleNamespace(config=config), logits=lambda states: states
    )
    reads = [(0, place, token) for place, token in enumerate(asked)]
    layout = Layout(tokens=asked, positions=list(range(tokens)), ends=[tokens] * tokens, reads=reads)
    points = [(0, place) for place in range(tokens)]
    found = _read(loaded, logits[0], points, [layout])[0].logprob  # type: ignore[arg-type] # what it reads of a model
    assert abs(found - expected) < 5e-5, f"log_softmax: {abs(biased - expected)}"
