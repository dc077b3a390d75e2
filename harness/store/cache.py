"""The cache of replies, findings and verdicts: small values under SHA-256 keys, in one SQLite file.

A batch is committed whole or not at all, and survives the death of its process. Losing the file costs only time: the
model is asked again.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from harness.store.sqlite import connect, explained_sqlite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_CHUNK = 900
"""Keys per SELECT, below SQLite's least limit on parameters (999)."""
_DAMAGED = "delete it and its -wal and -shm files: the only cost is that the model is asked again"


@dataclass(frozen=True, kw_only=True)
class CacheStats:
    """What the cache holds."""

    entries: int
    value_bytes: int
    """Sum of the values' sizes."""
    file_bytes: int
    """Size of the database file."""


class Cache:
    """Values by key. Safe to use from several threads and beside other processes.

    Args:
        path: the SQLite file; made where missing.

    Raises:
        BrokenRunError: when the disk is full, the place may not be written, or the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mutex = threading.Lock()
        with explained_sqlite(path, damaged=_DAMAGED):
            self._connection = connect(path, synchronous="NORMAL")
            try:
                self._connection.execute(
                    "CREATE TABLE IF NOT EXISTS entries "
                    "(key BLOB PRIMARY KEY, value BLOB NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID"
                )
            except sqlite3.Error:
                self._connection.close()
                raise

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the values of those keys that are known.

        Args:
            keys: SHA-256 as 64 hexadecimal digits each.

        Raises:
            ValueError: for a key of another form.
            BrokenRunError: when the file is damaged.
        """
        raw = {_raw(key): key for key in keys}
        wanted = list(raw)
        found: dict[str, bytes] = {}
        with self._mutex, explained_sqlite(self.path, damaged=_DAMAGED):
            for start in range(0, len(wanted), _CHUNK):
                chunk = wanted[start : start + _CHUNK]
                marks = ",".join("?" * len(chunk))
                rows = self._connection.execute(
                    f"SELECT key, value FROM entries WHERE key IN ({marks})",  # noqa: S608 - only question marks
                    chunk,
                )
                for key, value in rows:
                    found[raw[key]] = value
        return found

    def put_many(self, items: Mapping[str, bytes]) -> None:
        """Store the values, all or none; a key that is known keeps its newest value.

        Raises:
            ValueError: for a key that is not 64 hexadecimal digits.
            BrokenRunError: when the disk is full or the file is damaged; nothing of the batch was stored.
        """
        now = int(time.time())
        rows = [(_raw(key), value, now) for key, value in items.items()]
        if not rows:
            return
        with self._mutex, explained_sqlite(self.path, damaged=_DAMAGED):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", rows)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def stats(self) -> CacheStats:
        """Return how much the cache holds; reads every entry's size."""
        with self._mutex, explained_sqlite(self.path, damaged=_DAMAGED):
            entries, size = self._connection.execute(
                "SELECT count(*), coalesce(sum(length(value)), 0) FROM entries"
            ).fetchone()
        return CacheStats(entries=entries, value_bytes=size, file_bytes=self.path.stat().st_size)

    def prune(self, *, older_than: float | None = None, keep_bytes: int | None = None) -> int:
        """Forget entries, the oldest first, and give their space back to the disk.

        Args:
            older_than: seconds; entries stored longer ago go.
            keep_bytes: the newest entries whose values fit into this many bytes stay.

        Returns:
            How many entries were forgotten.
        """
        with self._mutex, explained_sqlite(self.path, damaged=_DAMAGED):
            before = self._count()
            if older_than is not None:
                self._connection.execute("DELETE FROM entries WHERE created < ?", (int(time.time() - older_than),))
            if keep_bytes is not None:
                self._connection.execute(
                    "DELETE FROM entries WHERE key IN (SELECT key FROM (SELECT key, sum(length(value)) OVER "
                    "(ORDER BY created DESC, key) AS running FROM entries) WHERE running > ?)",
                    (keep_bytes,),
                )
            removed = before - self._count()
            if removed:
                self._connection.execute("VACUUM")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return removed

    def _count(self) -> int:
        count: int = self._connection.execute("SELECT count(*) FROM entries").fetchone()[0]
        return count

    def close(self) -> None:
        """Close the file; the cache cannot be used after."""
        with self._mutex:
            self._connection.close()

    def __enter__(self) -> Self:
        """Return the cache itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()


def _raw(key: str) -> bytes:
    raw = bytes.fromhex(key)
    if len(raw) != 32:
        raise ValueError(f"a cache key is 64 hexadecimal digits, not {key!r}")
    return raw
