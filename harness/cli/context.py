"""What most commands share: the options, and lazily what stands behind them."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console

    from harness.contracts import Progress, Surroundings
    from harness.plugins import Plugins
    from harness.reading.config import Config
    from harness.store.workspace import Workspace

F = TypeVar("F", bound=Callable[..., Any])
MOST_SEED = 2**32 - 1
"""What every generator below takes: numpy's, torch's and the servers'."""


class FiniteRange(click.FloatRange):
    """A range of numbers, in which NaN is none: it compares with no bound."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; raises click.BadParameter."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is no number.", param, ctx)
        return number


class WholeRange(click.IntRange):
    """A range of whole numbers, which says in plain words what it takes."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number; raises click.BadParameter."""
        try:
            number: int = super().convert(value, param, ctx)
        except click.BadParameter:
            bounds = f"of at least {self.min}" if self.max is None else f"from {self.min} to {self.max}"
            self.fail(f"must be a whole number {bounds}, not {value}.", param, ctx)
        return number


class App:
    """One invocation's options, and what they lead to, opened on first use.

    Attributes:
        offline: no socket may be opened.
        json: print one JSON document instead of tables.
        concurrency: most requests at once to a remote server; None is what harness.yaml says.
        timeout: seconds that a remote server has for one answer; None is what harness.yaml says.
    """

    concurrency: int | None = None
    timeout: float | None = None

    def __init__(
        self, *, plugins: tuple[str, ...] = (), workspace: str | None = None, offline: bool = False, json: bool = False
    ) -> None:
        self.plugin_options = plugins
        self._workspace_option = workspace
        self.offline = offline
        self.json = json

    @cached_property
    def config(self) -> Config:
        """The folder's harness.yaml, or the defaults."""
        from harness.reading.config import read_config

        return read_config(Path.cwd())

    @cached_property
    def plugins(self) -> Plugins:
        """All plugins; a warning on standard error for each broken one."""
        return self._load_plugins(warn=True)

    def require_plugins(self) -> None:
        """Refuse to go on when a plugin is broken, with one error instead of a warning and an error.

        Raises:
            InputError: naming the broken plugins and how to leave them out.
        """
        if "plugins" not in vars(self):
            self.plugins = self._load_plugins(warn=False)
        self.plugins.require_whole()

    def _load_plugins(self, *, warn: bool) -> Plugins:
        from harness.plugins import load_plugins
        from harness.reading.config import require_plugins

        require_plugins(self.config)
        plugins = load_plugins((*self.config.plugins, *self.plugin_options))
        for broken in plugins.broken if warn else ():
            self.warn(broken.sentence)
        return plugins

    def model(self, option: str | None) -> str:
        """Return the base model's reference: the option as it was given, an empty one too, else harness.yaml's."""
        return self.config.model if option is None else option

    def judge(self, option: str | None) -> str | None:
        """Return the judge's reference as `model` does; None stands for the bare base."""
        return self.config.judge if option is None else option

    @property
    def workspace_path(self) -> Path:
        """Where the workspace is, or would be."""
        if self._workspace_option is not None:
            return Path(self._workspace_option).expanduser().resolve()
        return self.config.workspace

    @property
    def workspace_named(self) -> bool:
        """Whether --workspace was given."""
        return self._workspace_option is not None

    @cached_property
    def workspace(self) -> Workspace:
        """The workspace, which must exist."""
        from harness.store.workspace import Workspace

        return Workspace.open(self.workspace_path)

    def writable_workspace(self) -> Workspace:
        """Return the workspace, made where there is none."""
        from harness.store.workspace import Workspace

        if "workspace" not in vars(self):
            self.workspace = Workspace.open(self.workspace_path, create=True)
        return self.workspace

    def close(self) -> None:
        """Close the workspace's databases, so that all that was written stands in their files."""
        if "workspace" in vars(self):
            self.workspace.close()

    def surroundings(self, *, seed: int = 0) -> Surroundings:
        """Return what plugins may know of where they run."""
        from harness.contracts import Surroundings
        from harness.paths import weights_dir

        return Surroundings(
            offline=self.offline, weights=weights_dir(), seed=seed,
            concurrency=self.concurrency or self.config.concurrency, timeout=self.timeout or self.config.timeout,
        )  # fmt: skip

    @cached_property
    def console(self) -> Console:
        """Standard output, for tables."""
        from rich.console import Console

        return Console(soft_wrap=False, highlight=False)

    @cached_property
    def stderr(self) -> Console:
        """Standard error, for bars and warnings."""
        from rich.console import Console

        return Console(stderr=True, highlight=False)

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Give bars on standard error for the length of a `with` block."""
        from harness.progress import TerminalProgress

        with TerminalProgress(self.stderr) as bars:
            yield bars

    def warn(self, message: str) -> None:
        """Print a warning on standard error."""
        from harness.terminal import safe_text

        click.echo(click.style("warning: ", fg="yellow") + safe_text(message, one_line=True), err=True)

    def complain(self, problems: Iterable[str]) -> None:
        """Print what is wrong on standard error, a sentence a line."""
        from harness.terminal import safe_text

        for problem in problems:
            click.echo(click.style("error: ", fg="red", bold=True) + safe_text(problem, one_line=True), err=True)

    def print_json(self, value: object) -> None:
        """Print one JSON document on standard output."""
        import json

        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def remote_options(command: F) -> F:
    """Add --concurrency and --timeout to a command whose models may be remote.

    It goes below `common_options`, which makes the app.
    """

    @click.option(
        "--concurrency", type=WholeRange(min=1), metavar="N",
        help="Most requests at once to a remote server.  [default: harness.yaml's, else 8]",
    )  # fmt: skip
    @click.option(
        "--timeout", type=FiniteRange(min=0, min_open=True, max=86400), metavar="SECONDS",
        help="That a remote server has for one answer.  [default: harness.yaml's, else 300]",
    )  # fmt: skip
    @functools.wraps(command)
    def wrapper(app: App, /, *, concurrency: int | None, timeout: float | None, **rest: Any) -> Any:
        app.concurrency, app.timeout = concurrency, timeout
        return command(app, **rest)

    return wrapper  # type: ignore[return-value] # click takes the options off


def common_options(command: F) -> F:
    """Add -p, --workspace, --offline and --json to a click command, which gets an `App` as its first argument."""

    @click.option(
        "-p", "--plugins-dir", "plugins", multiple=True, metavar="DIR|FILE|MODULE|no:NAME|trust:PLACE",
        help="Use plugins from here, or leave one out; may be repeated.",
    )  # fmt: skip
    @click.option("--workspace", metavar="DIR", help="The workspace folder.  [default: .harness]")
    @click.option("--offline", is_flag=True, help="Open no socket; what would need one is refused.")
    @click.option("--json", "json_", is_flag=True, help="Print one JSON document instead of tables.")
    @click.pass_context
    @functools.wraps(command)
    def wrapper(
        ctx: click.Context,
        /,
        *,
        plugins: tuple[str, ...],
        workspace: str | None,
        offline: bool,
        json_: bool,
        **rest: Any,
    ) -> Any:
        if offline:
            keep_libraries_offline()
        before = (ctx.find_root().obj or {}).get("plugins", ())
        app = App(plugins=(*before, *plugins), workspace=workspace, offline=offline, json=json_)
        try:
            return ctx.invoke(command, app, **rest)
        finally:
            app.close()

    return wrapper  # type: ignore[return-value] # click takes the options off


def keep_libraries_offline() -> None:
    """Tell the libraries below, for the rest of this process; they read it at their first import."""
    import os

    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE"):
        os.environ[name] = "1"
