"""How well critics judge: a principle's critics on its own labelled examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from harness.api import Completion, Message, NotApplicable, Response, Sample, Unscored, combine_verdicts
from harness.api.asking import Asking, Panel, PanelOptions, make_panel
from harness.api.stats import auc, clopper_pearson

if TYPE_CHECKING:
    from harness.api import Example, Principle, RunContext
    from harness.api.workspace import Registries

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


def try_principles(
    principles: Sequence[Principle],
    registries: Registries,
    context: RunContext,
    asking: Callable[[Panel], Asking],
    options: PanelOptions | None = None,
) -> list[list[Skill]]:
    """Return, for each principle, the skill of each of its critics; of all together last where there are several.

    Args:
        principles: with examples.
        registries: what is registered.
        context: where classifiers run.
        asking: gives what asks the roles of a panel; no model is loaded unless a critic asks it something.
        options: of critics and classifiers, as a suite gives them.

    Raises:
        InputError: for an unknown critic, or weights that are not here.
    """
    results: list[list[Skill]] = []
    for principle in principles:
        panel = make_panel([principle], registries, context, options)
        try:
            judged = judge_examples(panel, asking(panel))
        finally:
            panel.close()
        results.append([skill(principle.id, name, items, principle.threshold) for name, items in judged.items()])
    return results


def judge_examples(panel: Panel, asking: Asking) -> dict[str, tuple[Judged, ...]]:
    """Judge the examples of the panel's one principle by each of its critics, and by all together if there are several.

    Args:
        panel: of one principle, with examples.
        asking: who is asked.
    """
    (principle,) = panel.principles
    examples = principle.examples
    verdicts = panel.verdicts([_response(principle, *one) for one in enumerate(examples)], asking)
    judged = {
        name: tuple(
            Judged(example=example, score=given[position].score, rationale=given[position].rationale)
            for example, given in zip(examples, verdicts, strict=True)
        )
        for position, name in enumerate(principle.critics)
    }
    if len(judged) > 1:
        judged[COMBINED] = tuple(
            Judged(example=example, score=combine_verdicts(principle, given))
            for example, given in zip(examples, verdicts, strict=True)
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
    bounds = clopper_pearson(hits, n, (1 - confidence) / 2)
    low, high = cast("tuple[float, float]", (bounds.low, bounds.high))  # of a proportion, neither is ever missing
    return Share(hits=hits, n=n, low=low, high=high)


def _number(item: Judged) -> float | None:
    return None if isinstance(item.score, Unscored | NotApplicable) else item.score


def _response(principle: Principle, index: int, example: Example) -> Response:
    # The tags make sure that the principle applies, whatever it asks for.
    sample = Sample(
        id=f"{principle.id}-{example.kind}-{index}",
        messages=(Message(role="user", content=example.prompt),),
        tags=principle.applies_to.any_tag,
    )
    said = Completion(text=example.response, prompt_tokens=None, completion_tokens=None, finish="stop")
    return Response(sample=sample, completion=said)
