"""The `gates` lists of suites and policies."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from harness.reading.strict import StrictModel
from harness.types import Gate

_KINDS = ("min", "max", "non_inferior", "superior", "equivalent", "max_unscored")
_MOVES = "promoted"


class NonInferiorSection(StrictModel):
    """Not worse than a baseline by more than a margin."""

    to: str = "promoted"
    margin: Annotated[float, Field(gt=0)]
    anchor: str | None = None
    total_margin: Annotated[float | None, Field(gt=0)] = None

    @model_validator(mode="after")
    def _whole_anchor(self) -> Self:
        if (self.anchor is None) != (self.total_margin is None):
            raise ValueError("anchor and total_margin belong together: give both or neither")
        if self.anchor == _MOVES:
            raise ValueError(f"the anchor must stay where it is, and {_MOVES!r} moves: use base or first_promoted")
        if self.anchor is not None and self.anchor == self.to:
            raise ValueError(f"the anchor is what `to` names already, {self.to!r}")
        if self.total_margin is not None and self.total_margin < self.margin:
            raise ValueError(f"total_margin {self.total_margin:g} is smaller than margin {self.margin:g}")
        return self


class EquivalentSection(StrictModel):
    """The same as a baseline, give or take a margin."""

    to: str = "promoted"
    margin: Annotated[float, Field(gt=0)]


class SuperiorSection(StrictModel):
    """Better than a baseline."""

    to: str = "promoted"


class GateSection(StrictModel):
    """One gate: a metric and exactly one of min, max, non_inferior, superior, equivalent, max_unscored."""

    metric: str
    min: float | None = None
    max: float | None = None
    non_inferior: NonInferiorSection | None = None
    superior: SuperiorSection | None = None
    equivalent: EquivalentSection | None = None
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
                anchor=section.anchor, total_margin=section.total_margin, evidence=self.evidence, alpha=alpha,
            )  # fmt: skip
        if self.equivalent is not None:
            same = self.equivalent
            return Gate(
                metric=self.metric, kind="equivalent", margin=same.margin, to=same.to, evidence=self.evidence,
                alpha=alpha,
            )  # fmt: skip
        to = self.superior.to if self.superior is not None else "promoted"
        return Gate(metric=self.metric, kind="superior", to=to, evidence=self.evidence, alpha=alpha)
