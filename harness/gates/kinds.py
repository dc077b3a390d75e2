"""The kinds of gate and the corrections of gates, by name.

A kind is one object that a plugin registers: its keys in YAML, whether it makes sense and can be passed, what it checks
and says, what can be planned for it, and what is drawn of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import unknown_name
from harness.registry import Known

if TYPE_CHECKING:
    from harness.gates.kind import Correction, GateKind
    from harness.types import Gate

KINDS: Known[GateKind] = Known("register_gate_kinds")
CORRECTIONS: Known[Correction] = Known("register_corrections")


def kind_of(gate: Gate) -> GateKind:
    """Return a gate's kind.

    Raises:
        InputError: for a kind that there is not, as in a run of a later version, or of a plugin that is not loaded.
    """
    if gate.kind not in KINDS:
        raise unknown_name("kind of gate", gate.kind, KINDS)
    return KINDS[gate.kind]


def correction_of(gate: Gate) -> Correction:
    """Return a gate's correction; raises as `kind_of` does."""
    if gate.correction not in CORRECTIONS:
        raise unknown_name("correction of gates", gate.correction, CORRECTIONS)
    return CORRECTIONS[gate.correction]
