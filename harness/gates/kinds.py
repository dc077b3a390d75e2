"""The kinds of gate and the corrections of gates, by name.

A kind is one object that a plugin registers: its keys in YAML, whether it makes sense and can be passed, what it checks
and says, what can be planned for it, and what is drawn of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from harness.errors import unknown_name
from harness.hookspecs import BUNDLED

if TYPE_CHECKING:
    from harness.gates.kind import Correction, GateKind
    from harness.types import Gate

T = TypeVar("T")


class _Known(Mapping[str, T]):
    """Those of the bundled plugins, which stored runs need though no plugins are loaded, and what was loaded besides.

    A name means one thing in the whole process: a gate in a record holds the name alone.
    """

    def __init__(self, hook: str) -> None:
        self._hook = hook
        self._makers: dict[str, Callable[[], T]] = {}
        self._made: dict[str, T] = {}

    def add(self, name: str, make: Callable[[], T]) -> None:
        """Add one, or put it in the place of an earlier one of its name."""
        self._known()[name] = make
        self._made.pop(name, None)

    def _known(self) -> dict[str, Callable[[], T]]:
        if not self._makers:
            for module in map(import_module, BUNDLED):
                if hasattr(module, self._hook):
                    getattr(module, self._hook)(lambda name, make, **_: self._makers.setdefault(name, make))
        return self._makers

    def __getitem__(self, name: str) -> T:
        if name not in self._made:
            self._made[name] = self._known()[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())


KINDS: _Known[GateKind] = _Known("register_gate_kinds")
CORRECTIONS: _Known[Correction] = _Known("register_corrections")


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
