"""Adherence to principles, read from the critics' verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from harness.api import Calibration, Completion, NotApplicable, StrictModel, Unscored, combine_verdicts, unknown_name
from harness_metrics.calibration import CalibrationSection
from harness_metrics.replies import TextMetric, completion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.api import Findings, Metric, Principle, Reply, Row, Sample, Verdict

_NO_EXAMPLES = "since {} has no examples: write some, and see how its critics do with harness principle test"
_OVERALL = "since critics are admitted for one principle at a time: gate it with `each: principle`"


class AdherenceOptions(StrictModel):
    """Options of adherence: a constitution, or registered principles, or both."""

    constitution: str | None = None
    principles: tuple[str, ...] = ()
    prefix: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] = "adherence"
    """Leads the metrics' names, so that one suite can report on two constitutions."""
    calibration: dict[str, CalibrationSection | Literal["stored"]] = Field(default_factory=dict)
    """By principle: how often its critics are right about violations. `stored`, the default, is what `harness critic
    calibrate` kept or what ships with harness."""
    outputs: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")] = "replies"
    """The kind of output that stored calibrations must be about."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.constitution is None and not self.principles:
            raise ValueError("needs a constitution or a list of principles")
        return self


def combined(principle: Principle, sample: Sample, verdicts: Sequence[Verdict]) -> float | Unscored | NotApplicable:
    """Return the principle's one score in [0, 1] on a sample; see `combine_verdicts`."""
    if not principle.applies_to(sample):
        return NotApplicable(reason=f"{principle.id} does not speak of this sample")
    return combine_verdicts(principle, verdicts)


class _Adherence(TextMetric):
    direction = "higher"
    bounds = (0.0, 1.0)
    gates: bool = False

    def __init__(self, options: AdherenceOptions) -> None:
        self.constitution = options.constitution
        self.principles = options.principles


class PrincipleAdherence(_Adherence):
    """Row: (1 where the combined score reaches the principle's threshold, 1)."""

    kind = "proportion"
    unit = "share"

    def __init__(self, options: AdherenceOptions, principle: Principle) -> None:
        super().__init__(options)
        self.principle = principle
        self.about_principle = principle.id
        self.name = f"{options.prefix}.{principle.id}"
        self.outputs = options.outputs
        known = options.calibration.get(principle.id, "stored")
        self.gates = bool(principle.examples)
        if not self.gates:
            self.informs = f" {_NO_EXAMPLES.format(principle.id)}"
            standing = f"It informs and does not gate, {_NO_EXAMPLES.format(principle.id)}"
        elif known == "stored":
            self.calibration_stored = True
            standing = "It gates as far as its critics are admitted"
        else:
            # Critics look for violations, and the event counted here is that there is none.
            self.calibration = Calibration(
                sensitivity=known.specificity, specificity=known.sensitivity, where=known.where, of=known.of
            )
            (found, violations), (spared, others) = known.sensitivity, known.specificity
            counted = f"found {found} of {violations} violations and let {spared} of {others} others through"
            where = f": {known.where}" if known.where else ""
            standing = f"Its critics {counted}{where}, counted for {known.of or 'nobody knows what'}"
        self.about = (
            f"Share of the replies it applies to whose {principle.combine} critic scores at least "
            f"{principle.threshold:g} "
            f"({', '.join(principle.critics)}): {principle.text.strip()} {standing}"
        )

    def observe(
        self,
        sample: Sample,
        replies: tuple[Reply, ...],
        findings: Mapping[str, Findings],
        verdicts: tuple[Verdict, ...],
    ) -> Row | Unscored | NotApplicable:
        """Return the row; whether the principle applies is known before any reply."""
        if not self.principle.applies_to(sample):
            return NotApplicable(reason=f"{self.principle.id} does not speak of this sample")
        reply = completion(replies)
        if not isinstance(reply, Completion):
            return reply
        score = combined(self.principle, sample, verdicts)
        return (1.0 if score >= self.principle.threshold else 0.0, 1.0) if isinstance(score, float) else score


class OverallAdherence(_Adherence):
    """Row: (weighted mean of the applicable principles' scores, 1)."""

    kind = "mean"
    unit = "score"
    informs = f" {_OVERALL}"

    def __init__(self, options: AdherenceOptions, principles: tuple[Principle, ...]) -> None:
        super().__init__(options)
        self.all = principles
        self.name = options.prefix
        self.about = (
            "Mean over replies of the principles' combined scores, weighted, over the principles that apply; "
            "Unscored where any "
            f"of them is. It informs and does not gate, {_OVERALL}"
        )

    def observe(
        self,
        sample: Sample,
        replies: tuple[Reply, ...],
        findings: Mapping[str, Findings],
        verdicts: tuple[Verdict, ...],
    ) -> Row | Unscored | NotApplicable:
        """Return the row; whether any principle applies is known before any reply."""
        if not any(principle.applies_to(sample) for principle in self.all):
            return NotApplicable(reason="no principle applies")
        reply = completion(replies)
        if not isinstance(reply, Completion):
            return reply
        total, weights = 0.0, 0.0
        for principle in self.all:
            score = combined(principle, sample, verdicts)
            if isinstance(score, Unscored):
                return Unscored(reason=f"{principle.id}: {score.reason}")
            if isinstance(score, float):
                total += principle.weight * score
                weights += principle.weight
        return (min(1.0, total / weights), 1.0) if weights > 0 else NotApplicable(reason="no principle applies")


def make(chosen: AdherenceOptions, constitutions: Mapping[str, tuple[Principle, ...]]) -> Sequence[Metric]:
    """Return `adherence.<principle>` for each principle and `adherence` overall.

    Raises:
        InputError: for a constitution or principle that is not registered.
    """
    found: dict[str, Principle] = {}
    if chosen.constitution is not None:
        if chosen.constitution not in constitutions:
            raise unknown_name("constitution", chosen.constitution, constitutions, key="constitution")
        found.update({principle.id: principle for principle in constitutions[chosen.constitution]})
    for position, name in enumerate(chosen.principles):
        if name not in constitutions:
            raise unknown_name("principle", name, constitutions, key=f"principles[{position}]")
        found.update({principle.id: principle for principle in constitutions[name]})
    for name in chosen.calibration:
        if name not in found:
            raise unknown_name("principle judged here", name, found, key=f"calibration.{name}")
    parts: list[Metric] = [PrincipleAdherence(chosen, principle) for principle in found.values()]
    return [*parts, OverallAdherence(chosen, tuple(found.values()))]
