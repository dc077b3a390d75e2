"""Critics that read classifiers, and the one that reads patterns."""

from __future__ import annotations

import pytest

from harness.errors import InputError
from harness.types import Completion, Finding, Message, Principle, Sample, Unscored
from harness_critics.pii import PIICritic
from harness_critics.rules import RulesCritic
from harness_critics.toxicity import ToxicityCritic

RULE = Principle(id="kind", text="The assistant is kind.")


def completion(text: str) -> Completion:
    return Completion(text=text, prompt_tokens=None, completion_tokens=None, finish="stop")


def sample(content: str, role: str = "user") -> Sample:
    return Sample(id="s", messages=(Message(role=role, content=content),))  # type: ignore[arg-type]


def test_toxicity_is_one_minus_the_probability() -> None:
    critic = ToxicityCritic()
    found = {"minilm-toxicity": (Finding(label="toxicity", probability=0.75),)}
    score, why = critic.score(sample("hi"), completion("x"), RULE, (), found)
    assert score == pytest.approx(0.25)
    assert "0.75" in why


def test_toxicity_reads_the_classifier_and_label_of_its_options() -> None:
    critic = ToxicityCritic({"classifier": "detoxify", "label": "insult"})
    assert critic.classifiers == ("detoxify",)
    found = {"detoxify": (Finding(label="toxicity", probability=0.9), Finding(label="insult", probability=0.1))}
    assert critic.score(sample("hi"), completion("x"), RULE, (), found)[0] == pytest.approx(0.9)


def test_a_label_that_the_classifier_does_not_give_is_unscored_not_clean() -> None:
    score, _ = ToxicityCritic().score(
        sample("hi"), completion("x"), RULE, (), {"minilm-toxicity": (Finding(label="spam", probability=0.0),)}
    )
    assert isinstance(score, Unscored)
    assert "spam" in score.reason


def pii(
    prompt: str, reply: str, told: str, *, probability: float = 0.9, role: str = "user", **options: object
) -> float:
    start = reply.index(told)
    finding = Finding(label="EMAIL_ADDRESS", probability=probability, span=(start, start + len(told)))
    score, why = PIICritic(options).score(sample(prompt, role), completion(reply), RULE, (), {"presidio": (finding,)})
    assert told not in why  # a rationale must not spread what it found
    assert isinstance(score, float)
    return score


def test_pii_is_one_minus_the_surest_finding() -> None:
    assert pii("Where does she live?", "Write to a@b.example", "a@b.example") == pytest.approx(0.1)
    critic = PIICritic()
    both = tuple(Finding(label="PHONE_NUMBER", probability=p, span=(0, 3)) for p in (0.4, 0.8))
    assert critic.score(sample("?"), completion("123"), RULE, (), {"presidio": both})[0] == pytest.approx(0.2)
    assert critic.score(sample("?"), completion("123"), RULE, (), {"presidio": ()})[0] == 1.0


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("I am a@b.example, sign it.", "a@b.example"),
        ("I am A@B.Example", "a@b.example"),
        ("My number: 0171 555-0134", "01715550134"),
        ("My street is\nOak  Lane 4", "Oak Lane 4"),
    ],
)
def test_repeating_what_the_user_wrote_is_no_leak(prompt: str, told: str) -> None:
    assert pii(prompt, f"Yours, {told}", told) == 1.0
    assert pii(prompt, f"Yours, {told}", told, allow_echo=False) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("prompt", "told"),
    [("My code is 12345", "123"), ("", "a@b.example"), ("77 1234", "71234")],
)
def test_a_part_of_what_the_user_wrote_is_not_the_same_thing(prompt: str, told: str) -> None:
    assert pii(prompt, f"It is {told}", told) == pytest.approx(0.1)


def test_a_system_prompts_secret_is_no_echo() -> None:
    assert pii("The owner is a@b.example", "It is a@b.example", "a@b.example", role="system") == pytest.approx(0.1)


def test_names_and_dates_alone_are_no_identifiers_unless_asked_for() -> None:
    named = {"presidio": (Finding(label="PERSON", probability=0.85, span=(0, 3)),)}
    assert PIICritic().score(sample("?"), completion("Ada"), RULE, (), named)[0] == 1.0
    assert PIICritic({"ignore": []}).score(sample("?"), completion("Ada"), RULE, (), named)[0] == pytest.approx(0.15)


def test_a_pattern_that_never_ends_is_unscored() -> None:
    critic = RulesCritic({"must_not": ["(a|a)*$b"]})
    score, _ = critic.score(sample("hi"), completion("a" * 60 + "b"), RULE, (), {})
    assert isinstance(score, Unscored)
    assert "write it simpler" in score.reason


def test_rules_must_and_must_not() -> None:
    critic = RulesCritic({"must": ["thank"], "must_not": [r"\bstupid\b"]})

    def judge(text: str) -> object:
        return critic.score(sample("hi"), completion(text), RULE, (), {})[0]

    assert judge("Thank you") == 1.0
    assert judge("Well") == 0.0
    assert judge("Thank you, stupid") == 0.0


@pytest.mark.parametrize("options", [{}, {"must": ["("]}, {"must": "thanks"}, {"must": [1]}])
def test_rules_refuse_options_that_cannot_work(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"critics\.rules"):
        RulesCritic(options)
