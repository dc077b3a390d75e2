"""What a session stands on: settings, plugins, workspace, run-time context and bars, each opened on first use."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from harness.errors import InputError
from harness.session.options import SessionOptions, require_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import TracebackType

    from harness.contracts import Progress, RunContext
    from harness.engine.spending import Spending
    from harness.plugins import Plugins
    from harness.reading.config import Config
    from harness.store.workspace import Workspace

    Bars = Callable[[], AbstractContextManager[Progress]]


class Opened:
    """An open project folder; a context manager, whose `close` closes its files.

    Args:
        options: where it works, and what holds for all that it does.
        progress: makes the bars of one long step, as a context manager; None draws on standard error or, in a notebook,
            below the cell.
        warn: takes sentences that are no errors; None is `warnings.warn`.
    """

    def __init__(
        self, options: SessionOptions, *, progress: Bars | None = None, warn: Callable[[str], None] | None = None
    ) -> None:
        self.options = options
        self._progress = progress
        self._warn = warn

    def bind(self, **changes: Any) -> Self:  # noqa: ANN401 - fields of a record, checked by name
        """Return a session that differs in some options, such as `seed`, and shares everything else.

        Raises:
            InputError: for an option that there is not.
        """
        require_fields(SessionOptions, changes)
        other = type(self)(replace(self.options, **changes), progress=self._progress, warn=self._warn)
        if not {"folder", "config", "plugins"} & set(changes):
            for name in ("config", "plugins"):
                if name in vars(self):
                    vars(other)[name] = vars(self)[name]
        if "_spending" in vars(self) and not any(name.startswith("max_") for name in changes):
            vars(other)["_spending"] = self._spending
        return other

    @cached_property
    def config(self) -> Config:
        """The settings: those handed over, or the folder's harness.yaml, or the defaults."""
        from harness.reading.config import read_config

        return self.options.config or read_config(self.options.folder)

    @cached_property
    def plugins(self) -> Plugins:
        """All plugins, broken ones among them; `require_plugins` refuses those."""
        from harness.plugins import load_plugins
        from harness.reading.config import require_plugins

        require_plugins(self.config)
        found = load_plugins((*self.config.plugins, *self.options.plugins))
        for job in found.registries.jobs:
            if hasattr(type(self), job.name):
                raise InputError(
                    f"{job.owner} registers the job {job.name!r}, which a session has itself",
                    hint=f"give it another name, or leave it out with -p no:{job.owner}",
                )
        return found

    def require_plugins(self) -> Plugins:
        """Return the plugins, none of them broken.

        Raises:
            InputError: naming the broken plugins and how to leave them out.
        """
        self.plugins.require_whole()
        return self.plugins

    @property
    def workspace_path(self) -> Path:
        """Where the workspace is, or would be."""
        named = self.options.workspace
        return self.config.workspace if named is None else named.expanduser().resolve()

    @cached_property
    def workspace(self) -> Workspace:
        """The workspace, which must exist."""
        from harness.store.workspace import Workspace

        return Workspace.open(self.workspace_path)

    def writable_workspace(self) -> Workspace:
        """Return the workspace, made where there is none."""
        from harness.store.workspace import Workspace

        if "workspace" not in vars(self):
            vars(self)["workspace"] = Workspace.open(self.workspace_path, create=True)
        return self.workspace

    @cached_property
    def _spending(self) -> Spending | None:
        from harness.engine.spending import Spending

        limits = {name: getattr(self.options, name) for name in ("max_requests", "max_tokens", "max_minutes")}
        return Spending(**limits) if any(value is not None for value in limits.values()) else None

    @property
    def context(self) -> RunContext:
        """What plugins may know of where they run."""
        from harness.contracts import RunContext
        from harness.paths import weights_dir

        options = self.options
        return RunContext(
            offline=options.offline, weights=weights_dir(), seed=options.seed,
            concurrency=options.concurrency or self.config.concurrency, timeout=options.timeout or self.config.timeout,
            spending=self._spending,
        )  # fmt: skip

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Give bars for the length of a `with` block."""
        if self._progress is not None:
            with self._progress() as bars:
                yield bars
            return
        from harness.progress import default_progress

        with default_progress() as bars:
            yield bars

    def warn(self, message: str) -> None:
        """Hand on a sentence that is no error."""
        if self._warn is not None:
            self._warn(message)
            return
        import warnings

        warnings.warn(message, stacklevel=3)

    def close(self) -> None:
        """Close the ledger and the cache."""
        if "workspace" in vars(self):
            self.workspace.close()

    def __enter__(self) -> Self:
        """Give the session itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


def keep_libraries_offline() -> None:
    """Tell the libraries below, for the rest of this process; they read it at their first import."""
    import os
    import socket

    socket.has_ipv6 = False  # urllib3 would open a socket at its import to find out
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE"):
        os.environ[name] = "1"
