"""The cache of replies, findings and verdicts: small values under SHA-256 keys, in one SQLite file.

A batch is committed whole or not at all, and survives the death of its process. Losing the file costs only time: the
model is asked again. Before each value stands the keyed digest of its key and itself (`harness.seal`): a row that
somebody else put there, or moved to another key, is not believed.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.seal import SIZE, Seal
from harness.store.sqlite import Database, connect, explained_sqlite

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_CHUNK = 900
"""Keys per SELECT, below SQLite's least limit on parameters (999)."""
_ROOM = "CASE WHEN length(value) <= 950 THEN length(value) + 56 ELSE 550 + 4096 * ((length(value) + 3641) / 4092) END"
"""Bytes of an entry in the file, about: value, key, time, its place in the tree, and whole pages for what is longer
than a page of the tree takes (SQLite's file format, section 1.6)."""
_LOG_PAGES = 8192
"""Pages of the write-ahead log (32 MiB) before they are moved into the file: keys are hashes, so that a batch touches
as many pages as it has replies, and moving them seldom moves each page once for many batches."""
_DAMAGED = "delete it and its -wal and -shm files: the only cost is that the model is asked again"


@dataclass(frozen=True, kw_only=True)
class CacheStats:
    """What the cache holds."""

    entries: int
    value_bytes: int
    """Sum of the values' sizes."""
    file_bytes: int
    """Size of the database file and its write-ahead log."""
    oldest: int | None = None
    """When the oldest entry was stored, in seconds since 1970; None for an empty cache."""
    newest: int | None = None


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What a look at every row found."""

    entries: int
    refused: int
    """Rows that are not what this workspace wrote. They are never answered from."""
    forgotten: int = 0
    """How many of them were taken away."""
    private: bool = True
    """Whether nobody else may read the key."""


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """What pruning takes away, or would."""

    entries: int
    kept: int
    """Entries that stay."""
    freed_bytes: int
    """What the files shrank by; before pruning, what the entries take, about."""


class Cache(Database):
    """Values by key. Safe to use from several threads and beside other processes.

    Args:
        path: the SQLite file; made where missing. The key is beside it, with the suffix `.key`.

    Attributes:
        refused: how many rows were not believed when they were asked for.

    Raises:
        BrokenRunError: when the disk is full, the place may not be written, or the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.refused = 0
        self._seal = Seal(path.with_suffix(".key"))
        self._mutex = threading.Lock()
        with explained_sqlite(path, damaged=_DAMAGED):
            self._connection = connect(path, synchronous="NORMAL", journal="WAL")
            try:
                self._connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
                self._connection.execute(
                    "CREATE TABLE IF NOT EXISTS entries "
                    "(key BLOB PRIMARY KEY, value BLOB NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID"
                )
            except sqlite3.Error:
                self._connection.close()
                raise

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the values of those keys that are known, and count those that are not what was put.

        Args:
            keys: SHA-256 as 64 hexadecimal digits each.

        Raises:
            ValueError: for a key of another form.
            BrokenRunError: when the file is damaged.
            InputError: when the key's file is.
        """
        raw = {_raw(key): key for key in keys}
        wanted = list(raw)
        found: dict[str, bytes] = {}
        with self._mutex, explained_sqlite(self.path, damaged=_DAMAGED):
            for start in range(0, len(wanted), _CHUNK):
                chunk = wanted[start : start + _CHUNK]
                marks = ",".join("?" * len(chunk))
                rows = self._connection.execute(
                    f"SELECT key, CAST(value AS BLOB) FROM entries WHERE key IN ({marks})",  # noqa: S608 - only question marks
                    chunk,
                )
                for key, row in rows:
                    if self._holds(key, row):
                        found[raw[key]] = row[SIZE:]
                    else:
                        self.refused += 1
        return found

    def put_many(self, items: Mapping[str, bytes]) -> None:
        """Store the values, all or none; a key that is known keeps its newest value.

        Raises:
            ValueError: for a key that is not 64 hexadecimal digits.
            BrokenRunError: when the disk is full or the file is damaged; nothing of the batch was stored.
        """
        now = int(time.time())
        rows = [(_raw(key), self._seal.of(_raw(key) + value) + value, now) for key, value in items.items()]
        if not rows:
            return
        with self._mutex, explained_sqlite(self.path, damaged=_DAMAGED), self._transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", rows)

    def forget(self, keys: Sequence[str]) -> None:
        """Forget the values of these keys, all or none; raises as `put_many`."""
        raw = [(_raw(key),) for key in keys]
        with self._mutex, explained_sqlite(self.path, damaged=_DAMAGED), self._transaction() as connection:
            connection.executemany("DELETE FROM entries WHERE key = ?", raw)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for the length of a `with` block, of which all is stored or nothing."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def verify(self, *, forget: bool = False) -> Verified:
        """Look at every row.

        Args:
            forget: take away those that are not what this workspace wrote.
        """
        entries, wrong = 0, []
        with self._mutex, explained_sqlite(self.path, damaged=_DAMAGED):
            for key, row in self._connection.execute("SELECT CAST(key AS BLOB), CAST(value AS BLOB) FROM entries"):
                entries += 1
                if not self._holds(key, row):
                    wrong.append(key)
            if forget:
                with self._transaction() as connection:
                    connection.executemany("DELETE FROM entries WHERE key = ?", [(key,) for key in wrong])
                    connection.execute("DELETE FROM entries WHERE typeof(key) <> 'blob'")
        return Verified(
            entries=entries, refused=len(wrong), forgotten=len(wrong) if forget else 0, private=self._seal.private
        )

    def _holds(self, key: bytes, row: bytes) -> bool:
        return self._seal.holds(key + row[SIZE:], row[:SIZE])

    def stats(self) -> CacheStats:
        """Return how much the cache holds; reads every entry's size."""
        with self._mutex, explained_sqlite(self.path, damaged=_DAMAGED):
            entries, size, oldest, newest = self._connection.execute(
                "SELECT count(*), coalesce(sum(max(length(value) - ?, 0)), 0), min(created), max(created) FROM entries",
                (SIZE,),
            ).fetchone()
        return CacheStats(
            entries=entries, value_bytes=size, file_bytes=self._file_bytes(), oldest=oldest, newest=newest
        )

    def prunable(self, *, older_than: float | None = None, keep_bytes: int | None = None) -> Pruned:
        """Return what `prune` would take away."""
        condition, given = _condition(older_than, keep_bytes)
        with self._mutex, explained_sqlite(self.path, damaged=_DAMAGED):
            entries, size = self._connection.execute(
                f"SELECT count(*), coalesce(sum({_ROOM}), 0) FROM entries WHERE {condition}",  # noqa: S608 - our own words
                given,
            ).fetchone()
            return Pruned(entries=entries, kept=self._count() - entries, freed_bytes=size)

    def prune(self, *, older_than: float | None = None, keep_bytes: int | None = None) -> Pruned:
        """Forget entries, the oldest first, and give their space back to the disk.

        The caller sees to it that nobody else writes: giving the space back locks the file for as long as it takes to
        copy what stays.

        Args:
            older_than: seconds; entries stored longer ago go.
            keep_bytes: the newest entries that fit into a file of this size stay.

        Raises:
            BrokenRunError: when the disk has no room for the copy; the entries are forgotten all the same.
            InputError: when another process keeps the file busy.
        """
        condition, given = _condition(older_than, keep_bytes)
        before = self._file_bytes()
        with self._mutex, explained_sqlite(self.path, damaged=_DAMAGED):
            removed = self._connection.execute(
                f"DELETE FROM entries WHERE {condition}",  # noqa: S608 - our own words
                given,
            ).rowcount
            (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
            if removed or free:  # free pages without a removal: an earlier copy had no room
                self._connection.execute("VACUUM")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return Pruned(entries=removed, kept=self._count(), freed_bytes=max(0, before - self._file_bytes()))

    def _file_bytes(self) -> int:
        log = self.path.with_name(self.path.name + "-wal")
        return self.path.stat().st_size + (log.stat().st_size if log.exists() else 0)

    def _count(self) -> int:
        count: int = self._connection.execute("SELECT count(*) FROM entries").fetchone()[0]
        return count


def _condition(older_than: float | None, keep_bytes: int | None) -> tuple[str, tuple[int, ...]]:
    """Return what is to go, as an SQL condition with its parameters; nothing where nothing is said."""
    parts, given = ["0"], []
    if older_than is not None:
        parts.append("created < ?")
        given.append(int(time.time() - older_than))
    if keep_bytes is not None:
        parts.append(
            f"key IN (SELECT key FROM (SELECT key, sum({_ROOM}) OVER "  # noqa: S608 - our own words
            "(ORDER BY created DESC, key) AS running FROM entries) WHERE running > ?)"
        )
        given.append(keep_bytes)
    return " OR ".join(parts), tuple(given)


def _raw(key: str) -> bytes:
    raw = bytes.fromhex(key)
    if len(raw) != 32:
        raise ValueError(f"a cache key is 64 hexadecimal digits, not {key!r}")
    return raw
