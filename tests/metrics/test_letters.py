"""Multiple choice by the letter that a model writes."""

from __future__ import annotations

from collections import Counter

import pytest

from harness.contracts import Metric
from harness.types import Completion, Decoding, Generate, Message, NoReply, Sample, Unscored
from harness_metrics.letters import LetterAccuracy, LetterOptions, read_letter

CITIES = ("Rome", "Paris", "Berlin", "Madrid")


def question(n=0, **fields):
    said = (Message(role="user", content="Which is the capital of France?"),)
    return Sample(**{"id": f"q{n}", "messages": said, "choices": CITIES, "answer": 1, **fields})


def played(metric: Metric, sample, *texts):
    """Return what was asked and the row, when the candidate says these texts one after another."""
    program, asked, replies = metric.gather(sample, Decoding()), [], None
    for text in texts:
        asks = program.send(replies)
        asked.append(asks.questions[0][1])
        reply = (
            Completion(text=text, prompt_tokens=1, completion_tokens=1, finish="stop") if text else NoReply(reason="no")
        )
        replies = (reply,)
    with pytest.raises(StopIteration) as end:
        program.send(replies)
    return asked, metric.observe(sample, end.value.value, {}, ())


def letter_of(request: Generate, answer: str) -> str:
    lines = request.messages[-1].content.splitlines()
    return next(line[0] for line in lines if line.endswith(f". {answer}"))


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"), (" b", "B"), ("(C)", "C"), ("B. Paris", "B"), ("**D**", "D"), ("A dog is no city", None),
        ("The answer is (C).", "C"), ("Answer: B", "B"), ("I would say (A) rather than (B)", None), ("Paris.", "B"),
        ("A, B and C are wrong, so D", "D"), ("A, B and C are wrong; the answer is (D).", "D"), ("A and B", None),
        ("A, B or C", None), ("A, since Paris is in France", "A"), ("B and C are no cities, so it is A.", "A"),
        ("E", None), ("", None), ("I do not know", None), ("Well, the answer is B, since Paris is in France", "B"),
    ],
)  # fmt: skip
def test_what_names_a_letter_and_what_does_not(text, letter):
    assert read_letter(text, CITIES) == letter


def test_the_right_answer_counts_wherever_it_stands():
    metric = LetterAccuracy(LetterOptions())
    places = Counter()
    for n in range(40):
        sample = question(n)
        (messages, _) = metric.question(sample)
        right = letter_of(Generate(messages=messages, decoding=Decoding()), "Paris")
        wrong = "A" if right != "A" else "B"
        places[right] += 1
        assert played(metric, sample, right)[1] == (1.0, 1.0)
        assert played(metric, sample, wrong)[1] == (0.0, 1.0)
    assert set(places) == set("ABCD"), "the order is drawn for each question"


def test_the_order_follows_the_seed_and_can_be_kept():
    asked = [LetterAccuracy(LetterOptions(seed=seed)).question(question(5)) for seed in range(12)]
    assert len({tuple(order) for _, order in asked}) > 3
    assert LetterAccuracy(LetterOptions(seed=3)).question(question(5)) == asked[3]
    assert LetterAccuracy(LetterOptions(shuffle=False)).question(question(5))[1] == [0, 1, 2, 3]


def test_it_asks_again_and_at_last_has_no_score():
    metric = LetterAccuracy(LetterOptions(shuffle=False, retries=2))
    asked, row = played(metric, question(), "Hm", "Let me see", "B")
    assert row == (1.0, 1.0)
    assert [turn.role for turn in asked[2].messages] == ["user", "assistant", "user", "assistant", "user"]
    assert asked[2].messages[-1].content == "That names none of the answers. Write one letter alone: A, B, C, D."
    _, row = played(metric, question(), "Hm", "Let me see", "I cannot tell")
    assert isinstance(row, Unscored)
    _, row = played(metric, question(), "")
    assert isinstance(row, Unscored)


def test_answers_that_the_question_lists_itself_are_drawn_too():
    listed = "Capital of France?\nA. Rome\nB. Paris\nC. Berlin\nD. Madrid\nAnswer with the letter alone."
    sample = question(2, messages=(Message(role="user", content=listed),), choices=tuple("ABCD"))
    metric = LetterAccuracy(LetterOptions(seed=1))
    messages, order = metric.question(sample)
    assert order != [0, 1, 2, 3]
    text = messages[-1].content
    assert text.count("Paris") == text.count("Answer with the letter alone.") == 1
    assert played(metric, sample, letter_of(Generate(messages=messages, decoding=Decoding()), "Paris"))[1] == (1.0, 1.0)


def test_what_has_no_known_answer_is_not_asked():
    with pytest.raises(StopIteration) as end:
        next(LetterAccuracy(LetterOptions()).gather(question(answer=None), Decoding()))
    assert end.value.value == ()
