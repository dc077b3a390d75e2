"""`min`: at least so much."""

from __future__ import annotations

from harness_gates.limit import LimitKind


class Min(LimitKind):
    """The lower bound must be at least the limit."""

    name = "min"
    upper = False
    sign, what, side = "≥", "minimum", "above"
