"""A spending limit ends a command whole: nothing half written, every reply kept, and the same command goes on."""

from __future__ import annotations

import pytest

from harness.engine.spending import Spending, tokens
from harness.errors import SpendingLimitError
from harness.types import Completion, Decoding, Generate, LogLikelihood, LogProb, Message, NoReply

ASKED = Generate(messages=(Message(role="user", content="a" * 40),), decoding=Decoding())
SAID = Completion(text="b" * 20, prompt_tokens=None, completion_tokens=7, finish="stop")


def runs(cli):
    return cli.json("runs", "list")[1]["runs"]


def test_requests_are_limited_and_the_same_command_goes_on(cli):
    whole = ("run", "tiny.yaml", "--model", "echo:", "--no-gates")
    for number in range(3):
        assert cli(*whole, "--max-requests", "12") == 4
        assert cli.err.strip().endswith(
            "stopped at --max-requests 12, after 12 requests and about 48 tokens: no run was written, every reply is"
            " kept, and the same command goes on from here"
        ), (number, cli.err)
        assert runs(cli) == []
    assert cli(*whole, "--max-requests", "12") == 0, cli.err
    (run,) = runs(cli)
    code, again = cli.json("runs", "show", run["id"])
    assert code == 0
    assert (again["requests"], again["model_calls"]) == (40, 4)


def test_tokens_are_limited(cli):
    assert cli("run", "tiny.yaml", "--model", "echo:", "--no-gates", "--max-tokens", "30") == 4
    assert "stopped at --max-tokens 30, after 8 requests" in cli.err
    assert cli("run", "tiny.yaml", "--model", "echo:", "--no-gates") == 0
    assert cli.json("runs", "show", "latest")[1]["model_calls"] == 32


def test_what_the_cache_answers_costs_nothing(cli):
    assert cli("run", "tiny.yaml", "--model", "echo:") == 0
    assert cli("run", "tiny.yaml", "--model", "echo:", "--max-requests", "1") == 0, cli.err


def test_decide_is_limited_too(cli):
    cli.write("harness.yaml", 'model: "echo:"\npolicy: mine\npolicies:\n  mine: {suites: [tiny.yaml]}\n')
    assert cli("decide", "--system", "Echo.", "--max-requests", "5") == 4
    assert cli.json("runs", "list")[1]["runs"] == []
    code, found = cli.json("decide", "--system", "Echo.")
    assert code == 0, cli.err
    assert found["decision"]["status"] == "passed"


@pytest.mark.parametrize("wrong", [("--max-requests", "0"), ("--max-tokens", "x"), ("--max-minutes", "-1")])
def test_a_limit_that_is_none_is_refused(cli, wrong):
    assert cli("run", "tiny.yaml", "--model", "echo:", *wrong) == 2


def test_minutes_begin_with_the_first_question():
    now = [100.0]
    spending = Spending(max_minutes=2, clock=lambda: now[0])
    now[0] = 1000.0
    assert spending.affordable([1, 2]) == [1, 2]
    now[0] = 1119.0
    spending.answered(ASKED, SAID)
    now[0] = 1120.0
    with pytest.raises(SpendingLimitError, match="--max-minutes 2"):
        spending.answered(ASKED, SAID)


@pytest.mark.parametrize(
    ("request_", "reply", "count"),
    [
        (ASKED, SAID, 17),
        (ASKED, Completion(text="b" * 20, prompt_tokens=3, completion_tokens=None, finish="stop"), 8),
        (ASKED, NoReply(reason="timed out"), 10),
        (LogLikelihood(messages=ASKED.messages, continuation="Yes"), LogProb(logprob=-1.0, tokens=1), 11),
    ],
)
def test_tokens_are_counted_or_guessed_by_characters(request_, reply, count):
    assert tokens(request_, reply) == count
