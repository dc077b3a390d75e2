"""Rows that wait for a slot, in the order in which they cost least to begin."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from harness_models.hf.batching import clusters

if TYPE_CHECKING:
    from harness_models.hf.rows import Row


class Waiting:
    """A queue of rows: those with a common beginning follow each other, the longest first.

    Args:
        rows: the rows; their cluster and prefix are set here.
        sharing: whether beginnings that rows have in common may be computed once.
    """

    def __init__(self, rows: Sequence[Row], *, sharing: bool) -> None:
        if sharing:
            for number, cluster in enumerate(clusters([row.ask.prompt for row in rows])):
                for member in cluster.members:
                    rows[member].cluster, rows[member].prefix = number, cluster.prefix
        self._rows = deque(sorted(rows, key=lambda row: (row.cluster, -row.length, row.index)))

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def add(self, row: Row) -> None:
        """Put a row behind all others."""
        self._rows.append(row)

    def remove(self, row: Row) -> None:
        """Take a row out, which must be here."""
        self._rows.remove(row)

    def put_back(self, rows: Iterable[Row]) -> None:
        """Let rows that were in flight go on before all others."""
        self._rows.extendleft(sorted(rows, key=lambda row: (-row.cluster, row.length, -row.index)))

    def take(self, fits: Callable[[Sequence[Row]], bool], padding: int) -> list[Row]:
        """Take the next rows that go well through one pass: of one cluster, padded by at most so many tokens in all.

        Args:
            fits: tells whether rows fit into the slots and into one pass; asked with one row more each time.
            padding: tokens of padding that cost about as much as another pass.
        """
        group: list[Row] = []
        spent = 0
        while self._rows:
            row = self._rows[0]
            if group:
                longest = max(other.length for other in group)
                spent += (row.length - longest) * len(group) if row.length > longest else longest - row.length
                if row.cluster != group[0].cluster or row.adapters != group[0].adapters or spent > padding:
                    break
            if not fits([*group, row]):
                break
            group.append(self._rows.popleft())
        return group
