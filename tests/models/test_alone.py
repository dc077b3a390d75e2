"""One request alone in float32: what drift is measured against."""

from __future__ import annotations

import pytest

from harness.types import Completion, Generate, LogLikelihood, LogProb, NoReply
from tests.models.conftest import Plain, ask, greedy, make, user
from tests.shapes import SHAPES, save_shape

QUESTIONS = [user(f"what is the capital of {name} ?") for name in ("France", "the sun", "seven")]
ANSWERS = ("Paris", "the lazy dog", "No")


def test_the_reference_is_the_same_base_in_float32_on_the_same_device(tiny_base, surroundings):
    model, _ = make(tiny_base, surroundings, dtype="bfloat16", device="auto")
    reference = model.reference()
    assert (reference.name, reference.dtype) == (str(tiny_base), "float32")
    assert reference.device == model.fingerprint(make(tiny_base, surroundings, dtype="bfloat16")[1])["device"]
    assert make(tiny_base, surroundings, dtype="float32")[0].reference() is None


def test_alone_is_what_transformers_gives_and_bfloat16_is_not(base, surroundings):
    coarse, candidate = make(base, surroundings, dtype="bfloat16")
    exact, fine = make(base, surroundings, dtype="float32")
    plain = Plain(base)
    requests = [LogLikelihood(messages=question, continuation=text) for question in QUESTIONS for text in ANSWERS]
    rounded = ask(coarse, candidate, requests)
    moved = 0.0
    for request, reply in zip(requests, rounded, strict=True):
        alone = exact.answer_alone(fine, request)
        assert isinstance(alone, LogProb)
        expected, is_greedy = plain.continuation(request.messages, request.continuation)
        assert alone.logprob == pytest.approx(expected, abs=1e-4)
        assert alone.is_greedy == is_greedy
        moved = max(moved, abs(reply.logprob - alone.logprob))
    assert moved > 1e-2
    written = exact.answer_alone(fine, Generate(messages=QUESTIONS[0], decoding=greedy(12)))
    assert isinstance(written, Completion)
    assert written.text == plain.greedy(QUESTIONS[0], 12)


def test_asking_alone_leaves_the_shortcuts_of_later_requests(tiny_base, surroundings):
    model, candidate = make(tiny_base, surroundings)
    model.answer_alone(candidate, LogLikelihood(messages=QUESTIONS[0], continuation="Paris"))
    assert model._loaded.shares
    assert model._loaded.split


def test_a_base_that_does_not_fit_in_float32_gives_no_reply_and_breaks_nothing(tiny_base, surroundings, monkeypatch):
    import harness_models.hf.loading as loading

    def full(*_):
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(loading, "load", full)
    model, candidate = make(tiny_base, surroundings)
    reply = model.answer_alone(candidate, LogLikelihood(messages=QUESTIONS[0], continuation="Paris"))
    assert isinstance(reply, NoReply)
    assert "not enough memory" in reply.reason


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_says_the_same_alone(name, tmp_path, surroundings):
    model, candidate = make(save_shape(tmp_path / name, name), surroundings)
    for question in QUESTIONS[:2]:
        request = LogLikelihood(messages=question, continuation="the lazy dog")
        (together,) = ask(model, candidate, [request])
        alone = model.answer_alone(candidate, request)
        assert alone.logprob == pytest.approx(together.logprob, abs=1e-3)
