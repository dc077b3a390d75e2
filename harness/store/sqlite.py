"""What the cache and the ledger share: opening an SQLite file safely, and its errors as sentences."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from harness.errors import BrokenRunError, InputError
from harness.store.atomic import create_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

_WAIT = 30.0
"""Seconds to wait for another connection's transaction."""


_PAGES_KIB = 16 * 1024
"""Memory for pages of one connection, whatever the size of the file."""


class Database:
    """A file that is open: a context manager that closes it."""

    _connection: sqlite3.Connection
    _mutex: AbstractContextManager[bool]

    def close(self) -> None:
        """Close the file; it cannot be used after."""
        with self._mutex:
            self._connection.close()

    def __enter__(self) -> Self:
        """Return it itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()


def connect(path: Path, *, synchronous: str, journal: str) -> sqlite3.Connection:
    """Open or make a database, file mode 0600, without implicit transactions.

    In a place that may not be written it is opened for reading; where there is no file, an empty one in memory is.

    Args:
        path: the database file.
        synchronous: `EXTRA` (a commit survives a power cut) or `NORMAL` (it survives a killed process).
        journal: `DELETE` (between transactions the file is all there is) or `WAL` (writers do not wait for readers).

    Raises:
        sqlite3.Error: translate it with `explained_sqlite`.
        BrokenRunError: when the file cannot be made.
    """
    if not may_write(path.parent) or (path.exists() and not may_write(path)):
        return _connect_reading(path)
    create_private(path)
    connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
    try:
        _set_journal(connection, journal)
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute(f"PRAGMA cache_size = {-_PAGES_KIB}")
    except BaseException:
        connection.close()
        raise
    return connection


def may_write(path: Path) -> bool:
    """Tell whether this process may write the file, or into the folder; never on a read-only mount."""
    return os.access(path, os.W_OK)


def _set_journal(connection: sqlite3.Connection, journal: str) -> None:
    """Change the journal where it is another. SQLite does not wait for other connections here, so that this does."""
    deadline = time.monotonic() + _WAIT
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0].upper() != journal:
                connection.execute(f"PRAGMA journal_mode = {journal}")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _connect_reading(path: Path) -> sqlite3.Connection:
    """Open a database that may not be written."""
    if not path.exists():
        return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    where = f"{path.absolute().as_uri()}?mode=ro"
    left = [path.with_name(path.name + end) for end in ("-wal", "-journal")]
    if not any(file.exists() and file.stat().st_size for file in left):
        # Nobody who may write is at work, and the file is all there is. Without this word SQLite wants to make side
        # files for a database that was last written with a write-ahead log.
        where += "&immutable=1"
    return sqlite3.connect(where, uri=True, timeout=_WAIT, isolation_level=None, check_same_thread=False)


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
