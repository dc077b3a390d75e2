"""Probabilities that a remote model tells: of one token, of a prompt, of an echo."""

from __future__ import annotations

from typing import Any

import pytest

from harness.types import (
    Candidate,
    Completion,
    LogLikelihood,
    LogProb,
    NoReply,
    RollingLogLikelihood,
)  # fmt: skip
from tests.models.conftest import ask, generates, make_remote, reasons, user
from tests.models.serving import Answer, Server, said

pytestmark = pytest.mark.usefixtures("quick_remote")


def alternatives(**logprobs: float) -> Answer:
    tops = [{"token": token, "logprob": value} for token, value in logprobs.items()]
    return 200, {}, {"choices": [{"message": {"content": "Y"}, "logprobs": {"content": [{"top_logprobs": tops}]}}]}


def test_yes_and_no_are_read_off_one_request(server: Server) -> None:
    server.answer = lambda body: alternatives(No=-1.5, Yes=-0.3, Maybe=-4.0)
    model, candidate = make_remote(server.url)
    asked = [LogLikelihood(messages=user("ok?"), continuation=text) for text in ("Yes", "No", "Never")]
    yes, no, never = ask(model, candidate, asked)
    assert isinstance(yes, LogProb)
    assert isinstance(no, LogProb)
    assert (yes.logprob, yes.tokens, yes.is_greedy) == (-0.3, 1, True)
    assert (no.logprob, no.is_greedy) == (-1.5, False)
    assert isinstance(never, NoReply)
    assert "'Never'" in never.reason
    assert [body.get("prompt_logprobs") for body in server.bodies] == [None, 0], "one question whether it tells prompts"
    ask(model, candidate, asked)
    assert len(server.bodies) == 3, "a server that does not tell them is not asked again"
    assert server.bodies[0]["top_logprobs"] == 20
    assert server.bodies[0]["max_tokens"] == 1


def test_a_server_without_probabilities_and_a_whole_text_are_no_replies(server: Server) -> None:
    model, candidate = make_remote(server.url)
    asked = [LogLikelihood(messages=user("ok?"), continuation="Yes"), RollingLogLikelihood(text="some text")]
    assert len(reasons(ask(model, candidate, asked))) == 2


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), True, "x", None])
def test_a_probability_that_is_no_number_is_no_reply(server: Server, bad: Any) -> None:
    server.answer = lambda body: alternatives(Yes=bad)
    model, candidate = make_remote(server.url)
    (reply,) = ask(model, candidate, [LogLikelihood(messages=user("ok?"), continuation="Yes")])
    assert isinstance(reply, NoReply)


LOGS = {"1": -0.5, "2": -1.0, "31": -0.25, "32": -2.0, "4": -0.125, "9": -0.75}


def prompt_teller(body: dict[str, Any]) -> Answer:
    """A server that tells a chat's prompt tokens: one for the question, one for the turn, and some for its reply."""
    if body.get("prompt_logprobs") != 0:
        return said("hello")
    reply = body["messages"][-1]["content"] if body.get("continue_final_message") else None
    ids = ["1", "2", *({"a fox": ["31", "4"], "a hen": ["32", "9", "4"]}[reply] if reply is not None else [])]
    told: list[Any] = [{name: {"logprob": LOGS[name], "rank": 1 if name in "31 4" else 5}} for name in ids]
    answer = said("x")[2] | {"prompt_logprobs": [None, *told[1:]]}
    return 200, {}, answer


def test_continuations_of_many_tokens_are_scored_where_the_server_tells_its_prompt(server: Server) -> None:
    server.answer = prompt_teller
    model, candidate = make_remote(server.url)
    asked = [LogLikelihood(messages=user("who?"), continuation=text) for text in ("a fox", "a hen")]
    fox, hen = ask(model, candidate, asked)
    assert isinstance(fox, LogProb)
    assert isinstance(hen, LogProb)
    assert (fox.logprob, fox.tokens, fox.is_greedy) == (-0.375, 2, True)
    assert (hen.logprob, hen.tokens, hen.is_greedy) == (-2.875, 3, False)


def test_a_server_that_closes_a_begun_reply_gives_no_score_of_it(server: Server) -> None:
    """It ignores `continue_final_message`: the tokens that end the turn would count as the continuation's."""

    def closing(body: dict[str, Any]) -> Answer:
        if body.get("prompt_logprobs") != 0:
            return said("hello")
        reply = [] if body.get("add_generation_prompt") else ["31", "4", "9"]
        told: list[Any] = [{name: {"logprob": LOGS[name], "rank": 5}} for name in ["1", "2", *reply]]
        return 200, {}, said("x")[2] | {"prompt_logprobs": [None, *told[1:]]}

    server.answer = closing
    model, candidate = make_remote(server.url)
    asked = [LogLikelihood(messages=user("who?"), continuation=text) for text in ("a fox", "a hen")]
    assert len(reasons(ask(model, candidate, asked))) == 2


def echo(body: dict[str, Any]) -> Answer:
    """A server of `/completions` whose tokens are words with the space before them."""
    words = [word if at == 0 else f" {word}" for at, word in enumerate(body["prompt"].split(" "))]
    begins = [sum(map(len, words[:at])) for at in range(len(words))]
    values = [None, *(-float(len(word)) for word in words[1:])]
    tops = [None, *({word: -float(len(word)), " other": -4.0} for word in words[1:])]
    told = {
        "tokens": [*words, " more"], "token_logprobs": [*values, -9.0], "text_offset": [*begins, len(body["prompt"])],
        "top_logprobs": [*tops, None],
    }  # fmt: skip
    return 200, {}, {"choices": [{"text": " more", "logprobs": told, "finish_reason": "length"}]}


def test_without_a_template_scores_come_from_the_echo(server: Server) -> None:
    server.answer = echo
    model, candidate = make_remote(server.url)
    bare = Candidate(model=candidate.model, template="none")
    choice, text, said_ = ask(
        model,
        bare,
        [
            LogLikelihood(messages=user("the quick"), continuation="red fox"),
            RollingLogLikelihood(text="the red fox"),
            generates("go")[0],
        ],
    )
    assert isinstance(choice, LogProb)
    assert isinstance(text, LogProb)
    assert (choice.logprob, choice.tokens, choice.is_greedy) == (-8.0, 2, True)
    assert (text.logprob, text.tokens) == (-8.0, 2), "the first token stands behind nothing"
    assert isinstance(said_, Completion)
    assert said_.text == " more"
    assert {header["path"] for header in server.headers} == {"/v1/completions"}


@pytest.mark.parametrize("logprobs", [None, {"tokens": ["a"], "token_logprobs": [], "text_offset": [0]}, {"tokens": 3}])
def test_an_echo_that_makes_no_sense_is_no_score(server: Server, logprobs: Any) -> None:
    server.answer = lambda body: (200, {}, {"choices": [{"text": "", "logprobs": logprobs}]})
    model, candidate = make_remote(server.url)
    (reply,) = ask(
        model,
        Candidate(model=candidate.model, template="none"),
        [LogLikelihood(messages=user("the quick"), continuation="fox")],
    )
    assert isinstance(reply, NoReply)
