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
from string import hexdigits
from typing import TYPE_CHECKING, Any, Self, cast

from harness.errors import BrokenRunError, InputError
from harness.hashing import sha256_json
from harness.store.sqlite import Database, connect, explained_sqlite
from harness.types import LedgerEntry, LedgerKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

GENESIS = "0" * 64
"""What the first row names as the hash of the row before it, and the head of an empty ledger."""
Kind = LedgerKind

_DAMAGED = "restore the file from a backup; nothing is promoted on a damaged ledger"
_COLUMNS = ("number", "created", "kind", "body", "previous", "hash")
_LAYOUT = 1
"""SQLite's user_version of a ledger."""
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


class Ledger(Database):
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
            self._connection = connect(path, synchronous="EXTRA", journal="DELETE")
            try:
                self._connection.text_factory = _text
                self._begin()
            except (sqlite3.Error, BrokenRunError):
                self._connection.close()
                raise

    def _begin(self) -> None:
        """Make the table in a new file, and refuse a database of something else: nothing is ever added to that."""
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        columns = tuple(row[1] for row in self._connection.execute("PRAGMA table_info(entries)"))
        tables = [row[0] for row in self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        foreign = columns != _COLUMNS if columns or version else bool(tables)
        if version > _LAYOUT:
            raise BrokenRunError(f"{self.path}: the ledger was written by a newer version of harness; install that one")
        if foreign:
            holds = f"it has the table {tables[0]!r}" if tables else "it has no table of entries"
            raise BrokenRunError(f"{self.path}: is a database, but no ledger ({holds}); {_DAMAGED}")
        if version == 0:
            self._connection.executescript(_SCHEMA)
            self._connection.execute(f"PRAGMA user_version = {_LAYOUT}")

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
        text = _body_text(body)
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
            BrokenRunError: naming the first of them whose content does not have its hash.
        """
        where = f" WHERE kind IN ({','.join('?' * len(kinds))})" if kinds else ""
        return tuple(_entry(row) for row in self._rows(f"{where} ORDER BY number", kinds))

    def last(self, *kinds: Kind) -> LedgerEntry | None:
        """Return the newest row, of the given kinds where some are given; None where there is none.

        Raises:
            BrokenRunError: when its content does not have its hash.
        """
        where = f" WHERE kind IN ({','.join('?' * len(kinds))})" if kinds else ""
        rows = self._rows(f"{where} ORDER BY number DESC LIMIT 1", kinds)
        return _entry(rows[0]) if rows else None

    def _rows(self, clauses: str, values: tuple[str | int, ...] = ()) -> list[tuple[Any, ...]]:
        query = f"SELECT number, created, kind, body, previous, hash FROM entries{clauses}"  # noqa: S608 - no user text
        with self._mutex, explained_sqlite(self.path, damaged=_DAMAGED):
            return self._connection.execute(query, values).fetchall()

    def is_empty(self) -> bool:
        """Tell whether nothing was ever appended."""
        return not self._rows(" LIMIT 1")

    def holds(self, number: int, digest: str) -> bool:
        """Tell whether the row of this number has this hash."""
        return bool(self._rows(" WHERE number = ? AND hash = ?", (number, digest)))

    def head(self) -> str:
        """Return the newest row's hash; `GENESIS` where the ledger is empty."""
        newest = self.last()
        return GENESIS if newest is None else newest.hash

    def verify(self, head: str | None = None) -> Verification:
        """Check every row's number, link and hash.

        Args:
            head: a hash, or its first 8 or more digits, that was this ledger's head once: a chain that was cut
                before it or computed anew does not hold it. Only an empty ledger's head is `GENESIS`.

        Raises:
            BrokenRunError: naming the first bad row and what is wrong with it, or that the head is not in the chain.
            InputError: when `head` is not a hash.
        """
        if head is not None and (not 8 <= len(head) <= len(GENESIS) or not set(head.lower()) <= set(hexdigits)):
            raise InputError(f"{head!r} is not a head", hint="give the hash that was printed, at least 8 digits of it")
        previous, number, seen = GENESIS, 0, head is None
        for row in self._rows(" ORDER BY number"):
            number += 1
            problem = _row_problem(row, number, previous)
            if problem:
                raise BrokenRunError(f"{self.path}: row {number} of the ledger is bad: {problem}; {_DAMAGED}")
            previous = row[5]
            seen = seen or (head is not None and previous.startswith(head.lower()))
        if number == 0 and head is not None:
            seen = GENESIS.startswith(head)
        if not seen:
            raise BrokenRunError(
                f"{self.path}: the chain of {number} rows holds no row with the hash {head}: it was cut short or "
                f"built anew since that head was written down; {_DAMAGED}"
            )
        return Verification(entries=number, head=previous)


def _row_problem(row: tuple[Any, ...], number: int, previous: str) -> str | None:
    """Say what is wrong with a row of the table, or None."""
    if row[0] != number:
        return f"its number is {row[0]}, so that rows are missing before it"
    if row[4] != previous:
        return "it does not name the hash of the row before"
    return _content_problem(row)


def _content_problem(row: tuple[Any, ...]) -> str | None:
    """Say what is wrong with a row by itself, or None."""
    number, created, kind, text, previous, digest = row
    try:
        body = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return "its body is not JSON"
    try:
        same = entry_hash(number, created, kind, body, previous) == digest and isinstance(body, dict)
        as_written = _body_text(body) == text
    except (ValueError, TypeError):
        same = as_written = False
    if not same:
        return "its content does not have the hash that it states"
    # The hash is over what the text means. A key that stands there twice would show another program something else.
    return None if as_written else "its body is not written as the ledger writes it"


def _body_text(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, allow_nan=False)


def _text(raw: bytes) -> str:
    """Read a column's bytes whatever they are, so that a bad row can be named: what is not UTF-8 has no right hash."""
    return raw.decode("utf-8", "surrogateescape")


def _entry(row: tuple[Any, ...]) -> LedgerEntry:
    """Return the row as a record. Nobody acts on a row that is not what was appended."""
    problem = _content_problem(row)
    number, created, kind, text, previous, digest = row
    if problem:
        raise BrokenRunError(f"row {number} of the ledger is bad: {problem}; {_DAMAGED}")
    return LedgerEntry(
        number=number, created=created, kind=cast("Kind", kind), body=json.loads(text), previous=previous, hash=digest
    )  # fmt: skip
