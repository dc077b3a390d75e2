"""What was gathered can be told again from what was stored, however the conversation went."""

from __future__ import annotations

import pytest

from harness.contracts import Metric
from harness.engine.programs import run
from harness.evaluation.respond import Interview, all_said
from harness.reading.suite import ConversationSection
from harness.types import Candidate, Completion, Decoding, Generate, Message, ModelSpec, NoReply, Sample, ask

SAMPLE = Sample(id="s", messages=(Message(role="user", content="one"),))


class Text(Metric):
    name, kind = "text", "mean"

    def requests(self, sample, ask):
        return (
            Generate(messages=sample.messages, decoding=ask),
            Generate(messages=sample.messages, decoding=ask, draw=1),
        )


class Twice(Metric):
    """Asks for a text, and then about it, outside the conversation."""

    name, kind = "twice", "mean"

    def gather(self, sample, decoding):
        (first,) = yield ask("policy", Generate(messages=sample.messages, decoding=decoding))
        about = Message(role="user", content=f"is that so: {getattr(first, 'text', '')}")
        return (first, *(yield ask("policy", Generate(messages=(about,), decoding=decoding))))


def interview(conversation=None, system=None):
    candidate = Candidate(model=ModelSpec(reference="m", scheme="m", name="m"), system=system)
    return Interview(metrics=[Text(), Twice()], candidate=candidate, decoding=Decoding(), conversation=conversation)


def answer(role, requests):
    return [
        Completion(text=f"{role} {len(r.messages)} {r.messages[-1].content} {r.draw}", prompt_tokens=1,
                   completion_tokens=1, finish="stop")
        for r in requests
    ]  # fmt: skip


@pytest.mark.parametrize("system", [None, "Be kind."])
@pytest.mark.parametrize(
    "conversation",
    [None, ConversationSection(turns=("two", "three")), ConversationSection(user="Ask on.", max_turns=3)],
    ids=["one turn", "scripted", "simulated"],
)
def test_stored_replies_tell_the_same(conversation, system):
    asking = interview(conversation, system)
    gathered = run(asking.gather(SAMPLE), answer)
    said = all_said(gathered.values())
    assert asking.recall(SAMPLE, said) == gathered
    turns = 1 if conversation is None else 3
    assert len(said) == 2 * turns + 1
    first, second = gathered["text"].replies
    assert (first.text[-1], second.text[-1]) == ("0", "1"), "each draw is a conversation of its own"
    assert len(gathered["text"].sample.messages) == 2 * turns - 1, (
        "a metric sees all that was said before the last reply"
    )
    responses = asking.responses(SAMPLE, said)
    assert [response.index for response in responses] == list(range(len(said)))
    assert all(response.sample.messages[0].role == "user" for response in responses), "no candidate's system prompt"


def test_a_sample_s_own_turns_come_before_the_suite_s():
    sample = Sample(id="s", messages=SAMPLE.messages, turns=("mine",))
    said = all_said(run(interview(ConversationSection(turns=("two", "three"))).gather(sample), answer).values())
    assert {request.messages[-1].content for request in said if len(request.messages) > 1} == {"mine"}


def test_a_conversation_ends_where_the_candidate_gives_no_reply():
    def broken(role, requests):
        return [
            NoReply(reason="down") if len(r.messages) > 1 else one
            for r, one in zip(requests, answer(role, requests), strict=True)
        ]

    gathered = run(interview(ConversationSection(turns=("two", "three"))).gather(SAMPLE), broken)
    assert gathered["text"].replies == (NoReply(reason="down"),) * 2


def test_a_user_who_says_nothing_ends_it_and_one_who_gives_no_reply_is_no_end():
    def quiet(role, requests):
        blank = Completion(text=" ", prompt_tokens=1, completion_tokens=1, finish="stop")
        return [blank] * len(requests) if role == "user" else answer(role, requests)

    conversation = ConversationSection(user="Ask on.", max_turns=3)
    assert len(all_said(run(interview(conversation).gather(SAMPLE), quiet).values())) == 3

    def lost(role, requests):
        return [NoReply(reason="down")] * len(requests) if role == "user" else answer(role, requests)

    reply = run(interview(conversation).gather(SAMPLE), lost)["text"].replies[0]
    assert reply == NoReply(reason="the simulated user gave no reply: down")
