"""The workspace's two locks: one is held for the moments in which something is put in place, one while a command works.

Both are the operating system's (flock), so that they end with their process however that ends: there is no stale lock.
A lock file's content is only for the sentence that a second process shows.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.store.atomic import explained

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 30.0
"""Seconds to wait for a lock that others hold for moments only."""


class FileLock:
    """A lock on one file: either one exclusive holder, or any number of shared ones.

    Args:
        path: the lock file; it is made where missing and never deleted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, command: str, *, patience: float | None = None, shared: bool = False) -> None:
        """Take the lock.

        Args:
            command: what the person ran, for the sentence that another process shows.
            patience: seconds to keep trying; None is `PATIENCE`.
            shared: beside other shared holders, and not beside an exclusive one.

        Raises:
            InputError: when another process holds it, naming its pid, its command and since when.
            BrokenRunError: when the file system refuses.
        """
        with explained(self.path):
            descriptor = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                self._wait(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, patience)
                holder = {"pid": os.getpid(), "command": command, "since": datetime.now(UTC).isoformat()}
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps(holder).encode(), 0)
            except BaseException:
                os.close(descriptor)
                raise
        self._descriptor = descriptor

    def _wait(self, descriptor: int, how: int, patience: float | None) -> None:
        deadline = time.monotonic() + (PATIENCE if patience is None else patience)
        while True:
            try:
                fcntl.flock(descriptor, how | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                    raise
                if time.monotonic() >= deadline:
                    raise self._held(descriptor) from error
            else:
                return
            time.sleep(0.02)

    def _held(self, descriptor: int) -> InputError:
        try:
            holder = json.loads(os.pread(descriptor, 4096, 0))
            os.kill(int(holder["pid"]), 0)  # of several shared holders the last one wrote: it may have ended
            since = datetime.fromisoformat(holder["since"]).strftime("%Y-%m-%d %H:%M:%S UTC")
            who = f"process {int(holder['pid'])} ({holder['command']!s}, since {since})"
        except PermissionError:
            who = f"process {int(holder['pid'])} of another user"
        except (ValueError, KeyError, TypeError, OSError, OverflowError):
            who = "another process"
        return InputError(
            f"{who} is writing in this workspace", file=self.path.parent,
            hint="wait until it has ended, or use another --workspace",
        )  # fmt: skip

    def release(self) -> None:
        """Give the lock back; nothing happens where it is not held."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)
