"""What most commands share: the options, and lazily what stands behind them."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.errors import InputError
from harness.session.opened import keep_libraries_offline
from harness.session.options import CandidateOptions, SessionOptions
from harness.session.session import Session

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rich.console import Console, RenderableType

    from harness.contracts import Progress
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
    """One invocation of a command: its session, and where it prints.

    Attributes:
        session: what the command is a client of.
        json: print one JSON document instead of tables.
    """

    def __init__(self, options: SessionOptions, *, json: bool = False) -> None:
        self.session = Session(options, progress=self._bars, warn=self.warn)
        self.json = json

    def bind(self, **changes: Any) -> Session:
        """Change options of the session, such as its seed, and return it."""
        self.session = self.session.bind(**changes)
        return self.session

    @property
    def plugin_options(self) -> tuple[str, ...]:
        """What was given with -p."""
        return self.session.options.plugins

    @property
    def offline(self) -> bool:
        """Whether no socket may be opened."""
        return self.session.options.offline

    @property
    def config(self) -> Config:
        """The folder's harness.yaml, or the defaults."""
        return self.session.config

    @property
    def plugins(self) -> Plugins:
        """All plugins; a warning on standard error for each broken one, once."""
        if "plugins" not in vars(self.session):
            for broken in self.session.plugins.broken:
                self.warn(broken.sentence)
        return self.session.plugins

    def require_plugins(self) -> None:
        """Refuse to go on when a plugin is broken, with one error instead of a warning and an error.

        Raises:
            InputError: naming the broken plugins and how to leave them out.
        """
        self.session.require_plugins()

    @property
    def workspace_path(self) -> Path:
        """Where the workspace is, or would be."""
        return self.session.workspace_path

    @property
    def workspace_named(self) -> bool:
        """Whether --workspace was given."""
        return self.session.options.workspace is not None

    @property
    def workspace(self) -> Workspace:
        """The workspace, which must exist."""
        return self.session.workspace

    def writable_workspace(self) -> Workspace:
        """Return the workspace, made where there is none."""
        return self.session.writable_workspace()

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

    def progress(self) -> AbstractContextManager[Progress]:
        """Give bars on standard error for the length of a `with` block."""
        return self.session.progress()

    def _bars(self) -> AbstractContextManager[Progress]:
        from harness.progress import TerminalProgress

        return TerminalProgress(self.stderr)

    def show(self, parts: Iterable[RenderableType]) -> None:
        """Print what is drawn, from top to bottom."""
        for part in parts:
            self.console.print(part)

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
    """Add --concurrency, --timeout and spending limits to a command whose models may be remote.

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
    @click.option(
        "--max-requests", type=WholeRange(min=1), metavar="N",
        help="End after N requests to models; the same command goes on.",
    )  # fmt: skip
    @click.option(
        "--max-tokens", type=WholeRange(min=1), metavar="N",
        help="The same after N tokens, read and written.",
    )  # fmt: skip
    @click.option(
        "--max-minutes", type=FiniteRange(min=0, min_open=True, max=525_600), metavar="T",
        help="The same after T minutes.",
    )  # fmt: skip
    @functools.wraps(command)
    def wrapper(app: App, /, **rest: Any) -> Any:
        names = ("concurrency", "timeout", "max_requests", "max_tokens", "max_minutes")
        app.bind(**{name: rest.pop(name) for name in names})
        return command(app, **rest)

    return wrapper  # type: ignore[return-value] # click takes the options off


def gathered(record: Callable[..., Any], name: str, *options: Callable[[F], F]) -> Callable[[F], F]:
    """Return a decorator that adds options to a command, which gets them as one record.

    Args:
        record: made of the options by their names.
        name: of the command's parameter that takes the record.
        options: as `click.option` gives them.
    """

    def decorate(command: F) -> F:
        @functools.wraps(command)
        def wrapper(*arguments: Any, **given: Any) -> Any:
            fields = {key: given.pop(key) for key in names}
            return command(*arguments, **{name: record(**fields)}, **given)

        before = len(getattr(wrapper, "__click_params__", ()))
        for option in reversed(options):
            option(wrapper)  # click only notes its options on the function
        added = wrapper.__click_params__[before:]  # type: ignore[attr-defined]
        names = [str(parameter.name) for parameter in added if parameter.expose_value]
        return wrapper  # type: ignore[return-value] # click takes the options off

    return decorate


seed_option = click.option(
    "--seed", type=WholeRange(0, MOST_SEED), default=0, show_default=True, help="Of subsets, sampling and resampling."
)

candidate_options = gathered(
    CandidateOptions, "who",
    click.option("--model", metavar="REF", help="The base model.  [default: harness.yaml's, else smollm2-135m]"),
    click.option("--adapter", "adapters", multiple=True, metavar="REF", help="A LoRA adapter; repeated ones compose."),
    click.option("--system", metavar="TEXT", help="A system prompt; it is part of the candidate."),
    click.option("--template", default="auto", show_default=True, metavar="auto|none|FILE", help="The chat template."),
    click.option(
        "--dtype", type=click.Choice(["auto", "float32", "bfloat16", "float16"]), default="auto", show_default=True,
        help="Of the weights.",
    ),
    click.option(
        "--device", default="auto", show_default=True,
        help="auto, cpu, cuda, cuda:N or mps; cuda:0,cuda:1: a copy on each.",
    ),
)  # fmt: skip
"""Add the options that name a candidate; the command gets them as `who`."""

role_option = click.option(
    "--role", "roles", multiple=True, metavar="ROLE=REF",
    help="Who plays a role: judge, reviser, user and so on; REF is MODEL, MODEL,adapter=REF or adapter=REF."
    "  [default: the suite's, else harness.yaml's, else what ships for it, else the bare base]",
)  # fmt: skip

_precision_check = click.option(
    "--precision-check", type=WholeRange(min=0), metavar="K",
    help="Samples computed again in float32 for each gate's metric where the dtype is another; 0 is none."
    "  [default: 32]",
)  # fmt: skip


def _refuse_drift_check(_: click.Context, __: click.Parameter, given: str | None) -> None:
    if given is not None:
        raise InputError("--drift-check is called --precision-check now", hint=f"write: --precision-check {given}")


def precision_check_option(command: F) -> F:
    """Add --precision-check, and a sentence for who writes the name that it had."""
    old = click.option("--drift-check", hidden=True, expose_value=False, callback=_refuse_drift_check)
    return old(_precision_check(command))


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
        options = SessionOptions(
            plugins=(*before, *plugins), workspace=None if workspace is None else Path(workspace), offline=offline
        )
        app = App(options, json=json_)
        try:
            return ctx.invoke(command, app, **rest)
        finally:
            app.session.close()

    return wrapper  # type: ignore[return-value] # click takes the options off
