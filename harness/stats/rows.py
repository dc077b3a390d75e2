"""The rows of one metric on many samples, packed: what stays in memory of a run of hundreds of thousands."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from harness.types import NotApplicable, Row, Unscored

Scored = Row | Unscored | NotApplicable


class Rows(Sequence[Scored]):
    """A sequence of rows that takes 8 bytes a number and 8 a row, and reads as the tuples that it was made from.

    Equal reasons for being unscored or not applicable are kept once.

    Args:
        rows: the first ones; `append` adds more.
    """

    def __init__(self, rows: Iterable[Scored] = ()) -> None:
        self._numbers = array("d")
        self._ends = array("q")
        """Of each row, where its numbers end; a row without numbers ends where the one before does."""
        self._others: dict[int, Unscored | NotApplicable] = {}
        self._known: dict[Unscored | NotApplicable, Unscored | NotApplicable] = {}
        for row in rows:
            self.append(row)

    def append(self, row: Scored) -> None:
        """Add a row behind the others."""
        if isinstance(row, tuple):
            self._numbers.extend(row)
        else:
            self._others[len(self._ends)] = self._known.setdefault(row, row)
        self._ends.append(len(self._numbers))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> Scored: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Scored, ...]: ...
    def __getitem__(self, index: int | slice) -> Scored | tuple[Scored, ...]:
        """Return one row, or some as a tuple."""
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        place = range(len(self))[index]
        other = self._others.get(place)
        return self._row(place) if other is None else other

    def _row(self, place: int) -> Row:
        begin = self._ends[place - 1] if place else 0
        return tuple(self._numbers[begin : self._ends[place]])

    def __iter__(self) -> Iterator[Scored]:
        """Yield the rows in order."""
        for place in range(len(self)):
            other = self._others.get(place)
            yield self._row(place) if other is None else other
