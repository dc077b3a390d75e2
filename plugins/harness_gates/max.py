"""`max`: at most so much."""

from __future__ import annotations

from harness_gates.limit import LimitKind


class Max(LimitKind):
    """The upper bound must be at most the limit."""

    name = "max"
    upper = True
    sign, what, side = "≤", "limit", "within"
