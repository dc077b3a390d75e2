"""The `harness` command: a table of contents whose chapters are imported when they are opened."""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import Any

import click

from harness import __version__
from harness.commands import Commands
from harness.hookspecs import BUNDLED
from harness.threads import let_threads_doze

let_threads_doze()  # before anything imports torch

_EXAMPLES = """\b
Examples:
  harness demo
  harness run safety-core --model smollm2-135m --adapter ./my-adapter
  harness decide --adapter ./my-adapter && harness report
  harness list suites

\b
Exit codes: 0 all gates passed, 1 a gate failed or is inconclusive,
2 usage or input error, 3 the run itself broke, 4 a spending limit ended it."""


class _CommandLine(click.Group):
    """Finds a command by name without importing the others; other people's plugins are asked after the bundled ones."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return _table(ctx, more=_any_plugins(ctx)).list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _table(ctx).get_command(ctx, cmd_name) or _table(ctx, more=True).get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if len(args) > 1 and args[0] in _table(ctx).sections and f"{args[0]} {args[1]}" not in _table(ctx).sections:
            _table(ctx, more=_any_plugins(ctx), warn=False)  # it may be a plugin's, below a bundled command
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from harness.errors import nearest

            close = nearest(args[0], self.list_commands(ctx))
            hint = f"; did you mean {close!r}?" if close else "; see harness --help"
            raise click.UsageError(error.message.rstrip(".") + hint, ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _table(ctx, more=_any_plugins(ctx)).format_commands(ctx, formatter)


def _table(ctx: click.Context, *, more: bool = False, warn: bool = True) -> Commands:
    """Return the commands of harness and its bundled plugins, and where `more`, of all other plugins."""
    table: Commands | None = ctx.meta.get("harness.commands")
    if table is None:
        ctx.meta["harness.commands"] = table = Commands()
        for name in BUNDLED:
            hook = getattr(import_module(name), "register_commands", None)
            if hook is not None and f"no:{name}" not in (ctx.params.get("plugins") or ()):
                hook(table)
    if more and not ctx.meta.get("harness.commands.all"):
        ctx.meta["harness.commands.all"] = True
        for warning in _ask_plugins(ctx, table):
            if warn:
                click.echo(f"warning: {warning}", err=True)
    return table


def _ask_plugins(ctx: click.Context, table: Commands) -> tuple[str, ...]:
    """Let plugins that are not bundled add their commands; return what went wrong."""
    from pathlib import Path

    from harness.errors import HarnessError
    from harness.plugins import load_plugins
    from harness.reading.config import read_config

    try:
        chosen = (*read_config(Path.cwd()).plugins, *(ctx.params.get("plugins") or ()))
        return load_plugins(chosen).add_commands(table) if chosen or _any_installed() else ()
    except HarnessError as error:
        return (str(error),)


def _any_plugins(ctx: click.Context) -> bool:
    """Tell whether there may be plugins besides the bundled ones."""
    from pathlib import Path

    return bool(ctx.params.get("plugins")) or _any_installed() or Path("harness.yaml").exists()


def _any_installed() -> bool:
    from importlib.metadata import entry_points

    return bool(entry_points(group="harness"))


@click.group(cls=_CommandLine, epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="harness")
@click.option(
    "-p",
    "plugins",
    multiple=True,
    is_eager=True,  # so that --help behind it lists their commands
    metavar="DIR|FILE|MODULE|no:NAME|trust:PLACE",
    help="Use plugins from here, leave one out, or let a suite run other code; may be repeated.",
)
@click.pass_context
def cli(ctx: click.Context, plugins: tuple[str, ...]) -> None:
    """Decide whether a fine-tuned model has earned promotion."""
    ctx.obj = {"plugins": plugins}


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: errors are one sentence on standard error, never a traceback."""
    _outlive_readers()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what the terminal's encoding lacks costs a question mark, not the run
            stream.reconfigure(errors="replace")
    code = run(arguments)
    gc.freeze()  # Python looks through all that is left for garbage as it ends: a second, once torch is loaded
    sys.exit(code)


class _Unread(FileIO):
    """Standard output that drops what nobody reads any more: its reader, such as `head`, decides no exit code."""

    def write(self, data: Any) -> int:
        """Write, or drop everything from now on where the reader has gone."""
        try:
            return super().write(data)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return len(data)


def _outlive_readers() -> None:
    old = sys.stdout
    if isinstance(old, TextIOWrapper) and old.buffer.seekable() is False:  # a pipe or a terminal
        old.flush()
        sys.stdout = TextIOWrapper(
            BufferedWriter(_Unread(old.fileno(), "w", closefd=False)), encoding=old.encoding,
            line_buffering=old.line_buffering,
        )  # fmt: skip


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    from harness.errors import EXIT_INPUT, EXIT_PASSED

    for argument in sys.argv[1:] if arguments is None else arguments:
        if not _is_text(argument):  # no record could hold it
            _complain(f"the argument {os.fsencode(argument)!r} is not UTF-8; rename it or write it anew")
            return EXIT_INPUT
    try:
        result: Any = cli.main(arguments, standalone_mode=False, prog_name="harness")
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except BaseException as error:  # noqa: BLE001 - no traceback reaches a person unasked
        return _explain(error)
    return result if isinstance(result, int) else EXIT_PASSED


def _is_text(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _explain(error: BaseException) -> int:
    """Say on standard error what went wrong, and return the exit code it stands for."""
    from harness.errors import EXIT_INPUT, EXIT_INTERRUPTED, HarnessError

    if isinstance(error, click.Abort | KeyboardInterrupt):
        click.echo("\ninterrupted; what was finished is kept: the same command goes on from there", err=True)
        return EXIT_INTERRUPTED
    if isinstance(error, click.ClickException):
        from harness.terminal import redacted

        vars(error)["message"] = redacted(error.message) + _for_example(error)
        error.show()
        return EXIT_INPUT
    if isinstance(error, HarnessError):
        if os.environ.get("HARNESS_DEBUG"):
            import traceback

            traceback.print_exception(error)
        _complain(str(error))
        return error.exit_code
    return _unexpected(error)


def _for_example(error: click.ClickException) -> str:
    """Return what a missing option is for, and the command's first example with it; empty for all other errors."""
    if not isinstance(error, click.MissingParameter) or error.param is None or error.ctx is None:
        return ""
    name = error.param.opts[0] if isinstance(error.param, click.Option) else ""
    about = error.param.help if isinstance(error.param, click.Option) else None
    lines = [line.strip() for line in (error.ctx.command.epilog or "").split("\n\n")[0].replace("\\\n", "").split("\n")]
    shown = next((" ".join(line.split()) for line in lines if line.startswith("harness ") and name in line), "")
    return " ".join(part for part in (about, f"For example: {shown}" if shown else "") if part)


def _complain(message: str) -> None:
    from harness.terminal import redacted, safe_text

    click.echo(click.style("error: ", fg="red", bold=True) + safe_text(redacted(message)), err=True)


def _unexpected(error: BaseException) -> int:
    """Explain what nobody foresaw, and return the exit code. A plugin's own exit code says nothing about gates."""
    import errno
    import traceback

    from harness.errors import EXIT_BROKEN, EXIT_INPUT

    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        where = f" at {error.filename}" if error.filename else ""
        _complain(f"the disk is full{where}; free some space and run the same command again: what was finished is kept")
        return EXIT_BROKEN
    of_paths = {errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.EISDIR}
    if isinstance(error, OSError) and error.errno in of_paths and error.filename and "HARNESS_DEBUG" not in os.environ:
        name = os.fsdecode(error.filename)
        shown = name if len(name) <= 120 else f"{name[:60]}…{name[-50:]}"
        reason = (error.strerror or type(error).__name__).lower()
        _complain(f"{shown}: cannot be used ({reason}); check the path and its permissions")
        return EXIT_INPUT
    if os.environ.get("HARNESS_DEBUG"):
        traceback.print_exception(error)
        return EXIT_BROKEN
    last = traceback.extract_tb(error.__traceback__)[-1]
    _complain(
        f"{type(error).__name__}: {error} ({last.filename.rsplit(os.sep, 1)[-1]}:{last.lineno}); "
        "this is a defect of harness or of a plugin: set HARNESS_DEBUG=1 to see where it comes from"
    )
    return EXIT_BROKEN


if __name__ == "__main__":
    main()
