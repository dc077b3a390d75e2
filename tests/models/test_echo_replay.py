"""The models that need no weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.contracts import RunContext
from harness.errors import InputError
from harness.references import resolve_model
from harness.types import (
    AdapterSpec,
    Candidate,
    Completion,
    Decoding,
    Generate,
    LogLikelihood,
    LogProb,
    Message,
    RollingLogLikelihood,
)
from harness_models.echo import REFUSAL, EchoModel
from harness_models.replay import ReplayModel
from tests.models.conftest import ask, greedy, reasons, user


def echo(reference: str, surroundings: RunContext) -> tuple[EchoModel, Candidate]:
    spec = resolve_model(reference, schemes=["echo"])
    return EchoModel(spec, surroundings), Candidate(model=spec)


@pytest.mark.parametrize(
    ("reference", "text"), [("echo:", "say it"), ("echo:refuse", REFUSAL), ("echo:Paris.", "Paris.")]
)
def test_echo_says_what_its_reference_says(reference: str, text: str, surroundings: RunContext) -> None:
    model, candidate = echo(reference, surroundings)
    messages = (Message(role="system", content="be brief"), *user("say it"))
    (reply,) = ask(model, candidate, [Generate(messages=messages, decoding=greedy(9))])
    assert isinstance(reply, Completion)
    assert (reply.text, reply.finish, reply.completion_tokens) == (text, "stop", len(text.split()))


def test_echo_obeys_the_decoding(surroundings: RunContext) -> None:
    model, candidate = echo("echo:", surroundings)
    short = Generate(messages=user("one  two three"), decoding=Decoding(max_new_tokens=2))
    stopped = Generate(messages=user("one two three"), decoding=Decoding(max_new_tokens=9, stop=("th", "two")))
    cut, until = ask(model, candidate, [short, stopped])
    assert isinstance(cut, Completion)
    assert isinstance(until, Completion)
    assert (cut.text, cut.finish) == ("one  two", "length")
    assert (until.text, until.finish) == ("one ", "stop")


def test_echo_scores_words_by_the_documented_rule(surroundings: RunContext) -> None:
    model, candidate = echo("echo:", surroundings)
    asked = [
        LogLikelihood(messages=user("Yes or No"), continuation="yes"),
        LogLikelihood(messages=user("Yes or No"), continuation="No never"),
        LogLikelihood(messages=user("Yes or No"), continuation=" "),
        RollingLogLikelihood(text="a b a a"),
    ]
    known, mixed, empty, rolled = ask(model, candidate, asked)
    assert isinstance(known, LogProb)
    assert isinstance(mixed, LogProb)
    assert isinstance(rolled, LogProb)
    assert (known.logprob, known.tokens, known.is_greedy) == (-1.0, 1, True)
    assert (mixed.logprob, mixed.tokens, mixed.is_greedy) == (-3.0, 2, False)
    assert (rolled.logprob, rolled.tokens) == (-6.0, 4)
    assert len(reasons([empty])) == 1


def test_echo_tells_references_and_adapters_apart(surroundings: RunContext) -> None:
    model, candidate = echo("echo:", surroundings)
    other, _ = echo("echo:refuse", surroundings)
    adapter = AdapterSpec(id="1" * 16, path="/a", reference="a")
    adapted = Candidate(model=candidate.model, adapters=(adapter,))
    prints = [model.fingerprint(candidate), other.fingerprint(candidate), model.fingerprint(adapted)]
    assert len({json.dumps(dict(found), sort_keys=True) for found in prints}) == 3


# ---------------------------------------------------------------- replay


def write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path


def replay(path: Path, surroundings: RunContext) -> tuple[ReplayModel, Candidate]:
    spec = resolve_model(f"replay:{path}", schemes=["replay"])
    return ReplayModel(spec, surroundings), Candidate(model=spec)


def test_replay_answers_by_prompt_by_conversation_and_by_draw(tmp_path: Path, surroundings: RunContext) -> None:
    talk = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]
    file = write(
        tmp_path / "log.jsonl",
        {"prompt": "hello", "response": "hi"},
        {"prompt": "hello", "response": "hi again"},
        "",
        {"messages": talk, "response": "yo", "id": "x"},
    )
    model, candidate = replay(file, surroundings)
    system = (Message(role="system", content="be brief"), *user("hello"))
    asked = [
        Generate(messages=user("hello"), decoding=greedy(9)),
        Generate(messages=user("hello"), decoding=greedy(9), draw=1),
        Generate(messages=system, decoding=greedy(9)),
        Generate(messages=user("hello"), decoding=greedy(9), draw=2),
        Generate(messages=user("goodbye"), decoding=greedy(9)),
        LogLikelihood(messages=user("hello"), continuation="hi"),
    ]
    replies = ask(model, candidate, asked)
    assert [reply.text for reply in replies[:3]] == ["hi", "hi again", "yo"]
    assert [reason.split(" has ")[-1] for reason in reasons(replies)[:2]] == [
        "2 responses to this prompt, not more", "no response to this prompt",
    ]  # fmt: skip
    assert len(reasons(replies)) == 3


def test_replay_is_known_by_its_files_hash(tmp_path: Path, surroundings: RunContext) -> None:
    one = replay(write(tmp_path / "a.jsonl", {"prompt": "p", "response": "r"}), surroundings)
    same = replay(write(tmp_path / "b.jsonl", {"prompt": "p", "response": "r"}), surroundings)
    other = replay(write(tmp_path / "c.jsonl", {"prompt": "p", "response": "s"}), surroundings)
    assert one[0].fingerprint(one[1]) == same[0].fingerprint(same[1])
    assert one[0].fingerprint(one[1]) != other[0].fingerprint(other[1])


@pytest.mark.parametrize(
    ("rows", "line", "words"),
    [
        (['{"prompt": "p", "response": "r"}', "{oops"], 2, "not valid JSON"),
        (["[1]"], 1, "not a JSON object"),
        (['{"prompt": "p", "responze": "r"}'], 1, "did you mean 'response'"),
        (['{"prompt": "p"}'], 1, "response: must be a text"),
        (['{"response": "r"}'], 1, "either `prompt` or `messages`"),
        (['{"prompt": "p", "messages": [], "response": "r"}'], 1, "either `prompt` or `messages`"),
        (['{"prompt": 3, "response": "r"}'], 1, "prompt: must be a text"),
        (['{"messages": [{"role": "robot", "content": "x"}], "response": "r"}'], 1, "messages: must be a list"),
        ([""], None, "no transcripts"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(
    tmp_path: Path, surroundings: RunContext, rows: list[str], line: int | None, words: str
) -> None:
    file = write(tmp_path / "log.jsonl", *rows)
    model, candidate = replay(file, surroundings)
    with pytest.raises(InputError, match=words) as caught:
        ask(model, candidate, [Generate(messages=user("p"), decoding=greedy(1))])
    assert (caught.value.file, caught.value.line) == (str(file), line)


def test_an_absent_file_and_an_adapter_are_refused(tmp_path: Path, surroundings: RunContext) -> None:
    model, candidate = replay(tmp_path / "absent.jsonl", surroundings)
    with pytest.raises(InputError, match="cannot be read"):
        model.fingerprint(candidate)
    adapter = AdapterSpec(id="1" * 16, path="/a", reference="a")
    with pytest.raises(InputError, match="adapter"):
        model.fingerprint(Candidate(model=candidate.model, adapters=(adapter,)))
