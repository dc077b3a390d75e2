"""`equivalent`: the same as a baseline, give or take a margin.

Two one-sided tests at level alpha each: D. J. Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15 (1987)
657–680. Both reject exactly where the (1 − 2 alpha) interval lies within ± margin; p is the larger one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from harness.api.gates import Outlook, Region, Scatter, Write, points_text
from harness.api.stats import POWER, metric_kind
from harness_gates.comparison import MarginKind, Part, ToSection
from harness_gates.outlooks import farthest
from harness_gates.power import (
    equivalence_power,
    equivalence_samples,
    paired_detectable,
    paired_equivalence_samples,
)

if TYPE_CHECKING:
    from harness.api import Estimate, Gate, Metric


class EquivalentSection(ToSection):
    """The same as a baseline, give or take a margin."""

    margin: Annotated[float, Field(gt=0)]


class Equivalent(MarginKind):
    """The interval of the difference must lie within the margin either way."""

    name = "equivalent"
    keys = EquivalentSection
    directed = False

    def describe(self, gate: Gate) -> str:
        """Return the condition as its file says it."""
        return f"equivalent to {gate.to or 'promoted'} within {gate.margin:g}"

    def condition(self, gate: Gate, write: Write) -> str:
        """Return the gate as a condition for tables."""
        return f"{gate.metric} within {write(gate.margin)} of {gate.to}"

    def region(self, gate: Gate, measured: Metric | Estimate | None, to: str | None = None) -> Region:  # noqa: ARG002
        """Return all differences smaller than the margin."""
        margin = gate.margin or 0.0
        return Region(least=-margin, greatest=margin)

    def detectable(self, gate: Gate, metric: Metric, n: int, scatter: Scatter, power: float) -> float | None:
        """Return how far inside the margin the true difference must be."""
        margin = gate.margin or 0.0
        if metric_kind(metric).shares:
            return paired_detectable(n, gate.alpha, power, scatter.discordant, least=-margin, greatest=margin)
        if scatter.spread is None:
            return None
        variance, worst = scatter.spread**2, self.worst_distance(gate, metric) * scatter.unseen

        def enough(difference: float) -> bool:
            found = equivalence_power(
                variance, difference, margin, n, gate.alpha, worst=worst, kurtosis=scatter.kurtosis
            )
            return found >= power

        return farthest(0.0, margin, enough)

    def samples(self, gate: Gate, metric: Metric, outlook: Outlook, power: float = POWER) -> int | None:  # noqa: ARG002
        """Return about how many pairs would decide whether the difference is smaller than the margin."""
        margin = gate.margin or 0.0
        if outlook.counted:
            return paired_equivalence_samples(outlook.gains, outlook.losses, margin, gate.alpha, power)
        variance = outlook.n * (outlook.error or 0.0) ** 2
        return equivalence_samples(
            variance, outlook.value, margin, gate.alpha, power, worst=outlook.worst, kurtosis=outlook.kurtosis
        )

    def clause(self, metric: Metric, part: Part) -> str:
        """Return where the difference lies."""
        side = "within" if part.status == "passed" else "against"
        return f"{side} a margin of ±{points_text(metric, part.margin)}"
