"""Reads files of rows: one JSON object a line or one array, bad rows counted and listed up to a share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from harness.api import MOST_WHOLE, InputError, opened, parse_json, read_lines, read_text

T = TypeVar("T")
_SHOWN = 5
"""Bad rows that an error names."""


@dataclass(frozen=True, kw_only=True)
class Rows(Generic[T]):
    """What a file holds."""

    good: tuple[T, ...]
    bad: tuple[InputError, ...] = ()
    """Why each row that was left out is no row."""

    @property
    def note(self) -> str:
        """Say which rows were left out; empty where none was."""
        if not self.bad:
            return ""
        of = len(self.good) + len(self.bad)
        return f"{len(self.bad)} of {of} rows of {self.bad[0].file} were left out: {_listed(self.bad)}"


def gather(path: Path, parse: Callable[[object, int], T], *, most_bad: float = 0.0, what: str) -> Rows[T]:
    """Read a file, `.gz` unpacked, and return its rows.

    Args:
        path: JSON Lines, or one JSON array.
        parse: makes a row of a JSON value and its line, which for an array is its number, from 1.
        most_bad: the largest share of rows that may be left out because they raise an InputError; with 0 the first
            ends the reading.
        what: the rows, for errors.

    Raises:
        InputError: naming file, line and key, where the file or too many rows are not what they should be.
    """
    good: list[T] = []
    bad: list[InputError] = []
    for line, value in _values(path):
        try:
            good.append(parse(value(), line))
        except InputError as error:
            if not most_bad:
                raise
            bad.append(error)
    of = len(good) + len(bad)
    if len(bad) > most_bad * of:
        raise InputError(
            f"{len(bad)} of {of} rows are not what they should be, and max_bad_rows allows {most_bad:.2%}: "
            f"{_listed(bad)}", file=path, hint="mend or remove them, or raise max_bad_rows",
        )  # fmt: skip
    if not good:
        raise InputError(f"holds no {what}", file=path, hint="write one JSON object per line")
    return Rows(good=tuple(good), bad=tuple(bad))


def _values(path: Path) -> Iterator[tuple[int, Callable[[], Any]]]:
    with opened(path, what="training data") as stream:
        array = stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["
    if array:
        for number, value in enumerate(parse_json(read_text(path, most=MOST_WHOLE), path), 1):
            yield number, lambda value=value: value  # type: ignore[misc]
        return
    for number, text in read_lines(path):
        if text.strip():
            yield number, lambda text=text, number=number: parse_json(text, path, number)  # type: ignore[misc]


def _listed(bad: list[InputError] | tuple[InputError, ...]) -> str:
    shown = [f"line {error.line} ({f'{error.key}: ' if error.key else ''}{error.cause})" for error in bad[:_SHOWN]]
    if len(bad) > _SHOWN:
        shown.append(f"and {len(bad) - _SHOWN} more, in lines {_lines(bad[_SHOWN:])}")
    return ", ".join(shown)


def _lines(bad: list[InputError] | tuple[InputError, ...]) -> str:
    named = [str(error.line) for error in bad[:20]]
    return ", ".join(named) + (", …" if len(bad) > len(named) else "")


def kind_of(value: object) -> str:
    """Return what a JSON value is, in words."""
    names = {"dict": "an object", "list": "a list", "str": "text", "NoneType": "null", "bool": "a boolean"}
    return names.get(type(value).__name__, "a number")
