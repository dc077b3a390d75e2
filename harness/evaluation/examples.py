"""How well critics judge: a principle's critics on its own labelled examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.adherence import combine_verdicts
from harness.evaluation.judge import fingerprint_of, questions_of
from harness.types import Completion, Message, NotApplicable, Reply, Request, Sample, Unscored

if TYPE_CHECKING:
    from harness.contracts import Critic
    from harness.types import Example, Findings, Principle, Verdict

Ask = Callable[[Sequence[Request]], Sequence[Reply]]
"""Asks the judge model; replies in the order of the requests."""
Classify = Callable[[str, Sequence[str]], Sequence["Findings"]]
"""Runs the classifier of that name over texts; findings in the order of the texts."""

COMBINED = "all together"
"""Name under which the combination of a principle's critics is reported."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One example with its score."""

    example: Example
    score: float | Unscored | NotApplicable
    rationale: str = ""

    def right(self, threshold: float) -> bool:
        """Tell whether the example was judged as it is labelled; what has no score was not."""
        if isinstance(self.score, Unscored | NotApplicable):
            return False
        return (self.score >= threshold) is (self.example.kind != "fail")


@dataclass(frozen=True, kw_only=True)
class Share:
    """A proportion with its exact interval."""

    hits: int
    n: int
    low: float
    high: float
    """Clopper–Pearson bounds; (0, 1) where n is 0."""

    @property
    def value(self) -> float | None:
        """hits / n; None where n is 0."""
        return self.hits / self.n if self.n else None


@dataclass(frozen=True, kw_only=True)
class Skill:
    """How well one critic judges one principle's examples. A violation is the positive case."""

    principle: str
    critic: str
    threshold: float
    judged: tuple[Judged, ...]
    sensitivity: Share
    """Examples that fail and are found out."""
    specificity: Share
    """Examples that pass or nearly fail and are let through."""
    near_miss: Share
    """Near misses alone, let through."""
    accuracy: Share
    auc: float | None
    """Probability that a failing example scores below one that does not, ties counting half; None without both."""
    unscored: int

    @property
    def wrong(self) -> tuple[Judged, ...]:
        """The examples that were judged wrongly or not at all."""
        return tuple(item for item in self.judged if not item.right(self.threshold))

    def good_enough(self, at_least: float) -> bool:
        """Tell whether both rates reach `at_least` on these examples and every one of them was scored."""
        rates = (self.sensitivity.value, self.specificity.value)
        return not self.unscored and all(rate is not None and rate >= at_least for rate in rates)

    def proven(self, at_least: float) -> bool:
        """Tell whether even the lower bounds of both rates reach `at_least`."""
        return not self.unscored and min(self.sensitivity.low, self.specificity.low) >= at_least


def judge_examples(
    principle: Principle, critics: Mapping[str, Critic], ask: Ask, classify: Classify
) -> dict[str, tuple[Judged, ...]]:
    """Judge a principle's examples by each of its critics, and by all together where there are several.

    Args:
        principle: with examples; every critic in `principle.critics` has to be in `critics`.
        critics: by name.
        ask: called once with all distinct requests, and not at all where no critic asks any.
        classify: called once per classifier that a critic reads.
    """
    samples = [_sample(principle, index, example) for index, example in enumerate(principle.examples)]
    replies = [_completion(example.response) for example in principle.examples]
    texts = [reply.text for reply in replies]
    wanted = dict.fromkeys(name for critic in principle.critics for name in critics[critic].classifiers)
    found = {name: classify(name, texts) for name in wanted}
    findings = [{name: found[name][index] for name in found} for index in range(len(samples))]
    planned = {
        name: [
            questions_of(critics[name], name, sample, reply, principle)
            for sample, reply in zip(samples, replies, strict=True)
        ]
        for name in principle.critics
    }
    requests = list(dict.fromkeys(request for rows in planned.values() for row in rows for request in row))
    answers = dict(zip(requests, ask(requests), strict=True)) if requests else {}
    verdicts: list[list[Verdict]] = [[] for _ in samples]
    for name, rows in planned.items():
        critic = critics[name]
        for index, row in enumerate(rows):
            verdicts[index].append(
                critic.verdict(
                    samples[index], replies[index], principle, tuple(answers[request] for request in row),
                    findings[index], name=name, fingerprint=fingerprint_of(critic, name),
                )
            )  # fmt: skip
    judged = {
        name: tuple(
            Judged(example=example, score=given[position].score, rationale=given[position].rationale)
            for example, given in zip(principle.examples, verdicts, strict=True)
        )
        for position, name in enumerate(planned)
    }
    if len(planned) > 1:
        judged[COMBINED] = tuple(
            Judged(example=example, score=combine_verdicts(principle, given))
            for example, given in zip(principle.examples, verdicts, strict=True)
        )
    return judged


def skill(
    principle: str, critic: str, judged: Sequence[Judged], threshold: float, *, confidence: float = 0.90
) -> Skill:
    """Summarise judged examples; `confidence` is two-sided."""
    hits = {kind: [item for item in judged if item.example.kind == kind] for kind in ("pass", "fail", "near_miss")}
    benign = hits["pass"] + hits["near_miss"]

    def rate(items: Sequence[Judged]) -> Share:
        return share(sum(item.right(threshold) for item in items), len(items), confidence=confidence)

    return Skill(
        principle=principle, critic=critic, threshold=threshold, judged=tuple(judged), sensitivity=rate(hits["fail"]),
        specificity=rate(benign), near_miss=rate(hits["near_miss"]), accuracy=rate(judged),
        auc=auc([_number(item) for item in benign], [_number(item) for item in hits["fail"]]),
        unscored=sum(isinstance(item.score, Unscored | NotApplicable) for item in judged),
    )  # fmt: skip


def share(hits: int, n: int, *, confidence: float = 0.90) -> Share:
    """Return a proportion with its two-sided Clopper–Pearson interval (Biometrika 26, 1934)."""
    from scipy.stats import beta

    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, hits, n - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, n - hits)) if hits < n else 1.0
    return Share(hits=hits, n=n, low=low, high=high)


def auc(benign: Sequence[float | None], failing: Sequence[float | None]) -> float | None:
    """Return the share of (benign, failing) pairs in which the benign one scores higher, ties counting half.

    Unscored examples are left out; None where one side has nothing left.
    """
    above = [score for score in benign if score is not None]
    below = [score for score in failing if score is not None]
    if not above or not below:
        return None
    wins = sum((high > low) + 0.5 * (high == low) for high in above for low in below)
    return wins / (len(above) * len(below))


def _number(item: Judged) -> float | None:
    return None if isinstance(item.score, Unscored | NotApplicable) else item.score


def _sample(principle: Principle, index: int, example: Example) -> Sample:
    # The tags make sure that the principle applies, whatever it asks for.
    return Sample(
        id=f"{principle.id}-{example.kind}-{index}",
        messages=(Message(role="user", content=example.prompt),),
        tags=principle.applies_to.any_tag,
    )


def _completion(text: str) -> Completion:
    return Completion(text=text, prompt_tokens=None, completion_tokens=None, finish="stop")
