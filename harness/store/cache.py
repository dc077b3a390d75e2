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
                    if self.holds(key, row):
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
        with self._mutex, explained_sqlite(self.path, damaged=_DAMAGED), self.transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", rows)

    def forget(self, keys: Sequence[str]) -> None:
        """Forget the values of these keys, all or none; raises as `put_many`."""
        raw = [(_raw(key),) for key in keys]
        with self._mutex, explained_sqlite(self.path, damaged=_DAMAGED), self.transaction() as connection:
            connection.executemany("DELETE FROM entries WHERE key = ?", raw)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for the length of a `with` block, of which all is stored or nothing."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def holds(self, key: bytes, row: bytes) -> bool:
        """Tell whether a row is what this workspace wrote."""
        return self._seal.holds(key + row[SIZE:], row[:SIZE])

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """Give the connection to one thread at a time, for the length of a `with` block."""
        with self._mutex, explained_sqlite(self.path, damaged=_DAMAGED):
            yield self._connection

    @property
    def private(self) -> bool:
        """Whether nobody else may read the key."""
        return self._seal.private

    def stats(self) -> CacheStats:
        """Return how much the cache holds; reads every entry's size."""
        with self._mutex, explained_sqlite(self.path, damaged=_DAMAGED):
            entries, size, oldest, newest = self._connection.execute(
                "SELECT count(*), coalesce(sum(max(length(value) - ?, 0)), 0), min(created), max(created) FROM entries",
                (SIZE,),
            ).fetchone()
        return CacheStats(entries=entries, value_bytes=size, file_bytes=self.file_bytes(), oldest=oldest, newest=newest)

    def file_bytes(self) -> int:
        """Return the size of the database file and its write-ahead log."""
        log = self.path.with_name(self.path.name + "-wal")
        return self.path.stat().st_size + (log.stat().st_size if log.exists() else 0)


def _raw(key: str) -> bytes:
    raw = bytes.fromhex(key)
    if len(raw) != 32:
        raise ValueError(f"a cache key is 64 hexadecimal digits, not {key!r}")
    return raw
