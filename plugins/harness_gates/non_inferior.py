"""`non_inferior`: not worse than a baseline by more than a margin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from harness.api.gates import Problem, Region, Scatter, Write, points_text
from harness.api.stats import metric_kind
from harness_gates.comparison import MarginKind, Part, ToSection, margin_problem
from harness_gates.outlooks import by_spread
from harness_gates.power import paired_detectable

if TYPE_CHECKING:
    from harness.api import Estimate, Gate, Metric

_MOVES = "promoted"


class NonInferiorSection(ToSection):
    """Not worse than a baseline by more than a margin, and than an anchor by more than another."""

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


class NonInferior(MarginKind):
    """The bound of the loss must be below the margin."""

    name = "non_inferior"
    keys = NonInferiorSection

    def describe(self, gate: Gate) -> str:
        """Return the condition as its file says it."""
        anchored = "" if gate.anchor is None else f", to {gate.anchor} by {gate.total_margin:g} in total"
        return f"non_inferior to {gate.to or 'promoted'} by margin {gate.margin:g}{anchored}"

    def condition(self, gate: Gate, write: Write) -> str:
        """Return the gate as a condition for tables."""
        anchored = "" if gate.anchor is None else f", than {gate.anchor} by {write(gate.total_margin)} in total"
        return f"{gate.metric} not worse than {gate.to} by {write(gate.margin)}{anchored}"

    def margins_problem(self, gate: Gate, metric: Metric) -> Problem | None:
        """Return what is wrong with either margin."""
        found = super().margins_problem(gate, metric)
        if found is None and gate.anchor:
            found = margin_problem(gate.total_margin, "total margin", metric)
            if found is None and (gate.total_margin or 0.0) < (gate.margin or 0.0):
                both = f"the total margin {gate.total_margin:g} is smaller than the margin {gate.margin:g}"
                return f"{both} of a single step", "give what several steps may lose together"
        return found

    def region(self, gate: Gate, measured: Metric | Estimate | None, to: str | None = None) -> Region:
        """Return all differences but losses of the margin or more; for the anchor of the total margin."""
        margin = (gate.total_margin if to is not None and to == gate.anchor != gate.to else gate.margin) or 0.0
        higher = measured is not None and measured.direction == "higher"
        return Region(least=-margin) if higher else Region(greatest=margin)

    def detectable(self, gate: Gate, metric: Metric, n: int, scatter: Scatter, power: float) -> float | None:
        """Return how far from a loss of the margin the truth must be."""
        if not metric_kind(metric).shares:
            return by_spread(self, gate, metric, n, scatter, power)
        return paired_detectable(n, gate.alpha, power, scatter.discordant, least=-(gate.margin or 0.0))

    def clause(self, metric: Metric, part: Part) -> str:
        """Return where the difference lies."""
        side = "within" if part.status == "passed" else "against"
        return f"{side} a {'' if part.first else 'total '}margin of {points_text(metric, part.margin)}"
