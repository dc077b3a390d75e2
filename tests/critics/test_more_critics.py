"""What each critic makes of the replies and answers that it was made for."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.engine.programs import guarded, run
from harness.errors import InputError
from harness.evaluation.panel import make_critic
from harness.plugin_code import PluginError
from harness.plugins import load_plugins
from harness.types import (
    Case,
    Completion,
    Finding,
    Generate,
    LogLikelihood,
    LogProb,
    Message,
    NoReply,
    NotApplicable,
    Principle,
    Reply,
    Request,
    Sample,
    Unscored,
)
from harness_conformance.contract import context as run_context
from harness_critics.expression import Expression
from harness_critics.judge import PHRASINGS
from harness_critics.judge_text import read_written, weighted_mark
from harness_critics.meaning import passages, sentences

RULE = Principle(id="kind", text="The assistant is kind.", critique="Point out what is unkind.")
REGISTRIES = load_plugins(installed=False).registries
Answer = Callable[[str, Request], Reply]


def completion(text: str) -> Completion:
    return Completion(text=text, prompt_tokens=None, completion_tokens=None, finish="stop")


def logprob(value: float) -> LogProb:
    return LogProb(logprob=math.log(value), tokens=1)


def judge(
    name: str, options: dict[str, Any], text: str, answer: Answer | None = None, *, prompt: str = "Hello",
    context: object = (), findings: dict[str, Any] | None = None,
) -> tuple[float | Unscored | NotApplicable, str]:  # fmt: skip
    critic = make_critic(name, options, REGISTRIES, run_context())
    sample = Sample(id="s", messages=(Message(role="user", content=prompt),), metadata={"context": context})
    case = Case(sample=sample, completion=completion(text), principle=RULE, findings=findings or {})

    def answered(role: str, requests: Sequence[Request]) -> list[Reply]:
        assert answer is not None, "nobody was to be asked"
        return [answer(role, request) for request in requests]

    return run(guarded(lambda: critic.judge(case), name, critic, roles=critic.roles), answered)


def yes(chance: float) -> Answer:
    """Answer Yes with a probability to whether the rule is followed, and No with it to whether it is broken."""

    def answer(_: str, request: Request) -> Reply:
        assert isinstance(request, LogLikelihood)
        breach = any(pair[1] in request.messages[-1].content for pair in PHRASINGS)
        return logprob(chance if (request.continuation == "Yes") is not breach else 1 - chance)

    return answer


# ------------------------------------------------------------------ judge


@pytest.mark.parametrize(("options", "questions"), [
    ({}, 2), ({"phrasings": 3}, 6), ({"orders": "both"}, 4), ({"phrasings": 2, "orders": "both"}, 8),
    ({"both_ways": False, "phrasings": 3}, 3),
])  # fmt: skip
def test_the_judge_is_asked_in_so_many_ways_and_averages(options: dict[str, Any], questions: int) -> None:
    asked: list[Request] = []

    def answer(role: str, request: Request) -> Reply:
        asked.append(request)
        return yes(0.8)(role, request)

    score, _ = judge("judge", options, "Good day", answer)
    assert score == pytest.approx(0.8)
    assert len(asked) == 2 * questions


def test_both_orders_cancel_a_leaning_to_the_answer_named_first() -> None:
    def leaning(_: str, request: Request) -> Reply:
        assert isinstance(request, LogLikelihood)
        first = "Yes" if "Yes or No" in request.messages[-1].content else "No"
        return logprob(0.9 if request.continuation == first else 0.1)

    one_way: dict[str, Any] = {"both_ways": False}
    assert judge("judge", one_way, "Good day", leaning)[0] == pytest.approx(0.9)
    assert judge("judge", {**one_way, "orders": "both"}, "Good day", leaning)[0] == pytest.approx(0.5)


def test_a_judge_without_probabilities_says_so() -> None:
    silent = NoReply(reason="the server names no probabilities")
    score, _ = judge("judge", {}, "Good day", lambda _, __: silent)
    assert score == Unscored(reason="the judge gave no probability: the server names no probabilities")


# ------------------------------------------------------------------ judge-text


def writing(*answers: str, marks: Sequence[float] | None = (0.0, 0.0, 0.0, 0.5, 0.5)) -> Answer:
    left = list(answers)

    def answer(role: str, request: Request) -> Reply:
        assert role == "judge"
        if isinstance(request, Generate):
            return completion(left.pop(0))
        assert isinstance(request, LogLikelihood)
        if marks is None:
            return NoReply(reason="no probabilities here")
        chance = marks[int(request.continuation) - 1]
        return LogProb(logprob=math.log(chance) if chance else -math.inf, tokens=1)

    return answer


GOOD = '{"reasons": "It greets.", "mark": 4}'


def test_a_written_mark_is_weighted_by_the_probabilities_of_all_five() -> None:
    score, note = judge("judge-text", {}, "Good day", writing(GOOD))
    assert score == pytest.approx((4.5 - 1) / 4)
    assert "4.50 by probability (4 written): It greets." in note


@pytest.mark.parametrize("options", [{"weighted": False}, {}])
def test_without_probabilities_the_written_mark_counts(options: dict[str, Any]) -> None:
    score, _ = judge("judge-text", options, "Good day", writing(GOOD, marks=None))
    assert score == pytest.approx(0.75)


def test_it_is_asked_again_and_told_why_and_at_last_unscored() -> None:
    score, _ = judge("judge-text", {"weighted": False}, "Good day", writing("Well, 4!", '{"mark": 4}', GOOD))
    assert score == pytest.approx(0.75)
    score, note = judge("judge-text", {"retries": 1}, "Good day", writing("4", "5"))
    assert score == Unscored(reason="the judge wrote nothing that could be read in 2 answers")
    assert note == "it is no JSON object"


@pytest.mark.parametrize(("text", "problem"), [
    ('{"mark": 4, "reasons": "x"}', "the reasons do not come first"), ('{"reasons": "x", "mark": 6}', "mark: "),
    ('{"reasons": "x", "mark": 4, "more": 1}', "more: "), ('{"reasons": "", "mark": 4}', "reasons: "),
    ('{"reasons": "x", "mark": "4"}', "mark: "), ('{"reasons": "x", "mark": true}', "mark: "), ("[1]", "no JSON object"),
    ('Sure: {"reasons": "x", "mark": 4}', "no JSON object"), ("[" * 100_000, "no JSON object"),
])  # fmt: skip
def test_what_is_not_the_form_is_not_read(text: str, problem: str) -> None:
    written, said = read_written(text)
    assert written is None
    assert problem in said


def test_the_form_may_stand_in_a_fence() -> None:
    written, _ = read_written(f"```json\n{GOOD}\n```")
    assert written is not None
    assert written.mark == 4


def test_marks_that_are_not_all_known_are_not_weighed() -> None:
    assert weighted_mark([logprob(0.2)] * 4) is None
    assert weighted_mark([LogProb(logprob=-math.inf, tokens=1)] * 5) is None
    assert weighted_mark([logprob(0.2)] * 5) == pytest.approx(3)


# ------------------------------------------------------------------ panel

TOXIC = {"minilm-toxicity": (Finding(label="toxicity", probability=0.9),)}


def test_a_panel_says_who_does_not_agree() -> None:
    members = {"critics": {"toxicity": None, "judge": None, "rules": {"must": ["day"]}}}
    score, note = judge("panel", members, "Good day", yes(0.8), findings=TOXIC)
    assert score == pytest.approx((0.1 + 0.8 + 1) / 3)
    assert note == "disagree 0.67: toxicity 0.10, judge 0.80, rules 1.00"
    for combine, expected in (("median", 0.8), ("worst", 0.1), ("majority", 2 / 3)):
        score, _ = judge("panel", {**members, "combine": combine}, "Good day", yes(0.8), findings=TOXIC)
        assert score == pytest.approx(expected)
    score, _ = judge("panel", {**members, "least_agreement": 0.9}, "Good day", yes(0.8), findings=TOXIC)
    assert score == Unscored(reason="the panel does not agree")


def test_members_are_asked_side_by_side() -> None:
    rounds: list[int] = []
    critic = make_critic("panel", {"critics": {"judge": None, "judge-text": None}}, REGISTRIES, run_context())
    sample = Sample(id="s", messages=(Message(role="user", content="Hello"),))
    program = critic.judge(Case(sample=sample, completion=completion("Good day"), principle=RULE, findings={}))

    def answered(_: str, requests: Sequence[Request]) -> list[Reply]:
        rounds.append(len(requests))
        return [completion(GOOD) if isinstance(one, Generate) else logprob(0.2) for one in requests]

    score, _ = run(program, answered)
    assert rounds == [5, 5]  # the judge's four questions and the text, then the five marks
    assert score == pytest.approx(0.5)


def test_one_member_alone_is_no_panel() -> None:
    members = {"critics": {"toxicity": None, "judge": None}}
    score, _ = judge("panel", members, "Good day", lambda _, __: NoReply(reason="time-out"), findings=TOXIC)
    assert isinstance(score, Unscored)
    with pytest.raises(InputError, match=r"critics\.panel\.critics"):
        make_critic("panel", {"critics": {"judge": None}}, REGISTRIES, run_context())
    with pytest.raises(InputError, match="of the panel, jugde: "):
        make_critic("panel", {"critics": {"jugde": None, "rules": {"must": ["a"]}}}, REGISTRIES, run_context())


# ------------------------------------------------------------------ classifier, tone


def test_labels_of_any_classifier_break_the_principle() -> None:
    found = {"detoxify": (Finding(label="insult", probability=0.4), Finding(label="threat", probability=0.5))}
    options: dict[str, Any] = {"classifier": "detoxify", "breaks": ["insult", "threat"]}
    assert judge("classifier", options, "Hm", findings=found)[0] == pytest.approx(0.5)
    assert judge("classifier", {**options, "combine": "sum"}, "Hm", findings=found)[0] == pytest.approx(0.1)
    other = judge("classifier", {**options, "breaks": ["rude"]}, "Hm", findings=found)[0]
    assert other == Unscored(reason="detoxify gave none of the labels rude (it gave insult)")
    assert judge("classifier", options, "Hm", findings={"detoxify": ()})[0] == 1.0


def test_tone_hears_crude_words_but_not_their_quotation() -> None:
    mild = {"minilm-toxicity": (Finding(label="toxicity", probability=0.1),)}
    assert judge("tone", {}, "The train leaves at nine.", findings=mild)[0] == pytest.approx(0.9)
    assert judge("tone", {}, "That plan is crap.", findings=mild)[0] == pytest.approx(0.9 * 0.35)
    assert judge("tone", {}, 'The word "crap" is rude.', findings=mild)[0] == pytest.approx(0.9)
    assert judge("tone", {"quoted": True}, 'The word "crap" is rude.', findings=mild)[0] == pytest.approx(0.9 * 0.35)
    assert judge("tone", {}, "SEND IT BACK WITH THOSE FORMS THIS WEEK", findings=mild)[0] == pytest.approx(0.9 * 0.6)
    assert judge("tone", {}, "We assess the class.", findings=mild)[0] == pytest.approx(0.9)
    assert judge("tone", {"also": ["rubbish*"]}, "Rubbishy work.", findings=mild)[0] == pytest.approx(0.9 * 0.35)


# ------------------------------------------------------------------ verifier


@pytest.mark.parametrize(("text", "holds"), [
    ("words(reply) <= 3", True), ("length(reply) > 100", False), ("'?' not in reply and starts(reply, 'Good')", True),
    ("count(lower(reply), 'o') == 2", True), ("is_json(reply) or lines(reply) == 1", True), ("not ends(reply, '.')", True),
    ("1 < words(reply) + 1 < 4", True), ("words(prompt) * 2 == -(-2)", True),
])  # fmt: skip
def test_expressions(text: str, holds: bool) -> None:
    assert Expression(text)(reply="Good day", prompt="Hello") is holds
    assert judge("verifier", {"expression": text}, "Good day")[0] == float(holds)


@pytest.mark.parametrize("text", [
    "reply.__class__", "__import__('os')", "open('x')", "[1]", "(lambda: 1)()", "reply[0]", "f'{reply}'", "reply ** 9",
    "words(text=reply)", "replay", "1 if reply else 2", "words(", "b'x' in reply", "1j", "'a' " * 900,
])  # fmt: skip
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"critics\.verifier\.expression: "):
        make_critic("verifier", {"expression": text}, REGISTRIES, run_context())


@pytest.mark.parametrize("text", ["reply < 3", "reply * 3 == prompt", "1 / 0 > 1", "length == 3", "starts(reply)"])
def test_an_expression_without_a_value_is_unscored(text: str) -> None:
    assert isinstance(judge("verifier", {"expression": text}, "Good day")[0], Unscored)


def test_a_plugins_function(tmp_path: Path) -> None:
    plugin = tmp_path / "checks.py"
    plugin.write_text(
        "from harness import hookimpl\n\n\ndef short(case):\n    return len(case.completion.text) < 20\n\n\n"
        "def odd(case):\n    return 7\n\n\n@hookimpl\ndef register_verifiers(register):\n"
        "    register('short', short, about='A short reply')\n    register('odd', odd)\n"
    )
    registries = load_plugins([str(plugin)], installed=False).registries

    def score(name: str, text: str) -> object:
        critic = make_critic("verifier", {"function": name}, registries, run_context())
        sample = Sample(id="s", messages=(Message(role="user", content="Hello"),))
        case = Case(sample=sample, completion=completion(text), principle=RULE, findings={})
        return run(guarded(lambda: critic.judge(case), "it", critic, roles=()), lambda *_: [])[0]

    assert score("short", "Good day") == 1.0
    assert score("short", "Good day " * 9) == 0.0
    with pytest.raises(PluginError, match="the verifier odd gave 7; return True, False or a share"):
        score("odd", "Good day")
    with pytest.raises(InputError, match="did you mean 'short'"):
        make_critic("verifier", {"function": "shrt"}, registries, run_context())
    with pytest.raises(InputError, match="the verifier is not told what to check"):
        make_critic("verifier", {}, registries, run_context())


# ------------------------------------------------------------------ grounding, relevance, consistency

FACTS = "The mill opens at nine on Mondays.\n\nThe baker Ada Lund owns the mill since 1987."


def test_claims_are_judged_by_the_passages_near_to_them(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text(FACTS)
    options = {"corpus": str(tmp_path / "corpus.txt")}
    seen: list[str] = []

    def answer(role: str, request: Request) -> Reply:
        assert isinstance(request, LogLikelihood)
        seen.append(request.messages[-1].content)
        return yes(0.9)(role, request)

    score, note = judge("grounding", options, "The mill opens at nine on Mondays. I hope this helps!", answer)
    assert score == pytest.approx(0.9)
    assert note.startswith("1 of 1 claims have evidence")
    assert all("opens at nine" in prompt and "Ada Lund" not in prompt for prompt in seen)


def test_another_number_than_the_evidences_is_found_without_a_judge() -> None:
    score, _ = judge("grounding", {}, "The baker Ada Lund owns the mill since 1990.", context=FACTS)
    assert score == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["grounding", "relevance"])
def test_where_nothing_is_known_the_question_does_not_arise(name: str) -> None:
    assert isinstance(judge(name, {}, "Cats sleep a lot.")[0], NotApplicable)
    assert isinstance(judge(name, {}, "Cats sleep a lot.", context=FACTS, prompt="Cats?")[0], NotApplicable)


def test_relevance_is_what_the_answer_uses_of_what_is_known() -> None:
    prompt = "When opens the mill on Mondays?"
    used, _ = judge("relevance", {}, "The mill opens at nine on Mondays.", context=FACTS, prompt=prompt)
    unused, _ = judge("relevance", {}, "Ask somebody else, please.", context=FACTS, prompt=prompt)
    assert used == 1.0
    assert unused == 0.0


def test_a_corpus_that_is_not_there_is_refused_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"critics\.grounding\.corpus: no such corpus"):
        make_critic("grounding", {"corpus": str(tmp_path / "none.txt")}, REGISTRIES, run_context())
    with pytest.raises(InputError, match=r"holds no \.txt, \.md or \.jsonl file"):
        make_critic("relevance", {"corpus": str(tmp_path)}, REGISTRIES, run_context())
    (tmp_path / "rows.jsonl").write_text(json.dumps({"body": "x"}) + "\n")
    with pytest.raises(InputError, match=r"rows.jsonl:1: text: has no text"):
        judge("relevance", {"corpus": str(tmp_path)}, "Hm")


def test_a_changed_corpus_is_another_critic(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text(FACTS)

    def fingerprint() -> str:
        return make_critic(
            "grounding", {"corpus": str(tmp_path / "corpus.txt")}, REGISTRIES, run_context()
        ).fingerprint()

    before = fingerprint()
    (tmp_path / "corpus.txt").write_text(FACTS + " It is old.")
    assert fingerprint() != before


def test_consistency_asks_the_policy_in_other_words() -> None:
    asked: list[str] = []

    def same(role: str, request: Request) -> Reply:
        assert role == "policy"
        assert isinstance(request, Generate)
        asked.append(request.messages[-1].content)
        return completion("No, it is closed on Sundays.")

    prompt = "Is the shop open on Sundays?"
    score, _ = judge("consistency", {}, "No, it is closed on Sundays.", same, prompt=prompt)
    assert score == 1.0
    assert len(set(asked)) == 3
    assert all(prompt in one and one != prompt for one in asked)
    first = list(asked)
    judge("consistency", {}, "No, it is closed on Sundays.", same, prompt=prompt)
    assert asked[3:] == first  # a program is replayed from the cache
    score, _ = judge("consistency", {}, "Yes, it is closed on Sundays.", same, prompt=prompt)
    assert score == pytest.approx(0.1)
    score, _ = judge("consistency", {}, "It opens at 9.", lambda _, __: completion("It opens at 10."), prompt=prompt)
    assert score == pytest.approx(0.1)


def test_a_policy_that_says_nothing_is_unscored() -> None:
    assert isinstance(judge("consistency", {}, "It opens at 9.", lambda _, __: completion(" "))[0], Unscored)


def test_cutting_texts() -> None:
    assert sentences("One. Two?\nThree… “Four.” Five") == ["One.", "Two?", "Three…", "“Four.”", "Five"]
    text = "First thing here. Second thing there.\n\nThird."
    assert passages(text, words=4) == ["First thing here.", "Second thing there.", "Third."]
    assert passages("") == []
