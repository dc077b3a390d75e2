"""A bar that counts requests moves with the work, so that the time that is left is what is left."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.engine.core import Steps, efforts
from harness.types import Decoding, Generate, LogLikelihood, Message, RollingLogLikelihood


def question(text, *answers):
    messages = (Message(role="user", content=text),)
    return [LogLikelihood(messages=messages, continuation=answer) for answer in answers]


def test_choices_share_the_effort_of_their_context():
    three = efforts(question("x" * 300, "Yes", "No", "Maybe"))
    (one,) = efforts(question("x" * 300, "Yes"))
    assert sum(three) < 1.2 * one
    assert efforts([RollingLogLikelihood(text="x" * 4_000)])[0] > 10 * one


def test_a_generated_token_weighs_more_than_one_that_is_read():
    messages = (Message(role="user", content="x" * 400),)
    few, many = efforts([Generate(messages=messages, decoding=Decoding(max_new_tokens=n)) for n in (1, 100)])
    assert many > 4 * few


def test_the_longest_first_do_not_make_the_rest_look_long():
    requests = [RollingLogLikelihood(text="x" * 4_000), *(RollingLogLikelihood(text="x" * 400) for _ in range(10))]
    pace = Steps(requests)
    assert pace.step(0) == 5  # half of the work is done, though one request of eleven
    assert sum(pace.step(index) for index in range(1, 11)) == 6


@given(st.lists(st.integers(0, 500), min_size=1, max_size=40), st.randoms())
def test_the_steps_add_up_to_all_requests_in_any_order(lengths, random):
    pace = Steps([RollingLogLikelihood(text="x" * length) for length in lengths])
    order = list(range(len(lengths)))
    random.shuffle(order)
    steps = [pace.step(index) for index in order]
    assert min(steps) >= 0
    assert sum(steps) == len(lengths)
    assert pace.step(order[0]) == 0
