"""Files that a person names for output, such as --export and --junit: they cost nothing that was there.

A file inside a workspace is never written, nor one that is there and that the same command did not write, unless the
person says --force. A command knows its own earlier output by how the file begins (`Output.marks`). What is replaced is
replaced by a rename, so that other names of the old file (hard links) keep what it held; symlinks are followed first.
Pipes, terminals and `/dev/stdout` are written to as they are.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import BrokenRunError, InputError
from harness.store.atomic import temporary_beside, write_file
from harness.store.workspace import refuse_inside

if TYPE_CHECKING:
    from collections.abc import Iterator

_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/(\d{1,9})")
_STANDARD = {"/dev/stdout": 1, "/dev/stderr": 2}


@dataclass(frozen=True, kw_only=True)
class Output:
    """One file that a person named for a command to write."""

    path: Path
    marks: tuple[str, ...] = ()
    """How the files begin that this command writes; what it is given to write begins with one of them."""
    force: bool = False
    """Whether the person said that a file that is there may be lost."""
    workspace: Path | None = None
    """The command's own workspace, which may be still to be made."""
    mode: int = 0o600
    """Permissions of a new file, less the umask; an earlier output keeps its own."""
    adds: bool = False
    """Whether the text is added to what is there, as to the page that a CI service keeps for all steps."""

    def check(self) -> None:
        """Find out whether the file may and can be written, and leave everything as it is.

        Raises:
            InputError: when it may not or cannot.
        """
        with _explained(self.path):
            target = self._target()
            if target is None or (self.adds and target.exists()):
                if not os.access(self.path, os.W_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
                return
            trial = temporary_beside(target)
            os.close(os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            trial.unlink()

    def write(self, text: str) -> None:
        """Write the file, whole or not at all.

        Raises:
            InputError: when it may not or cannot be written.
        """
        with _explained(self.path):
            target = self._target()
            if target is None or self.adds:
                with self._stream() as descriptor, os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                    stream.write(text)
                return
            mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else self.mode
            write_file(target, text, mode=mode)

    def is_same(self, other: Output) -> bool:
        """Tell whether both are one regular file; two may go into one pipe."""
        target = self._target()
        return target is not None and target == other._target()

    def _target(self) -> Path | None:
        """Return the regular file that would be written, with links followed; None for a pipe, terminal or device.

        Raises:
            InputError: when it may not be written.
            OSError, RuntimeError, ValueError: for a path that the system cannot follow.
        """
        target = self.path.resolve()
        for place in (target, self.path.parent.resolve() / self.path.name):
            refuse_inside(place, also=self.workspace)
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return target
        if stat.S_ISDIR(found.st_mode):
            raise InputError("is a folder", file=self.path, hint="name a file in it")
        if stat.S_ISBLK(found.st_mode):
            raise InputError("is a disk", file=self.path, hint="name a file")
        if not stat.S_ISREG(found.st_mode) or self._descriptor() is not None:
            return None
        if self.adds:
            if found.st_nlink > 1:
                raise InputError(
                    "has other names (hard links), whose content would change too", file=self.path,
                    hint="name another file",
                )  # fmt: skip
        elif not self.force and not self._is_own():
            raise InputError(
                "is there already, and this command did not write it", file=self.path,
                hint="name another file, or replace it with --force",
            )  # fmt: skip
        return target

    def _is_own(self) -> bool:
        marks = [mark.encode() for mark in self.marks]
        with self.path.open("rb") as stream:
            begin = stream.read(max(map(len, marks), default=0))
        return any(begin.startswith(mark) for mark in marks)

    def _descriptor(self) -> int | None:
        """Return the number of the open file that names such as /dev/stdout stand for."""
        name = os.path.normpath(self.path)
        numbered = _DESCRIPTOR.fullmatch(name)
        return int(numbered[1]) if numbered else _STANDARD.get(name)

    @contextmanager
    def _stream(self) -> Iterator[int]:
        """Yield a descriptor to write to, which the caller closes: the shell's own has its place in the file."""
        number = self._descriptor()
        if number is None:
            yield os.open(self.path, os.O_WRONLY | os.O_APPEND | (os.O_CREAT if self.adds else 0), 0o666)
            return
        sys.stdout.flush()
        sys.stderr.flush()
        yield os.dup(number)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what the system refuses into a sentence."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, BrokenRunError) as error:  # a loop of links; a name with a NUL
        cause = error.__cause__ if isinstance(error, BrokenRunError) else error
        reason = (getattr(cause, "strerror", None) or str(cause)).lower()
        raise InputError(
            f"cannot be written ({reason})", file=path, hint="name a file in a folder that is there and may be written"
        ) from error
