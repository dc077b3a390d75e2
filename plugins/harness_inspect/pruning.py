"""Looks at every row of the cache of replies, and forgets the oldest."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

    from harness.api.asking import Cache

_ROOM = "CASE WHEN length(value) <= 950 THEN length(value) + 56 ELSE 550 + 4096 * ((length(value) + 3641) / 4092) END"
"""Bytes of an entry in the file, about: value, key, time, its place in the tree, and whole pages for what is longer
than a page of the tree takes (SQLite's file format, section 1.6)."""


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


def verify(cache: Cache, *, forget: bool = False) -> Verified:
    """Look at every row.

    Args:
        forget: take away those that are not what this workspace wrote.
    """
    entries, wrong = 0, []
    with cache.opened() as connection:
        for key, row in connection.execute("SELECT CAST(key AS BLOB), CAST(value AS BLOB) FROM entries"):
            entries += 1
            if not cache.holds(key, row):
                wrong.append(key)
        if forget:
            with cache.transaction():
                connection.executemany("DELETE FROM entries WHERE key = ?", [(key,) for key in wrong])
                connection.execute("DELETE FROM entries WHERE typeof(key) <> 'blob'")
    return Verified(entries=entries, refused=len(wrong), forgotten=len(wrong) if forget else 0, private=cache.private)


def prunable(cache: Cache, *, older_than: float | None = None, keep_bytes: int | None = None) -> Pruned:
    """Return what `prune` would take away."""
    condition, given = _condition(older_than, keep_bytes)
    with cache.opened() as connection:
        entries, size = connection.execute(
            f"SELECT count(*), coalesce(sum({_ROOM}), 0) FROM entries WHERE {condition}",  # noqa: S608 - our own words
            given,
        ).fetchone()
        return Pruned(entries=entries, kept=_count(connection) - entries, freed_bytes=size)


def prune(cache: Cache, *, older_than: float | None = None, keep_bytes: int | None = None) -> Pruned:
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
    before = cache.file_bytes()
    with cache.opened() as connection:
        removed = connection.execute(
            f"DELETE FROM entries WHERE {condition}",  # noqa: S608 - our own words
            given,
        ).rowcount
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        if removed or free:  # free pages without a removal: an earlier copy had no room
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return Pruned(entries=removed, kept=_count(connection), freed_bytes=max(0, before - cache.file_bytes()))


def _count(connection: sqlite3.Connection) -> int:
    count: int = connection.execute("SELECT count(*) FROM entries").fetchone()[0]
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
