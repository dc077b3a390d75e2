"""`max`: at most so much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.gates.kinds.kind import Region
from harness.gates.kinds.limit import LimitKind

if TYPE_CHECKING:
    from harness.contracts import Metric
    from harness.types import Estimate, Gate


class Max(LimitKind):
    """The upper bound must be at most the limit."""

    name = "max"
    upper = True
    sign, what, side = "≤", "limit", "within"

    def region(self, gate: Gate, measured: Metric | Estimate | None = None, to: str | None = None) -> Region:  # noqa: ARG002
        """Return all up to the limit."""
        return Region(greatest=gate.limit or 0.0)
