"""Replies as they come: the pieces add up, and the last event holds the whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.contracts import RunContext
from harness.types import Candidate, Completion, Decoding, Generate, LogLikelihood, LogProb, ModelSpec
from harness_models.echo import EchoModel
from tests.models.conftest import ask, make, user

LONG = Generate(messages=user("the quick fox"), decoding=Decoding(max_new_tokens=12))


def test_a_model_that_does_not_stream_gives_one_event(tmp_path: Path) -> None:
    spec = ModelSpec(reference="echo:", scheme="echo", name="")
    (event,) = EchoModel(spec, RunContext(weights=tmp_path)).stream(Candidate(model=spec), LONG)
    assert isinstance(event.reply, Completion)
    assert event.text == event.reply.text == "the quick fox"


def test_text_comes_piece_by_piece_and_adds_up_to_what_answer_gives(base: Path, surroundings: RunContext) -> None:
    model, candidate = make(base, surroundings)
    (whole,) = ask(model, candidate, [LONG])
    *pieces, last = model.stream(candidate, LONG)
    assert isinstance(whole, Completion)
    assert isinstance(last.reply, Completion)
    assert len(pieces) > 1
    assert "".join(event.text for event in [*pieces, last]) == last.reply.text == whole.text
    assert not any(event.reply for event in pieces)


def test_a_score_is_one_event(tiny_base: Path, surroundings: RunContext) -> None:
    model, candidate = make(tiny_base, surroundings)
    (event,) = model.stream(candidate, LogLikelihood(messages=user("the"), continuation="fox"))
    assert isinstance(event.reply, LogProb)


def test_a_stream_that_is_left_stops_and_the_model_goes_on(tiny_base: Path, surroundings: RunContext) -> None:
    model, candidate = make(tiny_base, surroundings)
    (whole,) = ask(model, candidate, [LONG])
    stream = model.stream(candidate, LONG)
    next(stream)
    stream.close()
    (again,) = ask(model, candidate, [LONG])
    assert isinstance(whole, Completion)
    assert isinstance(again, Completion)
    assert again.text == whole.text


def test_what_goes_wrong_reaches_the_reader(surroundings: RunContext, tmp_path: Path) -> None:
    model, candidate = make(tmp_path, surroundings)
    with pytest.raises(Exception, match=str(tmp_path)):
        list(model.stream(candidate, LONG))
