"""The kinds of gate, by name.

Each is one object that a plugin registers: its keys in YAML, whether it makes sense and can be passed, what it checks
and says, what can be planned for it, and what is drawn of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from harness.errors import unknown_name
from harness.hookspecs import BUNDLED

if TYPE_CHECKING:
    from harness.gates.kind import GateKind
    from harness.types import Gate


class _Kinds(Mapping[str, "GateKind"]):
    """Those of the bundled plugins, which stored runs need though no plugins are loaded, and what was loaded besides.

    A name means one kind in the whole process: a gate in a record holds the name alone.
    """

    def __init__(self) -> None:
        self._makers: dict[str, Callable[[], GateKind]] = {}
        self._made: dict[str, GateKind] = {}

    def add(self, name: str, make: Callable[[], GateKind]) -> None:
        """Add a kind, or put it in the place of an earlier one of its name."""
        self._known()[name] = make
        self._made.pop(name, None)

    def _known(self) -> dict[str, Callable[[], GateKind]]:
        if not self._makers:
            for module in map(import_module, BUNDLED):
                if hasattr(module, "register_gate_kinds"):
                    module.register_gate_kinds(lambda name, make, **_: self._makers.setdefault(name, make))
        return self._makers

    def __getitem__(self, name: str) -> GateKind:
        if name not in self._made:
            self._made[name] = self._known()[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())


KINDS = _Kinds()


def kind_of(gate: Gate) -> GateKind:
    """Return a gate's kind.

    Raises:
        InputError: for a kind that there is not, as in a run of a later version, or of a plugin that is not loaded.
    """
    if gate.kind not in KINDS:
        raise unknown_name("kind of gate", gate.kind, KINDS)
    return KINDS[gate.kind]
