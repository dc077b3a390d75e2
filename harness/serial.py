"""Records to JSON and back, through pydantic's adapters for plain dataclasses."""

from __future__ import annotations

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
        InputError: when the text is not JSON or does not have the record's fields.
    """
    try:
        value: T = _adapter(cls).validate_json(text)
    except ValueError as error:
        first = str(error).splitlines()[0]
        raise InputError(f"not a readable {getattr(cls, '__name__', cls)} ({first})", file=file) from error
    return value
