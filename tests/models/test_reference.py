"""A base in float32: what the precision check compares with."""

from __future__ import annotations

import pytest

from harness.types import LogLikelihood
from tests.models.conftest import Plain, ask, make, user

QUESTIONS = [user(f"what is the capital of {name} ?") for name in ("France", "the sun", "seven")]
ANSWERS = ("Paris", "the lazy dog", "No")


def test_the_reference_is_the_same_base_in_float32_on_the_same_device(tiny_base, surroundings):
    model, _ = make(tiny_base, surroundings, dtype="bfloat16", device="auto")
    reference = model.reference()
    assert (reference.name, reference.dtype) == (str(tiny_base), "float32")
    assert reference.device == model.fingerprint(make(tiny_base, surroundings, dtype="bfloat16")[1])["device"]
    assert make(tiny_base, surroundings, dtype="float32")[0].reference() is None


def test_the_reference_is_what_transformers_gives_and_bfloat16_is_not(base, surroundings):
    coarse, candidate = make(base, surroundings, dtype="bfloat16")
    exact, fine = make(base, surroundings, dtype="float32")
    plain = Plain(base)
    requests = [LogLikelihood(messages=question, continuation=text) for question in QUESTIONS for text in ANSWERS]
    moved = 0.0
    for request, rounded, reply in zip(
        requests, ask(coarse, candidate, requests), ask(exact, fine, requests), strict=True
    ):
        expected, is_greedy = plain.continuation(request.messages, request.continuation)
        assert reply.logprob == pytest.approx(expected, abs=1e-4)
        assert reply.is_greedy == is_greedy
        moved = max(moved, abs(rounded.logprob - reply.logprob))
    assert moved > 1e-2
