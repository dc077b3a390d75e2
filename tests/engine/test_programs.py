"""Programs advance in lock step, equal requests are asked once, and a plugin's mistake is named."""

from __future__ import annotations

import pytest

from harness.engine.programs import Live, batches, guarded, run, together
from harness.plugin_code import PluginError
from harness.types import Completion, Decoding, Generate, Message, NoReply, Timing, ask


def say(text):
    return Generate(messages=(Message(role="user", content=text),), decoding=Decoding())


def completion(text, **more):
    return Completion(text=text, prompt_tokens=1, completion_tokens=1, finish="stop", **more)


class Asked:
    """Answers in upper case, and keeps what was asked in each round."""

    def __init__(self):
        self.rounds = []

    def __call__(self, role, requests):
        texts = [request.messages[-1].content for request in requests]
        self.rounds.append((role, texts))
        return [completion(f"{role}: {text.upper()}", timing=Timing(total=1.0)) for text in texts]


def again(first, times):
    """Ask, and then ask about the reply."""
    text = first
    for _ in range(times):
        (reply,) = yield ask("judge", say(text))
        text = reply.text.removeprefix("judge: ").lower() + "?"
    return text


def test_live_programs_advance_in_lock_step_and_results_keep_their_order():
    answer = Asked()
    found = run(together([Live(again("a", 2)), Live(again("b", 0)), Live(again("c", 3))]), answer)
    assert found == ["a??", "b", "c???"]
    assert answer.rounds == [("judge", ["a", "c"]), ("judge", ["a?", "c?"]), ("judge", ["c??"])]


def test_equal_requests_of_a_round_are_asked_once():
    answer = Asked()
    assert run(together([Live(again("a", 1)) for _ in range(3)]), answer) == ["a?"] * 3
    assert answer.rounds == [("judge", ["a"])]


def test_several_roles_are_asked_in_one_round_and_replies_keep_the_order_of_the_questions():
    def both():
        first, second, third = yield ask("judge", say("x")) + ask("user", say("x"), say("y"))
        return [first.text, second.text, third.text]

    answer = Asked()
    assert run(both(), answer) == ["judge: X", "user: X", "user: Y"]
    assert answer.rounds == [("judge", ["x"]), ("user", ["x", "y"])]


def test_a_program_sees_no_clock():
    def looks():
        (reply,) = yield ask("judge", say("x"))
        return reply.timing

    assert run(guarded(looks, "the critic 'c' on the sample 's1'", looks), Asked()) is None


def plain():
    return "no generator"


def raises():
    yield ask("judge", say("x"))
    raise ValueError("boom")


def wrong_yield():
    yield say("x")


def wrong_request():
    yield ask("judge", "x")


def unknown_role():
    yield ask("jugde", say("x"))


def undeclared():
    yield ask("reviser", say("x"))


def endless():
    while True:
        yield ask("judge", say("x"))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (plain, "gave 'no generator'.*; write a generator, which asks by `yield ask"),
        (raises, r"raised ValueError: boom \(.*test_programs.py:\d+\); mend the plugin"),
        (wrong_yield, 'gave Generate.*; yield ask\\("judge", request, ...\\)'),
        (wrong_request, "the requests of .* gave .*return a tuple of Generate"),
        (unknown_role, ": no role is called 'jugde'; did you mean 'judge'"),
        (undeclared, "asks the role 'reviser', which its `roles` do not name; mend the plugin"),
        (endless, "asks and asks: stopped after 100 rounds"),
    ],
)
def test_a_mistake_names_plugin_sample_and_what_to_do(make, sentence):
    what = "the critic 'c' on the sample 's1'"
    with pytest.raises(PluginError, match="the critic 'c' on the sample 's1'") as raised:
        run(guarded(make, what, make, roles=("judge",)), Asked())
    assert raised.match(sentence)
    assert "\n" not in str(raised.value)


def test_where_one_breaks_the_others_are_closed():
    closed = []

    def open_one():
        try:
            yield ask("judge", say("x"))
            yield ask("judge", say("y"))
        finally:
            closed.append(True)

    with pytest.raises(PluginError):
        run(together([Live(open_one()), Live(guarded(raises, "it", raises)), Live(open_one())]), Asked())
    assert closed == [True, True]


def test_batches_end_by_what_is_asked_first(monkeypatch):
    monkeypatch.setattr("harness.engine.programs.BATCH_REQUESTS", 2)
    started = []

    def program(name):
        started.append(name)
        yield ask("judge", say(name))
        return name

    cut = batches(program(name) for name in "abcde")
    assert len(next(cut)) == 2
    assert started == ["a", "b"], "only what is in the batch stands in memory"
    assert [run(together(lives), Asked()) for lives in cut] == [["c", "d"], ["e"]]


def test_a_reply_that_did_not_come_reaches_the_program():
    def asks():
        (reply,) = yield ask("judge", say("x"))
        return reply.reason

    assert run(asks(), lambda role, requests: [NoReply(reason="down") for _ in requests]) == "down"
