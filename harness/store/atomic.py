"""Files and folders that appear whole or not at all, whatever happens to the process that writes them.

Everything is written under a temporary name in the same folder, flushed to the disk (file and folder), and then renamed
into place. What a killed process leaves behind carries `TEMPORARY` as its prefix and is swept by `sweep` when the
workspace's lock is held next. Files are 0600 and folders 0700: prompts and answers are personal.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import BrokenRunError

if TYPE_CHECKING:
    from collections.abc import Iterator

TEMPORARY = ".tmp-"
"""Prefix of names that are not in place yet."""

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Numbers of the errors of a disk without space."""
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def disk_error(error: OSError, path: Path) -> BrokenRunError:
    """Build the error for a write that the file system refused, with the next step."""
    if error.errno in FULL:
        return BrokenRunError(
            f"{path}: the disk is full, nothing half-written was left; free space (`harness runs rm RUN` removes a "
            "run) and run the command again"
        )
    if error.errno in _FORBIDDEN:
        return BrokenRunError(
            f"{path}: may not be written ({error.strerror}); mend the folder's permissions, or choose another "
            "folder with --workspace"
        )
    return BrokenRunError(f"{path}: could not be written ({error.strerror or error}); mend that and run again")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn a refusal of the file system inside the block into a sentence about `path`.

    Raises:
        BrokenRunError: for any OSError.
    """
    try:
        yield
    except OSError as error:
        raise disk_error(error, path) from error


def make_folder(path: Path) -> None:
    """Make a folder of mode 0700, and those above it, where they are missing.

    Raises:
        BrokenRunError: when the file system refuses.
    """
    with explained(path):
        missing = []
        current = path
        while not current.exists():
            missing.append(current)
            current = current.parent
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(folder.parent)
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))


def create_private(path: Path) -> None:
    """Make sure the file exists, with mode 0600 where it is new: SQLite gives its side files the same mode.

    Raises:
        BrokenRunError: when the file system refuses.
    """
    with explained(path):
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))


def write_file(path: Path, content: str | bytes, *, mode: int = 0o600) -> None:
    """Put a file in place, whole: another process sees the old content or the new, never a part.

    Args:
        path: the file; what is there is replaced.
        content: all of it, text as UTF-8.
        mode: its permissions, less the umask.

    Raises:
        BrokenRunError: when the disk is full or the place may not be written; the old content is still there.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = temporary_beside(path)
    with explained(path):
        try:
            _write_synced(temporary, data, mode)
            temporary.replace(path)
            _sync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def temporary_folder(parent: Path) -> Path:
    """Make a folder under a temporary name that `sweep` knows. OSErrors are the caller's."""
    temporary = temporary_beside(parent / "any")
    temporary.mkdir(mode=0o700)
    return temporary


def put_in_place(temporary: Path, path: Path) -> None:
    """Flush a temporary folder to the disk and rename it to `path`, beside it. OSErrors are the caller's.

    Raises:
        BrokenRunError: when `path` exists already.
    """
    for folder, _, names in os.walk(temporary, topdown=False):
        for name in names:
            _sync(Path(folder) / name)
        _sync_folder(Path(folder))
    _refuse_existing(path)
    temporary.rename(path)
    _sync_folder(path.parent)


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise BrokenRunError(f"{path}: exists already, and what is in place is never overwritten")


def write_into(folder: Path, name: str, content: str | bytes) -> None:
    """Write one file of mode 0600 into a folder that is not in place yet. OSErrors are the caller's."""
    data = content.encode() if isinstance(content, str) else content
    _write_synced(folder / name, data)


def remove_folder(path: Path) -> None:
    """Take a folder away at once by renaming it, then delete it: a kill in between leaves only what `sweep` removes.

    Raises:
        BrokenRunError: when the file system refuses.
    """
    temporary = temporary_beside(path)
    with explained(path):
        path.rename(temporary)
        _sync_folder(path.parent)
        shutil.rmtree(temporary)


def sweep(folder: Path) -> int:
    """Delete what killed processes left under temporary names; the caller holds the workspace's lock.

    Returns:
        How many files and folders were removed.

    Raises:
        BrokenRunError: when the file system refuses.
    """
    removed = 0
    with explained(folder):
        for entry in list(folder.iterdir()):
            if not entry.name.startswith(TEMPORARY):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
            removed += 1
    return removed


def temporary_beside(path: Path) -> Path:
    """Return a fresh temporary name in the same folder."""
    return path.parent / f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(6)}"


def _write_synced(path: Path, data: bytes, mode: int = 0o600) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    """Flush a folder's entries. Some file systems cannot; the rename is atomic there all the same."""
    try:
        _sync(path)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EACCES}:
            raise
