"""Gates: conditions on metrics, checked three ways, with a sentence that a person can act on.

Before a run: `find_metric`, `require_valid`, `require_attainable`. After it: `check_gate`. For planning: `detectable`.
"""

from __future__ import annotations

from harness.gates.attainable import detectable, require_attainable, samples_needed
from harness.gates.by_principle import as_written, of_each
from harness.gates.check import check_gate
from harness.gates.kind import Scatter
from harness.gates.valid import find_metric, require_valid

__all__ = [
    "Scatter",
    "as_written",
    "check_gate",
    "detectable",
    "find_metric",
    "of_each",
    "require_attainable",
    "require_valid",
    "samples_needed",
]
