"""Records to JSON and back, through pydantic's adapters for plain dataclasses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import TypeAdapter

T = TypeVar("T")


_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}


def _adapter(cls: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - unions and classes alike
    from pydantic import TypeAdapter

    if cls not in _ADAPTERS:
        _ADAPTERS[cls] = TypeAdapter(cls)
    return _ADAPTERS[cls]


def to_json(record: object, cls: Any = None, *, indent: int | None = None) -> str:  # noqa: ANN401
    """Return the record as JSON text. `cls` names the declared type where it is a union or a container."""
    return _adapter(cls or type(record)).dump_json(record, indent=indent).decode()


def to_plain(record: object, cls: Any = None) -> Any:  # noqa: ANN401
    """Return the record as dictionaries, lists, strings and numbers."""
    return _adapter(cls or type(record)).dump_python(record, mode="json")


def from_json(cls: type[T], text: str | bytes, *, file: Path | None = None) -> T:
    """Read a record back.

    Raises:
        InputError: when the text is not JSON or does not have the record's fields; of a file, when a key stands twice.
    """
    try:
        if file is not None:
            json.loads(text, object_pairs_hook=unique_keys)
        value: T = _adapter(cls).validate_json(text)
    except (ValueError, RecursionError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"not a readable {getattr(cls, '__name__', cls)} ({first})", file=file) from error
    return value


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object's members, as `object_pairs_hook`, where no key stands twice: else the last would win.

    Raises:
        ValueError: naming the key.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for index, key in enumerate(keys) if key in keys[:index])
        raise ValueError(f"the key {twice[:60]!r} stands twice")
    return found
