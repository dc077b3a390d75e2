"""`max_unscored`: at most such a share of the very run's samples may be without a score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from harness.api import Check
from harness.api.gates import Arms, Drawn, GateKind, Problem, Region, Write
from harness.api.stats import estimate
from harness_gates.limit import limit_problem

if TYPE_CHECKING:
    from harness.api import Estimate, Gate, Metric, Status


class MaxUnscored(GateKind):
    """A share of this very run, not of a population: it has no interval."""

    name = "max_unscored"
    keys = Annotated[float, Field(ge=0, le=1)]
    of_the_run = True

    def fields(self, given: Any) -> dict[str, Any]:  # noqa: ANN401
        """Return the limit."""
        return {"limit": given}

    def describe(self, gate: Gate) -> str:
        """Return the condition as its file says it."""
        return f"max_unscored {gate.limit:g}"

    def condition(self, gate: Gate, write: Write) -> str:  # noqa: ARG002 - a share, whatever the metric
        """Return the gate as a condition for tables."""
        return f"{gate.metric} unscored ≤ {100 * (gate.limit or 0.0):g} %"

    def problem(self, gate: Gate, metric: Metric) -> Problem | None:  # noqa: ARG002
        """Return what is wrong with the limit."""
        return limit_problem(gate, "a share of the samples", (0.0, 1.0), 1)

    def region(self, gate: Gate, measured: Metric | Estimate | None = None, to: str | None = None) -> Region:  # noqa: ARG002
        """Return all shares up to the limit."""
        return Region(greatest=gate.limit or 0.0)

    def check(self, gate: Gate, arms: Arms) -> Check:
        """Return the verdict on the count."""
        table, limit = arms.candidate, gate.limit or 0.0
        found = estimate(table, confidence=1 - 2 * gate.alpha, seed=arms.seed, resamples=arms.resamples)
        status: Status = "inconclusive"
        text = f"no sample is in the denominator of {gate.metric}"
        if table.n:
            share = table.unscored / table.n
            status = "passed" if share <= limit else "failed"
            side = "within" if status == "passed" else "against"
            text = (
                f"{table.unscored} of {table.n} samples of {gate.metric} are unscored ({100 * share:.1f} %), "
                f"{side} a limit of {100 * limit:g} %"
            )
        return Check(gate=gate, status=status, sentence=f"{status}: {text}", estimate=found, method="count")

    def drawn(self, check: Check) -> Drawn:
        """Return the share of the samples that is unscored."""
        found = check.estimate
        share = found.unscored / found.n if found is not None and found.n else None
        return Drawn(
            value=share, region=self.region(check.gate), axis=f"{check.gate.metric}: unscored", percent=True, unit="%",
            own="—" if share is None else f"{100 * share:.1f} %",
        )  # fmt: skip
