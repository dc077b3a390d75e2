"""The `harness` command: a table of contents whose chapters are imported when they are opened."""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import click

from harness import __version__
from harness.threads import let_threads_doze

let_threads_doze()  # before anything imports torch

_COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("harness.cli.init:init", "Write a commented harness.yaml and make a workspace."),
    "demo": ("harness.cli.demo:demo", "Train a small LoRA, gate it and decide: the main job in one command."),
    "run": ("harness.cli.run:run", "Run suites on a model with adapters, and check the gates."),
    "plan": ("harness.cli.plan:plan", "Say before a run what its gates can detect, and how often they would pass."),
    "list": ("harness.cli.listing:list_", "List what is registered: suites, principles, critics, metrics, …"),
    "show": ("harness.cli.show:show", "Show one registered thing: a suite, a constitution, a principle, …"),
    "models": ("harness.cli.models:models", "Fetch and list the weights of the catalog."),
    "train": ("harness.cli.train:train", "Run a training recipe and keep its adapter."),
    "decide": ("harness.cli.decide:decide", "Run what a policy needs, and decide on promotion."),
    "approve": ("harness.cli.review:approve", "Approve a decision, where its policy asks for a person's word."),
    "reject": ("harness.cli.review:reject", "Reject a decision, so that it cannot be promoted."),
    "promote": ("harness.cli.promote:promote", "Promote the candidate of a decision."),
    "rollback": ("harness.cli.promote:rollback", "Go back to what was promoted before."),
    "status": ("harness.cli.promote:status", "Say what is promoted, and since when."),
    "why": ("harness.cli.why:why", "Say why a candidate was promoted or refused."),
    "history": ("harness.cli.promote:history", "List promotions, refused ones and rollbacks."),
    "runs": ("harness.cli.runs:runs", "List, show, compare and remove runs."),
    "gate": ("harness.cli.gate:gate", "Check a stored run's gates again, without the model."),
    "policy": ("harness.cli.review:policy", "Begin the count of a policy's attempts anew."),
    "ledger": ("harness.cli.ledger:ledger", "Verify and export the ledger."),
    "cache": ("harness.cli.cache:cache", "Say what is remembered of replies, and forget some of it."),
    "principle": ("harness.cli.principle:principle", "Write and test principles."),
    "report": ("harness.cli.report:report", "Open the report in a browser."),
    "doctor": ("harness.cli.doctor:doctor", "Say what works here, and what to do about the rest."),
}
_EXAMPLES = """\b
Examples:
  harness demo
  harness run safety-core --model smollm2-135m --adapter ./my-adapter
  harness decide --adapter ./my-adapter && harness report
  harness list suites

\b
Exit codes: 0 all gates passed, 1 a gate failed or is inconclusive,
2 usage or input error, 3 the run itself broke."""


class _Commands(click.Group):
    """Finds a command by name without importing the others; plugins' commands come after the bundled ones."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        names = list(_COMMANDS)
        return names + [name for name in self._from_plugins(ctx, needed=False) if name not in _COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _COMMANDS:
            module, attribute = _COMMANDS[cmd_name][0].split(":")
            command: click.Command = getattr(import_module(module), attribute)
            return command
        return self._from_plugins(ctx, needed=True).get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from harness.errors import nearest

            close = nearest(args[0], self.list_commands(ctx))
            hint = f"; did you mean {close!r}?" if close else "; see harness --help"
            raise click.UsageError(error.message.rstrip(".") + hint, ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, about) for name, (_, about) in _COMMANDS.items()]
        extra = self._from_plugins(ctx, needed=False)
        rows += [(name, command.get_short_help_str(100)) for name, command in extra.items() if name not in _COMMANDS]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _from_plugins(self, ctx: click.Context, *, needed: bool) -> dict[str, click.Command]:
        """Ask plugins for commands only where there are plugins besides the bundled ones."""
        from pathlib import Path

        chosen = tuple(ctx.params.get("plugins") or ())
        if not needed and not chosen and not _any_installed() and not Path("harness.yaml").exists():
            return {}
        from harness.errors import HarnessError
        from harness.plugins import load_plugins
        from harness.reading.config import read_config

        found = click.Group()
        try:
            warnings = load_plugins((*read_config(Path.cwd()).plugins, *chosen)).add_commands(found)
        except HarnessError as error:
            warnings = (str(error),)
        for warning in warnings:
            click.echo(f"warning: {warning}", err=True)
        return dict(found.commands)


def _any_installed() -> bool:
    from importlib.metadata import entry_points

    return bool(entry_points(group="harness"))


@click.group(cls=_Commands, epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="harness")
@click.option(
    "-p",
    "plugins",
    multiple=True,
    metavar="DIR|FILE|MODULE|no:NAME",
    help="Use plugins from here, or leave one out; may be repeated.",
)
@click.pass_context
def cli(ctx: click.Context, plugins: tuple[str, ...]) -> None:
    """Decide whether a fine-tuned model has earned promotion."""
    ctx.obj = {"plugins": plugins}


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: errors are one sentence on standard error, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what the terminal's encoding lacks costs a question mark, not the run
            stream.reconfigure(errors="replace")
    code = run(arguments)
    gc.freeze()  # Python looks through all that is left for garbage as it ends: a second, once torch is loaded
    sys.exit(code)


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
    except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001 - no traceback reaches a person unasked
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
    from harness.errors import EXIT_INPUT, EXIT_INTERRUPTED, EXIT_PASSED, HarnessError

    if isinstance(error, click.Abort | KeyboardInterrupt):
        click.echo("\ninterrupted; what was finished is kept: the same command goes on from there", err=True)
        return EXIT_INTERRUPTED
    if isinstance(error, click.ClickException):
        from harness.terminal import redacted

        vars(error)["message"] = redacted(error.message)
        error.show()
        return EXIT_INPUT
    if isinstance(error, HarnessError):
        if os.environ.get("HARNESS_DEBUG"):
            import traceback

            traceback.print_exception(error)
        _complain(str(error))
        return error.exit_code
    if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
        # The reader, such as head, has gone. Python would complain once more while it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PASSED
    return _unexpected(error)


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
