"""A registry of one kind of plugin: names once, remembers owners, freezes, and suggests the nearest name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, TypeVar

from harness.errors import HarnessError, InputError, unknown_name
from harness.hookspecs import BUNDLED

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Registered(Generic[T]):
    """One entry."""

    name: str
    value: T
    owner: str
    """Name of the plugin that registered it."""
    about: str
    """One line for listings."""


class Registry(Generic[T]):
    """Names of one kind to what plugins registered.

    Args:
        kind: the kind's singular name, for messages.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Registered[T]] = {}
        self._frozen = False

    def registrar(self, owner: str) -> Callable[..., None]:
        """Return the `register(name, value, *, about="")` that is handed to one plugin."""

        def register(name: str, value: T, *, about: str = "") -> None:
            self._add(Registered(name=name, value=value, owner=owner, about=about))

        return register

    def _add(self, entry: Registered[T]) -> None:
        if self._frozen:
            raise HarnessError(f"{entry.owner} registers the {self.kind} {entry.name!r} after registration has ended")
        other = self._entries.get(entry.name)
        if other is not None:
            raise InputError(
                f"the {self.kind} {entry.name!r} is registered by both {other.owner} and {entry.owner}",
                hint=f"leave one out with -p no:{entry.owner}",
            )
        self._entries[entry.name] = entry

    def freeze(self) -> None:
        """Refuse any later registration."""
        self._frozen = True

    def get(self, name: str, *, file: str | None = None, line: int | None = None, key: str | None = None) -> T:
        """Return what is registered under the name.

        Raises:
            InputError: with the nearest known name.
        """
        entry = self._entries.get(name)
        if entry is None:
            raise unknown_name(self.kind, name, self._entries, file=file, line=line, key=key)
        return entry.value

    def entry(self, name: str) -> Registered[T]:
        """Return the whole entry; raises as `get` does."""
        self.get(name)
        return self._entries[name]

    def __contains__(self, name: str) -> bool:
        """Tell whether the name is registered."""
        return name in self._entries

    def __iter__(self) -> Iterator[Registered[T]]:
        """Yield the entries in the order of their names."""
        return iter(sorted(self._entries.values(), key=lambda entry: entry.name))

    def __len__(self) -> int:
        """Count the entries."""
        return len(self._entries)


class Known(Mapping[str, T]):
    """Those of the bundled plugins, which stored runs need though no plugins are loaded, and what was loaded besides.

    A name means one thing in the whole process: records hold the name alone.
    """

    def __init__(self, hook: str) -> None:
        self._hook = hook
        self._makers: dict[str, Callable[..., T]] = {}
        self._made: dict[str, T] = {}

    def add(self, name: str, make: Callable[..., T]) -> None:
        """Add one, or put it in the place of an earlier one of its name."""
        self._known()[name] = make
        self._made.pop(name, None)

    def _known(self) -> dict[str, Callable[..., T]]:
        if not self._makers:
            for module in map(import_module, BUNDLED):
                if hasattr(module, self._hook):
                    getattr(module, self._hook)(lambda name, make, **_: self._makers.setdefault(name, make))
        return self._makers

    def maker(self, name: str) -> Callable[..., T]:
        """Return what was registered under the name."""
        return self._known()[name]

    def __getitem__(self, name: str) -> T:
        if name not in self._made:
            self._made[name] = self._known()[name]()
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        """Tell whether the name is known, and make nothing for it."""
        return name in self._known()

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())


def imported(where: str) -> Any:  # noqa: ANN401 - a module's attribute may be anything
    """Return what `module:attribute` names."""
    module, attribute = where.split(":")
    return getattr(import_module(module), attribute)


def late(where: str) -> Callable[..., Any]:
    """Return a function that imports `module:attribute` when it is called, so that registering it stays quick."""

    def call(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever it takes and gives
        return imported(where)(*arguments, **options)

    vars(call)["where"] = where
    return call
