"""`superior`: better than a baseline."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.api.gates import Outlook, Problem, Region, Scatter, Write
from harness.api.stats import POWER, mcnemar_power, metric_kind
from harness_gates.comparison import ComparisonKind, Part, ToSection
from harness_gates.outlooks import by_spread, farthest
from harness_gates.power import mcnemar_samples

if TYPE_CHECKING:
    from harness.api import Estimate, Gate, Metric


class Superior(ComparisonKind):
    """The bound of the difference must be on the better side of zero."""

    name = "superior"
    keys = ToSection

    def describe(self, gate: Gate) -> str:
        """Return the condition as its file says it."""
        return f"superior to {gate.to or 'promoted'}"

    def condition(self, gate: Gate, write: Write) -> str:  # noqa: ARG002 - it has no number
        """Return the gate as a condition for tables."""
        return f"{gate.metric} better than {gate.to}"

    def margins_problem(self, gate: Gate, metric: Metric) -> Problem | None:  # noqa: ARG002
        """Return None: it has no margin."""
        return None

    def region(self, gate: Gate, measured: Metric | Estimate | None, to: str | None = None) -> Region:  # noqa: ARG002
        """Return all differences to the better."""
        higher = measured is not None and measured.direction == "higher"
        return Region(least=0.0) if higher else Region(greatest=0.0)

    def fewest_of_shares(self, gate: Gate) -> int | None:
        """Return the fewest pairs, all of them gains: exact McNemar's p is then 1/2 to the power of n."""
        return math.ceil(math.log(gate.alpha) / math.log(0.5) - 1e-12)

    def best_share(self, gate: Gate, reach: float) -> float:  # noqa: ARG002
        """Return a half: the largest gain everywhere is half of a difference's reach."""
        return 0.5

    def detectable(self, gate: Gate, metric: Metric, n: int, scatter: Scatter, power: float) -> float | None:
        """Return how much oftener the candidate must be right."""
        if not metric_kind(metric).shares:
            return by_spread(self, gate, metric, n, scatter, power)
        differ = scatter.discordant

        def enough(gain: float) -> bool:
            return mcnemar_power((differ + gain) / 2, (differ - gain) / 2, n, gate.alpha) >= power

        return farthest(differ, 0.0, enough, steps=40)

    def samples(self, gate: Gate, metric: Metric, outlook: Outlook, power: float = POWER) -> int | None:
        """Return about how many pairs would show that there is a difference."""
        if outlook.counted:
            return mcnemar_samples(outlook.gains, outlook.losses, gate.alpha, power)
        return super().samples(gate, metric, outlook, power)

    def clause(self, metric: Metric, part: Part) -> str:  # noqa: ARG002
        """Return where the difference lies."""
        return {"passed": "which is better", "failed": "which is worse"}.get(part.status, "where it should be better")
