"""How a critic's skill on examples is counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.adherence import combine_verdicts
from harness.contracts import Classifier, Critic, RunContext
from harness.evaluation.panel import Panel
from harness.evaluation.pool import ModelPool
from harness.evaluation.roles import Asking, Roles
from harness.plugins import load_plugins
from harness.progress import NoProgress
from harness.types import (
    Candidate,
    ClassifierStatus,
    Example,
    Finding,
    Findings,
    LogLikelihood,
    LogProb,
    Message,
    ModelSpec,
    NoReply,
    NotApplicable,
    Principle,
    Reply,
    Request,
    Unscored,
    Verdict,
)
from harness_critics.judge import JudgeCritic
from harness_critics.toxicity import ToxicityCritic
from harness_principles.examples import COMBINED, Judged, auc, judge_examples, share, skill

EXAMPLES = (
    Example(kind="pass", prompt="p", response="good"),
    Example(kind="near_miss", prompt="p", response="odd but good"),
    Example(kind="fail", prompt="p", response="bad"),
    Example(kind="fail", prompt="p", response="very bad"),
)
RULE = Principle(id="kind", text="Be kind.", critics=("judge",), examples=EXAMPLES)


def never_ask(requests: Sequence[Request]) -> Sequence[Reply]:
    raise AssertionError("no judge is needed")


class Harsh(Classifier):
    """Finds everything odd toxic."""

    def fingerprint(self) -> str:
        return "harsh 1"

    def classify(self, texts: Sequence[str]) -> list[Findings]:
        return [(Finding(label="toxicity", probability=0.9 if "odd" in text else 0.1),) for text in texts]


def judge_by(
    rule: Principle, critics: Mapping[str, Critic], answer: Callable[[Sequence[Request]], Sequence[Reply]]
) -> dict[str, tuple[Judged, ...]]:
    """Judge the rule's examples by critics; `answer` is the judge."""

    class Fake(Asking):
        def answer(self, role: str, requests: Sequence[Request]) -> list[Reply]:
            assert role == "judge"
            return list(answer(requests))

        def fingerprint(self, roles: Sequence[str]) -> str | None:
            return None

    surroundings = RunContext(weights=Path())
    names = {name for critic in critics.values() for name in critic.classifiers}
    panel = Panel(
        principles=(rule,), critics=critics, classifiers={name: Harsh({}, surroundings) for name in names},
        classifier_status=tuple(ClassifierStatus(name=name, fingerprint="harsh 1", ran=True) for name in names),
    )  # fmt: skip
    pool = ModelPool(load_plugins(installed=False).registries, surroundings, None, NoProgress())
    policy = Candidate(model=ModelSpec(reference="echo:", scheme="echo", name=""))
    return judge_examples(panel, Fake(roles=Roles(policy=policy, others={}), pool=pool))


def fair_judge(requests: Sequence[Request]) -> list[Reply]:
    """Say what is true: a reply with `bad` in it breaks the rule."""
    replies: list[Reply] = []
    for request in requests:
        assert isinstance(request, LogLikelihood)
        prompt = request.messages[-1].content
        broken = any("bad" in line for line in prompt.split("\n") if line.startswith("> "))
        yes = broken if "break this rule" in prompt else not broken
        replies.append(LogProb(logprob=math.log(0.9 if (request.continuation == "Yes") is yes else 0.1), tokens=1))
    return replies


def judged(*scores: float | Unscored | NotApplicable) -> list[Judged]:
    return [Judged(example=example, score=score) for example, score in zip(EXAMPLES, scores, strict=True)]


def test_a_fair_judge_gets_everything_right_and_a_contrary_one_nothing() -> None:
    result = judge_by(RULE, {"judge": JudgeCritic()}, fair_judge)
    right = skill("kind", "judge", result["judge"], 0.5)
    assert (right.sensitivity.value, right.specificity.value, right.near_miss.value, right.auc) == (1, 1, 1, 1)
    assert right.good_enough(0.8)
    assert not right.proven(0.8)

    def contrary(requests: Sequence[Request]) -> list[Reply]:
        pairs = fair_judge(requests)
        return [pairs[index ^ 1] for index in range(len(pairs))]

    wrong = skill("kind", "judge", judge_by(RULE, {"judge": JudgeCritic()}, contrary)["judge"], 0.5)
    assert (wrong.accuracy.value, wrong.auc, len(wrong.wrong)) == (0, 0, 4)


def test_what_has_no_score_was_not_judged_rightly() -> None:
    result = skill("kind", "x", judged(Unscored(reason="?"), 1.0, 0.0, Unscored(reason="?")), 0.5)
    assert (result.sensitivity.hits, result.specificity.hits, result.unscored) == (1, 1, 2)
    assert not skill("kind", "x", judged(Unscored(reason="?"), 1.0, 0.0, 0.0), 0.5).good_enough(0.0)
    assert skill("kind", "x", judged(NotApplicable(reason="?"), 1.0, 0.0, 0.0), 0.5).unscored == 1


def test_silent_judge_is_never_good_enough() -> None:
    def silent(requests: Sequence[Request]) -> list[Reply]:
        return [NoReply(reason="down") for _ in requests]

    result = judge_by(RULE, {"judge": JudgeCritic()}, silent)
    assert not skill("kind", "judge", result["judge"], 0.5).good_enough(0.0)


def test_threshold_itself_passes() -> None:
    assert Judged(example=EXAMPLES[0], score=0.5).right(0.5)
    assert not Judged(example=EXAMPLES[2], score=0.5).right(0.5)


def test_several_critics_are_also_reported_together() -> None:
    rule = Principle(id="kind", text="Be kind.", critics=("judge", "toxicity"), examples=EXAMPLES)

    result = judge_by(rule, {"judge": JudgeCritic(), "toxicity": ToxicityCritic()}, fair_judge)
    assert list(result) == ["judge", "toxicity", COMBINED]
    together = skill("kind", COMBINED, result[COMBINED], 0.5)
    assert together.sensitivity.value == 1.0  # the judge finds them
    assert together.near_miss.value == 0.0  # the classifier's mistake counts, since the worst decides


def test_critics_that_need_no_judge_ask_none() -> None:
    class Always(Critic):
        def fingerprint(self) -> str:
            return "always"

        def score(self, sample, reply, principle, replies, findings):  # type: ignore[no-untyped-def]
            assert principle.applies_to(sample)
            return 1.0, ""

    from harness.types import AppliesTo

    rule = Principle(id="k", text="t", critics=("a",), applies_to=AppliesTo(any_tag=("x",)), examples=EXAMPLES)
    result = judge_by(rule, {"a": Always()}, never_ask)
    assert skill("k", "a", result["a"], 0.5).sensitivity.value == 0.0


def verdict(critic: str, score: float | Unscored | NotApplicable, completion: int = 0) -> Verdict:
    return Verdict(principle="kind", critic=critic, fingerprint="f", score=score, completion=completion)


def test_verdicts_combine_by_the_worst_or_the_mean_and_never_hide_what_is_unscored() -> None:
    rule = Principle(id="kind", text="t", critics=("a", "b"))
    mean = Principle(id="kind", text="t", critics=("a", "b"), combine="mean")
    both = [verdict("a", 0.2), verdict("b", 0.8)]
    assert combine_verdicts(rule, both) == 0.2
    assert combine_verdicts(mean, both) == pytest.approx(0.5)
    unknown = verdict("a", Unscored(reason="?"))
    assert isinstance(combine_verdicts(rule, [unknown, verdict("b", 1.0)]), Unscored)
    assert isinstance(combine_verdicts(mean, [unknown, verdict("b", 0.1)]), Unscored)
    assert combine_verdicts(rule, [unknown, verdict("b", 0.1)]) == 0.1  # no other critic could raise the worst
    assert isinstance(combine_verdicts(rule, [verdict("a", 1.0)]), Unscored)
    assert combine_verdicts(rule, [verdict("a", NotApplicable(reason="?")), verdict("b", 0.7)]) == 0.7
    worse = [*both, verdict("a", 0.1, 1), verdict("b", 0.3, 1)]
    assert combine_verdicts(rule, worse) == 0.1  # the sample's worst reply
    assert combine_verdicts(mean, worse) == pytest.approx(0.2)
    silent = [verdict("a", 0.9), verdict("b", 0.8), *(verdict(name, Unscored(reason="?"), 1) for name in "ab")]
    assert isinstance(combine_verdicts(rule, silent), Unscored)
    assert combine_verdicts(rule, [*silent[2:], verdict("a", 0.2), verdict("b", 0.8)]) == 0.2
    none = [verdict(name, NotApplicable(reason="?")) for name in "ab"]
    assert isinstance(combine_verdicts(rule, none), NotApplicable)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(0, 10, 0.0, 0.2589), (10, 10, 0.7411, 1.0), (5, 10, 0.2224, 0.7776), (0, 0, 0.0, 1.0)],
)
def test_exact_intervals(hits: int, n: int, low: float, high: float) -> None:
    found = share(hits, n)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_auc_of_swapped_sides_adds_to_one(first: list[float], second: list[float]) -> None:
    forward, backward = auc(first, second), auc(second, first)
    assert forward is not None
    assert backward is not None
    assert forward + backward == pytest.approx(1.0)


def test_auc_needs_both_sides() -> None:
    assert auc([0.4], []) is None
    assert auc([None], [0.1]) is None
    assert auc([0.5, None], [0.5]) == 0.5


def test_messages_reach_the_judge_as_a_conversation() -> None:
    seen: list[tuple[Message, ...]] = []

    def look(requests: Sequence[Request]) -> list[Reply]:
        seen.extend(request.messages for request in requests if isinstance(request, LogLikelihood))
        return fair_judge(requests)

    judge_by(RULE, {"judge": JudgeCritic()}, look)
    assert len(seen) == 4 * len(EXAMPLES)
    assert all(messages[-1].role == "user" for messages in seen)
