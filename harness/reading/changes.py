"""Options of a suite that are set for one run, instead of in its file: `ask.temperature=0.7`."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import yaml

from harness.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.reading.strict import Document

_FIXED = {
    "id": "it names what runs are compared by", "version": "it belongs to the file",
    "gates": "gates are chosen before the numbers are known",
}  # fmt: skip


def parse_changes(texts: Iterable[str]) -> dict[str, Any]:
    """Return values by dotted key, each read as YAML: `ask.stop=["\\n"]`, `measure.toxicity.at=0.6`.

    Raises:
        InputError: for a text without a key, a key that stands twice, or a value that no record can hold.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, written = text.partition("=")
        key = key.strip()
        if not equals or not all(key.split(".")):
            raise InputError(f"{text!r} sets nothing", key="--set", hint="write KEY=VALUE, such as ask.temperature=0.7")
        if key in found:
            raise InputError(f"{key} is set twice", key="--set", hint="keep one of them")
        try:
            value = yaml.safe_load(written)
            json.dumps(value, allow_nan=False)
        except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
            raise InputError(
                f"{written!r} is no value for {key}", key="--set", hint="put a text in quotes: KEY='\"…\"'"
            ) from error
        found[key] = value
    return found


def apply_changes(document: Document, changes: Mapping[str, Any]) -> Document:
    """Return a suite's document with some of its values replaced; sections that are missing are made.

    An item of a list is meant by its number from 0, or by its name: `measure.toxicity.at`.

    Raises:
        InputError: for a key that has no place in the file, or that may not be set.
    """
    value = copy.deepcopy(document.value)
    for key, new in changes.items():
        first, *_ = parts = key.split(".")
        if first in _FIXED:
            raise InputError(
                f"{first} cannot be set for one run: {_FIXED[first]}", key=key, hint="copy the suite's file"
            )
        at: Any = value
        for part in parts[:-1]:
            at = _step(at, part, key)
        if isinstance(at, list):
            if not parts[-1].isdigit() or int(parts[-1]) >= len(at):
                raise _nowhere(key, parts[-1])
            at[int(parts[-1])] = new
        elif isinstance(at, dict):
            at[parts[-1]] = new
        else:
            raise _nowhere(key, parts[-1])
    return document.with_value(value)


def _step(at: Any, part: str, key: str) -> Any:  # noqa: ANN401 - YAML's values
    """Go one level down."""
    if isinstance(at, dict):
        if at.get(part) is None:
            at[part] = {}
        return at[part]
    if isinstance(at, list):
        for index, item in enumerate(at):
            if part == str(index) or (isinstance(item, dict) and list(item) == [part]):
                if part != str(index) and item[part] is None:
                    item[part] = {}
                return item if part == str(index) else item[part]
            if item == part:
                at[index] = {part: {}}
                return at[index][part]
    raise _nowhere(key, part)


def _nowhere(key: str, part: str) -> InputError:
    return InputError(f"the suite has nothing called {part!r} there", key=key, hint="harness show suite NAME lists it")


def as_set(error: InputError, changes: Mapping[str, Any]) -> InputError:
    """Return an error about a value that was set, with its key instead of a place in the file."""
    written = (error.key or "").replace("[", ".").replace("]", "")
    for key in changes:
        if written == key or written.startswith(f"{key}.") or key.startswith(f"{written}.{key.rpartition('.')[2]}"):
            return InputError(error.cause, key=key, hint=error.hint or "it was set for this run, not in the file")
    return error


def written_changes(changes: Mapping[str, Any]) -> str:
    """Write what was set as a person would: `ask.temperature=0.7, pick.tags=["medical"]`."""
    return ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in sorted(changes.items()))
