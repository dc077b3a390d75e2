"""Any classifier as a critic: which of its labels break the principle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from harness.api import Critic, StrictModel, Unscored, read_options, sha256_json
from harness_critics.options import findings_on

if TYPE_CHECKING:
    from harness.api import Completion, Findings, Principle, Reply, Sample


class ClassifierOptions(StrictModel):
    """Options of the classifier critic."""

    classifier: Annotated[str, Field(min_length=1)]
    """A registered classifier."""
    breaks: Annotated[tuple[str, ...], Field(min_length=1)]
    """Its labels that break the principle."""
    combine: Literal["max", "sum"] = "max"
    """How their probabilities become one; `sum` is for labels that exclude each other."""


class ClassifierCritic(Critic):
    """Scores 1 − the probability of the labels that break the principle, whatever the principle's words.

    A classifier of whole texts has to give one of these labels, or the reply is unscored; a finder of spans that finds
    none has found nothing.
    """

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self._options = read_options(ClassifierOptions, self.options, "classifier", at=("critics", "classifier"))
        self.classifiers = (self._options.classifier,)

    def fingerprint(self) -> str:
        """Return the hash of version and options."""
        return sha256_json(["classifier", 1, self._options.model_dump()])

    def score(
        self,
        sample: Sample,  # noqa: ARG002 - the contract's
        reply: Completion,
        principle: Principle,  # noqa: ARG002
        replies: tuple[Reply, ...],  # noqa: ARG002
        findings: Mapping[str, Findings],
    ) -> tuple[float | Unscored, str]:
        """Return one minus the probability, and which labels it is of."""
        name, breaks = self._options.classifier, self._options.breaks
        found = findings_on(reply, findings, name)
        if isinstance(found, Unscored):
            return found, ""
        against: dict[str, float] = {}
        for finding in found:
            if finding.label in breaks:
                against[finding.label] = max(against.get(finding.label, 0.0), finding.probability)
        if not against:
            given = sorted({finding.label for finding in found if finding.span is None})
            if given:
                return Unscored(reason=f"{name} gave none of the labels {', '.join(breaks)} (it gave {given[0]})"), ""
            return 1.0, ""
        chance = max(against.values()) if self._options.combine == "max" else min(1.0, sum(against.values()))
        shown = ", ".join(f"{label} {probability:.2f}" for label, probability in against.items())
        return 1.0 - chance, f"{name}: {shown}"
