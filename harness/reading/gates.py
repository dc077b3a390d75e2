"""The `gates` lists of suites and policies."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from harness.reading.strict import StrictModel
from harness.types import Gate

_KINDS = ("min", "max", "non_inferior", "superior", "max_unscored")


class NonInferiorSection(StrictModel):
    """Not worse than a baseline by more than a margin."""

    to: str = "promoted"
    margin: Annotated[float, Field(gt=0)]


class SuperiorSection(StrictModel):
    """Better than a baseline."""

    to: str = "promoted"


class GateSection(StrictModel):
    """One gate: a metric and exactly one of min, max, non_inferior, superior, max_unscored."""

    metric: str
    min: float | None = None
    max: float | None = None
    non_inferior: NonInferiorSection | None = None
    superior: SuperiorSection | None = None
    max_unscored: Annotated[float, Field(ge=0, le=1)] | None = None
    evidence: Literal["bound", "point"] = "bound"

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"a gate needs exactly one of {', '.join(_KINDS)}; this has {', '.join(given) or 'none'}")
        return self

    def gate(self, alpha: float) -> Gate:
        """Return the record."""
        if self.min is not None:
            return Gate(metric=self.metric, kind="min", limit=self.min, evidence=self.evidence, alpha=alpha)
        if self.max is not None:
            return Gate(metric=self.metric, kind="max", limit=self.max, evidence=self.evidence, alpha=alpha)
        if self.max_unscored is not None:
            return Gate(metric=self.metric, kind="max_unscored", limit=self.max_unscored, alpha=alpha)
        if self.non_inferior is not None:
            section = self.non_inferior
            return Gate(
                metric=self.metric, kind="non_inferior", margin=section.margin, to=section.to,
                evidence=self.evidence, alpha=alpha,
            )  # fmt: skip
        to = self.superior.to if self.superior is not None else "promoted"
        return Gate(metric=self.metric, kind="superior", to=to, evidence=self.evidence, alpha=alpha)
