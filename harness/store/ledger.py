"""The ledger: append-only, each row carrying the hash of the row before.

A row's hash is the SHA-256 of the canonical JSON of [number, created, kind, body, previous]. Changing, removing or
inserting a row therefore breaks every hash after it, unless all of them are computed anew; a head that was written down
elsewhere (they are printed with every promotion) detects that too. Against an owner who rebuilds the chain and changes
every copy of its heads, a hash chain proves nothing.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, cast

from harness.errors import BrokenRunError, InputError
from harness.hashing import sha256_json
from harness.store.sqlite import connect, explained_sqlite
from harness.types import LedgerEntry, LedgerKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

GENESIS = "0" * 64
"""What the first row names as the hash of the row before it, and the head of an empty ledger."""
Kind = LedgerKind

_DAMAGED = "restore it from a copy (`harness ledger export` makes one); nothing is promoted on a damaged ledger"
_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY, created TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
    previous TEXT NOT NULL, hash TEXT NOT NULL UNIQUE
);
CREATE INDEX IF NOT EXISTS entries_by_kind ON entries (kind, number);
CREATE TRIGGER IF NOT EXISTS entries_no_update BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS entries_no_delete BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS entries_in_order BEFORE INSERT ON entries
WHEN NEW.number IS NOT (SELECT coalesce(max(number), 0) + 1 FROM entries)
    OR NEW.previous IS NOT coalesce((SELECT hash FROM entries ORDER BY number DESC LIMIT 1), '{genesis}')
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
COMMIT;
""".replace("{genesis}", GENESIS)


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What a whole ledger says of itself."""

    entries: int
    head: str


def entry_hash(number: int, created: str, kind: str, body: Mapping[str, Any], previous: str) -> str:
    """Return the hash of a row: SHA-256 over the canonical JSON of its five other fields."""
    return sha256_json([number, created, kind, body, previous])


class Ledger:
    """The ledger's file. Safe to use from several threads and beside other processes.

    Args:
        path: the SQLite file; made where missing.

    Raises:
        BrokenRunError: when the disk is full, the place may not be written, or the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mutex = threading.RLock()
        with explained_sqlite(path, damaged=_DAMAGED):
            self._connection = connect(path, synchronous="FULL")
            try:
                if not self._connection.execute("PRAGMA user_version").fetchone()[0]:
                    self._connection.executescript(_SCHEMA)
                    self._connection.execute("PRAGMA user_version = 1")
            except sqlite3.Error:
                self._connection.close()
                raise

    @contextmanager
    def transaction(self) -> Iterator[Self]:
        """Hold the only write transaction: what is read and appended inside is one step, or nothing.

        Raises:
            BrokenRunError, InputError: as the constructor; the block's own errors undo what it appended.
        """
        with self._mutex, explained_sqlite(self.path, damaged=_DAMAGED):
            outermost = not self._connection.in_transaction
            if outermost:
                self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self
                if outermost:
                    self._connection.execute("COMMIT")
            except BaseException:
                if outermost and self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def append(self, kind: Kind, body: Mapping[str, Any]) -> LedgerEntry:
        """Append one row and return it; it is on the disk when this returns, or at the end of `transaction`.

        Args:
            kind: what happened.
            body: JSON values.

        Raises:
            ValueError: for a body that JSON cannot carry, such as NaN.
            BrokenRunError: when the disk is full; the ledger is as before.
        """
        text = json.dumps(body, sort_keys=True, allow_nan=False)
        plain = json.loads(text)
        with self.transaction():
            row = self._connection.execute("SELECT number, hash FROM entries ORDER BY number DESC LIMIT 1").fetchone()
            number, previous = (1, GENESIS) if row is None else (row[0] + 1, row[1])
            created = datetime.now(UTC).isoformat(timespec="microseconds")
            digest = entry_hash(number, created, kind, plain, previous)
            self._connection.execute(
                "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", (number, created, kind, text, previous, digest)
            )
        return LedgerEntry(
            number=number, created=created, kind=kind, body=plain, previous=previous, hash=digest
        )  # fmt: skip

    def entries(self, *kinds: Kind) -> tuple[LedgerEntry, ...]:
        """Return the rows in order; where kinds are given, only theirs.

        Raises:
            BrokenRunError: naming the first row whose body is not JSON.
        """
        where = f" WHERE kind IN ({','.join('?' * len(kinds))})" if kinds else ""
        return tuple(_entry(row) for row in self._rows(f"{where} ORDER BY number", kinds))

    def last(self, *kinds: Kind) -> LedgerEntry | None:
        """Return the newest row, of the given kinds where some are given; None where there is none."""
        where = f" WHERE kind IN ({','.join('?' * len(kinds))})" if kinds else ""
        rows = self._rows(f"{where} ORDER BY number DESC LIMIT 1", kinds)
        return _entry(rows[0]) if rows else None

    def _rows(self, clauses: str, values: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
        query = f"SELECT number, created, kind, body, previous, hash FROM entries{clauses}"  # noqa: S608 - no user text
        with self._mutex, explained_sqlite(self.path, damaged=_DAMAGED):
            return self._connection.execute(query, values).fetchall()

    def head(self) -> str:
        """Return the newest row's hash; `GENESIS` where the ledger is empty."""
        newest = self.last()
        return GENESIS if newest is None else newest.hash

    def verify(self, head: str | None = None) -> Verification:
        """Check every row's number, link and hash.

        Args:
            head: a hash, or its first 8 or more digits, that was this ledger's head once: a chain that was cut
                before it or computed anew does not hold it.

        Raises:
            BrokenRunError: naming the first bad row and what is wrong with it, or that the head is not in the chain.
            InputError: when `head` is not a hash.
        """
        if head is not None and (len(head) < 8 or not set(head.lower()) <= set("0123456789abcdef")):
            raise InputError(f"{head!r} is not a head", hint="give the hash that was printed, at least 8 digits of it")
        previous, number, seen = GENESIS, 0, head is None or GENESIS.startswith(head)
        for row in self._rows(" ORDER BY number"):
            number += 1
            problem = _row_problem(row, number, previous)
            if problem:
                raise BrokenRunError(f"{self.path}: row {number} of the ledger is bad: {problem}; {_DAMAGED}")
            previous = row[5]
            seen = seen or (head is not None and previous.startswith(head.lower()))
        if not seen:
            raise BrokenRunError(
                f"{self.path}: the chain of {number} rows holds no row with the hash {head}: it was cut short or "
                f"built anew since that head was written down; {_DAMAGED}"
            )
        return Verification(entries=number, head=previous)

    def close(self) -> None:
        """Close the file."""
        with self._mutex:
            self._connection.close()

    def __enter__(self) -> Self:
        """Return the ledger itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()


def _row_problem(row: tuple[Any, ...], number: int, previous: str) -> str | None:
    """Say what is wrong with a row of the table, or None."""
    if row[0] != number:
        return f"its number is {row[0]}, so that rows are missing before it"
    if row[4] != previous:
        return "it does not name the hash of the row before"
    try:
        body = json.loads(row[3])
    except (ValueError, TypeError):
        return "its body is not JSON"
    try:
        same = entry_hash(row[0], row[1], row[2], body, row[4]) == row[5]
    except (ValueError, TypeError):
        same = False
    return None if same else "its content does not have the hash that it states"


def _entry(row: tuple[Any, ...]) -> LedgerEntry:
    number, created, kind, text, previous, digest = row
    try:
        body = json.loads(text)
    except (ValueError, TypeError) as error:
        raise BrokenRunError(f"row {number} of the ledger is bad: its body is not JSON; {_DAMAGED}") from error
    return LedgerEntry(
        number=number, created=created, kind=cast("Kind", kind), body=body, previous=previous, hash=digest
    )  # fmt: skip
