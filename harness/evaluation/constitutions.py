"""Constitutions by name, read on first use: metric factories ask only for those a suite names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import unknown_name
from harness.reading.constitution import constitution_of, read_constitution

if TYPE_CHECKING:
    from harness.plugins import Registries
    from harness.types import Constitution, Principle


class Constitutions(Mapping[str, "tuple[Principle, ...]"]):
    """Principles by constitution: registered names, registered principles (as constitutions of one), and YAML paths.

    Args:
        registries: where names come from.
        folder: what relative paths mean relative to.
    """

    def __init__(self, registries: Registries, folder: Path) -> None:
        self._registries = registries
        self._folder = folder
        self._read: dict[str, Constitution] = {}

    def record(self, name: str) -> Constitution:
        """Return the whole constitution.

        Raises:
            InputError: when nothing answers to the name, or its file is wrong.
        """
        if name not in self._read:
            self._read[name] = self._find(name)
        return self._read[name]

    def _find(self, name: str) -> Constitution:
        registries = self._registries
        if name in registries.constitutions:
            return read_constitution(registries.constitutions.get(name), registries.principles)
        if name in registries.principles:
            return constitution_of(name, 1, (registries.principles.get(name),))
        if _is_path(name):
            return read_constitution((self._folder / name).resolve(), registries.principles)
        raise unknown_name("constitution or principle", name, self)

    def __getitem__(self, name: str) -> tuple[Principle, ...]:
        """Return the principles behind a name; raises InputError (not KeyError) with the nearest name."""
        return self.record(name).principles

    def __contains__(self, name: object) -> bool:
        """Tell whether a name is registered, or is written as a path."""
        return isinstance(name, str) and (
            name in self._registries.constitutions or name in self._registries.principles or _is_path(name)
        )

    def __iter__(self) -> Iterator[str]:
        """Yield the registered names."""
        yield from (entry.name for entry in self._registries.constitutions)
        yield from (entry.name for entry in self._registries.principles)

    def __len__(self) -> int:
        """Count the registered names."""
        return len(self._registries.constitutions) + len(self._registries.principles)


def _is_path(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def named_rules(
    registries: Registries, folder: Path, principles: Sequence[str], constitution: str | None
) -> str | None:  # fmt: skip
    """Check the rules that a person names, and return the constitution, a path as the folder means it.

    Raises:
        InputError: for a principle or constitution that nothing answers to.
    """
    known = Constitutions(registries, folder)
    for name in principles:
        if name not in known:
            raise unknown_name("principle", name, [entry.name for entry in registries.principles], key="--principle")
    if constitution is None:
        return None
    if constitution not in known:
        names = [entry.name for entry in registries.constitutions]
        raise unknown_name("constitution", constitution, names, key="--constitution")
    named = constitution in registries.constitutions or constitution in registries.principles
    return constitution if named else str((folder / Path(constitution).expanduser()).resolve())
