"""The `gates` lists of suites and policies."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from harness.reading.strict import StrictModel
from harness.types import DeviceKind, Gate

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
    each: Literal["principle"] | None = None
    corrected: bool = False
    devices: list[DeviceKind] = []

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"a gate needs exactly one of {', '.join(_KINDS)}; this has {', '.join(given) or 'none'}")
        if self.corrected and given[0] not in {"min", "max"}:
            raise ValueError(f"corrected is for min and max, not for {given[0]}")
        if self.corrected and self.evidence == "point":
            raise ValueError("a corrected gate needs its interval, so that it cannot say evidence: point")
        return self

    def gate(self, alpha: float) -> Gate:
        """Return the record."""
        gate = partial(
            Gate, metric=self.metric, evidence=self.evidence, each=self.each, corrected=self.corrected, alpha=alpha,
            devices=tuple(self.devices),
        )  # fmt: skip
        if self.min is not None:
            return gate(kind="min", limit=self.min)
        if self.max is not None:
            return gate(kind="max", limit=self.max)
        if self.max_unscored is not None:
            return gate(kind="max_unscored", limit=self.max_unscored)
        if self.non_inferior is not None:
            limits = self.non_inferior
            return gate(
                kind="non_inferior", margin=limits.margin, to=limits.to, anchor=limits.anchor,
                total_margin=limits.total_margin,
            )  # fmt: skip
        if self.equivalent is not None:
            return gate(kind="equivalent", margin=self.equivalent.margin, to=self.equivalent.to)
        return gate(kind="superior", to=self.superior.to if self.superior is not None else "promoted")
