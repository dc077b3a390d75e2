"""`min`: at least so much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.gates.kinds.kind import Region
from harness.gates.kinds.limit import LimitKind

if TYPE_CHECKING:
    from harness.contracts import Metric
    from harness.types import Estimate, Gate


class Min(LimitKind):
    """The lower bound must be at least the limit."""

    name = "min"
    upper = False
    sign, what, side = "≥", "minimum", "above"

    def region(self, gate: Gate, measured: Metric | Estimate | None = None, to: str | None = None) -> Region:  # noqa: ARG002
        """Return all from the limit on."""
        return Region(least=gate.limit or 0.0)
