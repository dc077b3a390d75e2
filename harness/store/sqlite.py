"""What the cache and the ledger share: opening an SQLite file safely, and its errors as sentences."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.errors import BrokenRunError, InputError
from harness.store.atomic import create_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_WAIT = 30.0
"""Seconds to wait for another connection's transaction."""


_PAGES_KIB = 16 * 1024
"""Memory for pages of one connection, whatever the size of the file."""


def connect(path: Path, *, synchronous: str) -> sqlite3.Connection:
    """Open or make a database in WAL mode, file mode 0600, without implicit transactions.

    Args:
        path: the database file.
        synchronous: `FULL` (a commit survives a power cut) or `NORMAL` (it survives a killed process).

    Raises:
        sqlite3.Error: translate it with `explained_sqlite`.
        BrokenRunError: when the file cannot be made.
    """
    create_private(path)
    connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute(f"PRAGMA cache_size = {-_PAGES_KIB}")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def explained_sqlite(path: Path, *, damaged: str) -> Iterator[None]:
    """Turn SQLite's errors inside the block into one sentence with the next step.

    Args:
        path: the database file.
        damaged: the next step where the file is no readable database.

    Raises:
        BrokenRunError: for a full disk, a forbidden place or a damaged file.
        InputError: when another process kept the file locked.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            message = "the disk is full, nothing half-written was left; free space and run the command again"
        elif code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
            message = "may not be written; mend its permissions, or choose another folder with --workspace"
        elif code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise InputError(
                "another process keeps the file busy", file=path, hint="try again when it has ended"
            ) from error
        elif code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            message = f"the file is damaged ({error}); {damaged}"
        elif code == sqlite3.SQLITE_IOERR:
            message = f"the disk refused to read or write ({error}); check free space and the disk, then run again"
        else:
            message = f"the database answered {error}; {damaged}"
        raise BrokenRunError(f"{path}: {message}") from error
