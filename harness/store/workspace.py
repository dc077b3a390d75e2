"""The workspace: one folder that holds everything the harness keeps."""

from __future__ import annotations

import errno
import sys
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from harness.errors import BrokenRunError, InputError
from harness.store.atomic import FULL, TEMPORARY, make_folder, sweep, write_file
from harness.store.cache import Cache
from harness.store.intents import PREFIX
from harness.store.ledger import Ledger
from harness.store.lock import FileLock
from harness.store.sqlite import may_write
from harness.terminal import redacted

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKER = "workspace.json"
"""The file that says a folder is a workspace, and of which layout."""

_MARK = '{"layout"'
_LAYOUT = '{"layout": 1}\n'
_LONG_PATIENCE = 600.0
"""Seconds for which a command that has worked for long waits for others to put their things in place."""
_FOLDERS = {"runs", "artifacts", "adapters", "datasets", "decisions", "quarantine"}
_KNOWN = {MARKER, ".gitignore", "lock", "working"} | _FOLDERS
_PREFIXES = (TEMPORARY, PREFIX, "cache.", "ledger.db")


def is_workspace(folder: Path) -> bool:
    """Tell whether a folder is a workspace, by its files: one that lost its marker is one too."""
    try:
        with (folder / MARKER).open(encoding="utf-8", errors="replace") as stream:
            if stream.read(len(_MARK)) == _MARK:
                return True
    except OSError:
        pass  # no marker
    return (folder / "runs").is_dir() and any((folder / name).is_file() for name in ("ledger.db", "cache.db"))


def refuse_inside(path: Path, *, also: Path | None = None) -> None:
    """Refuse a path, with links followed, that is or lies in any workspace.

    Args:
        path: the path, absolute.
        also: a workspace that may be still to be made.

    Raises:
        InputError: naming the workspace.
    """
    for folder in (path, *path.parents):
        if folder == also or is_workspace(folder):
            raise InputError(
                f"lies in the workspace {folder}", file=path,
                hint="only harness itself writes there: name a place outside",
            )  # fmt: skip


class Workspace:
    """Paths of one workspace, its lock, and its ledger and cache, opened on first use.

    Make one with `Workspace.open`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runs = root / "runs"
        self.artifacts = root / "artifacts"
        self.adapters = root / "adapters"
        self.decisions = root / "decisions"
        self.cache_path = root / "cache.db"
        self.ledger_path = root / "ledger.db"
        self._lock = FileLock(root / "lock")
        self._depth = 0
        self._work = FileLock(root / "working")
        self._working = 0

    @classmethod
    def open(cls, path: Path | str, *, create: bool = False) -> Self:
        """Open a workspace; the `promoted` alias is derived from the ledger anew where it differs.

        Args:
            path: the folder.
            create: whether to make one where there is none.

        Raises:
            InputError: when the folder is no workspace (and is not to be made one, or cannot be), or holds other
                things.
            BrokenRunError: when the file system refuses, or the ledger is lost or is not what it was.
        """
        from harness.store.promoted import mend_alias

        root = Path(path).expanduser().resolve()
        workspace = cls(root)
        if not (root / MARKER).is_file():
            if not create:
                raise InputError("there is no workspace here", file=root, hint="make one with: harness init")
            workspace._create()
        for folder in (workspace.runs, workspace.adapters, workspace.decisions):
            if not folder.is_dir():
                make_folder(folder)
        try:
            mend_alias(workspace)
        except BrokenRunError:
            if workspace.has_ledger:
                workspace.ledger.verify()  # the first bad row of several is the one to name
            raise
        return workspace

    def _create(self) -> None:
        refuse_inside(self.root.parent)
        if self.root.exists():
            if not self.root.is_dir():
                raise InputError("this is a file, not a folder", file=self.root, hint="choose another --workspace")
            strangers = sorted(
                entry.name for entry in self.root.iterdir()
                if entry.name not in _KNOWN and not entry.name.startswith(_PREFIXES)
            )  # fmt: skip
            if strangers:
                raise InputError(
                    f"the folder is not a workspace and holds other things, such as {strangers[0]!r}",
                    file=self.root, hint="name an empty or a new folder",
                )  # fmt: skip
        try:
            make_folder(self.root)
            self._lock.acquire(_command())  # so that nobody who came first sweeps the files away
            try:
                write_file(
                    self.root / ".gitignore",
                    "# Prompts, answers and adapters are personal: keep them out of git.\n*\n",
                )
                write_file(self.root / MARKER, _LAYOUT)
            finally:
                self._lock.release()
        except BrokenRunError as error:
            refused = error.__cause__
            if not isinstance(refused, OSError) or refused.errno in {*FULL, errno.EIO}:
                raise
            raise InputError(
                f"no workspace can be made here ({(refused.strerror or str(refused)).lower()})", file=self.root,
                hint="choose another --workspace, or mend the permissions of the folder above",
            ) from error  # fmt: skip

    @contextmanager
    def lock(self, command: str | None = None) -> Iterator[None]:
        """Be the only one who puts things in place, for as short as can be: other commands wait for it.

        It may be taken again inside. What a killed process left is settled first.

        Args:
            command: what the person ran, for the sentence that a second process shows; None takes it from sys.argv.

        Raises:
            InputError: when another process keeps it, naming its pid, its command and since when.
        """
        if self._depth == 0:
            self._lock.acquire(command or _command(), patience=_LONG_PATIENCE if self._working else None)
        self._depth += 1
        try:
            if self._depth == 1:
                self._recover()
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._lock.release()

    @contextmanager
    def working(self, command: str | None = None) -> Iterator[None]:
        """Say that a command is at work, as others may be: while one is, nobody sweeps unfinished files away.

        It may be taken again inside. Arguments and errors as `lock`.
        """
        if self._working == 0:
            with self.lock(command):  # within it the exclusive lock is never held by others
                self._work.acquire(command or _command(), shared=True)
        self._working += 1
        try:
            yield
        finally:
            self._working -= 1
            if self._working == 0:
                self._work.release()

    @contextmanager
    def alone(self, command: str | None = None) -> Iterator[None]:
        """Hold the lock while no command is at work; raises InputError at once, naming one, where one is."""
        with self.lock(command), self._nobody_working():
            yield

    def _recover(self) -> None:
        """Bring the workspace to the state that the last writer had reached, without its leftovers."""
        from harness.store.promoted import mend_alias
        from harness.store.recovery import recover

        if not self._working:
            with suppress(InputError), self._nobody_working():
                kinds = sorted(path for path in self.artifacts.glob("*") if path.is_dir())
                for folder in (self.root, self.runs, self.adapters, self.decisions, *kinds):
                    sweep(folder)
        recover(self)
        mend_alias(self)

    @contextmanager
    def _nobody_working(self) -> Iterator[None]:
        self._work.acquire(_command(), patience=0)
        try:
            yield
        finally:
            self._work.release()

    @property
    def locked(self) -> bool:
        """Whether this object holds the lock."""
        return self._depth > 0

    def try_lock(self) -> bool:
        """Take the lock if nobody holds it, for a repair that can wait; give it back with `release`."""
        if not may_write(self.root):
            return False
        try:
            self._lock.acquire("mending the workspace", patience=0)
        except InputError:
            return False
        self._depth += 1
        return True

    def release(self) -> None:
        """Give back what `try_lock` took."""
        self._depth -= 1
        self._lock.release()

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, opened on first use, and made where nothing was decided yet.

        Raises:
            BrokenRunError: when it is lost or empty while decisions are here, or as `Ledger`.
        """
        decided = self._decided()
        if decided and not self.ledger_path.exists():
            raise self._lost()
        opened = Ledger(self.ledger_path)
        if decided and opened.is_empty():
            opened.close()
            raise self._lost()
        return opened

    @property
    def has_ledger(self) -> bool:
        """Whether there is a ledger, or must be one."""
        return self.ledger_path.exists() or self._decided()

    def _decided(self) -> bool:
        """Tell whether decisions are here. Rows of their policy and attempt come before any of them."""
        return any(self.decisions.glob("*.json"))

    def _lost(self) -> BrokenRunError:
        return BrokenRunError(
            f"{self.ledger_path}: the ledger is gone or empty, but decisions that it must hold are here: attempts and "
            "promotions would be forgotten; restore it from a backup, or begin in another --workspace"
        )

    @cached_property
    def cache(self) -> Cache:
        """The reply cache, opened on first use."""
        return Cache(self.cache_path)

    def close(self) -> None:
        """Close the ledger and the cache where they were opened."""
        for name in ("ledger", "cache"):
            opened = self.__dict__.pop(name, None)
            if opened is not None:
                opened.close()


def _command() -> str:
    """Return the command line of this process without secrets, short enough for one sentence."""
    words = [Path(sys.argv[0]).name or "python", *sys.argv[1:]] if sys.argv else ["python"]
    text = " ".join(map(redacted, words))
    return text if len(text) <= 120 else text[:117] + "..."
