"""What a kind of gate is made of: its base, the records that it is asked with, and how checks write numbers."""

from harness.evaluation.number_formats import PrecisionChecker
from harness.gates.kind import (
    Arms,
    Correction,
    Drawn,
    GateKind,
    Outlook,
    Problem,
    Region,
    Scatter,
    Section,
    Write,
)
from harness.gates.kinds import correction_of
from harness.gates.numbers import (
    amount,
    bounds_text,
    change,
    limit_text,
    number,
    points_text,
)

__all__ = [
    "Arms",
    "Correction",
    "Drawn",
    "GateKind",
    "Outlook",
    "PrecisionChecker",
    "Problem",
    "Region",
    "Scatter",
    "Section",
    "Write",
    "amount",
    "bounds_text",
    "change",
    "correction_of",
    "limit_text",
    "number",
    "points_text",
]
