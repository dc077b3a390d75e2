"""The real SmolLM2: it answers sensibly, and scores as a plain forward pass does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.contracts import Model, RunContext
from harness.hashing import sha256_file
from harness.paths import weights_dir
from harness.references import resolve_model
from harness.types import Candidate, Completion, Generate, LogLikelihood, LogProb, Message, RollingLogLikelihood
from harness.weights import is_present, materialise, weights_path
from tests.models.conftest import Plain, ask, greedy, user

NAME = "smollm2-135m"


@pytest.fixture(scope="module")
def smollm() -> Iterator[tuple[Model, Candidate]]:
    if not is_present(NAME) and not os.environ.get("HARNESS_REQUIRE_WEIGHTS"):
        pytest.skip(f"needs: harness models pull {NAME}")
    from harness_models.hf.model import HfModel

    spec = resolve_model(NAME, schemes=["hf"], device="cpu")
    model = HfModel(spec, RunContext(offline=True, weights=weights_dir()))
    yield model, Candidate(model=spec)
    model.close()


@pytest.mark.weights
def test_it_knows_the_capital_of_france(smollm: tuple[Model, Candidate]) -> None:
    model, candidate = smollm
    asked = [
        Generate(messages=user("What is the capital of France?"), decoding=greedy(24)),
        Generate(messages=user("What is the capital of Italy? Answer in one sentence."), decoding=greedy(24)),
        Generate(messages=user("Say hello."), decoding=greedy(8)),
    ]
    replies = ask(model, candidate, asked)
    assert all(isinstance(reply, Completion) for reply in replies)
    assert "Paris" in replies[0].text
    assert "Rome" in replies[1].text
    assert replies[0].finish == "stop"


@pytest.mark.weights
def test_it_scores_as_a_plain_forward_pass(smollm: tuple[Model, Candidate]) -> None:
    model, candidate = smollm
    plain = Plain(materialise(candidate.model, RunContext(weights=weights_dir())))
    rules = Message(role="system", content="You are a careful judge. You answer with Yes or No and nothing else.")
    questions = [
        "Is Paris in France?",
        "Is the sun cold, and if so, is it colder than the moon by night?",
        "2 + 2 = 5?",
    ]
    asked = [
        LogLikelihood(messages=(rules, *user(question)), continuation=text)
        for question in questions
        for text in ("Yes", "No", "I am not quite sure about that.")
    ]
    for request, reply in zip(asked, ask(model, candidate, asked), strict=True):
        assert isinstance(reply, LogProb)
        assert reply.logprob == pytest.approx(plain.continuation(request.messages, request.continuation)[0], abs=1e-3)
    text = "The cat sat on the mat, and in 1995 it moved to Paris."
    ids = plain.tokenizer(text, add_special_tokens=False)["input_ids"]
    (rolled,) = ask(model, candidate, [RollingLogLikelihood(text=text)])
    assert isinstance(rolled, LogProb)
    start = plain.tokenizer.bos_token_id
    assert rolled.logprob == pytest.approx(plain.logprob([start], ids)[0], abs=1e-3)


@pytest.mark.weights
@pytest.mark.slow
def test_the_conversion_writes_the_same_bytes_every_time(smollm: tuple[Model, Candidate], tmp_path: Path) -> None:
    _, candidate = smollm
    store = tmp_path / "store"
    store.mkdir()
    (store / NAME).symlink_to(weights_path(NAME).parent)
    again = materialise(candidate.model, RunContext(offline=True, weights=store))
    first = materialise(candidate.model, RunContext(offline=True, weights=weights_dir()))
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert sha256_file(again / name) == sha256_file(first / name)
