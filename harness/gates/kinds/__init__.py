"""The kinds of gate, by name. Each is one file: its keys in YAML, whether it makes sense and can be passed, what it
checks and says, what can be planned for it, and what is drawn of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import unknown_name
from harness.gates.kinds.equivalent import Equivalent
from harness.gates.kinds.kind import GateKind
from harness.gates.kinds.max import Max
from harness.gates.kinds.max_unscored import MaxUnscored
from harness.gates.kinds.min import Min
from harness.gates.kinds.non_inferior import NonInferior
from harness.gates.kinds.superior import Superior

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.types import Gate

KINDS: Mapping[str, GateKind] = {
    kind.name: kind for kind in (Min(), Max(), NonInferior(), Superior(), Equivalent(), MaxUnscored())
}

__all__ = ["KINDS", "GateKind", "kind_of"]


def kind_of(gate: Gate) -> GateKind:
    """Return a gate's kind.

    Raises:
        InputError: for a kind that there is not, as in a run of a later version.
    """
    if gate.kind not in KINDS:
        raise unknown_name("kind of gate", gate.kind, KINDS)
    return KINDS[gate.kind]
