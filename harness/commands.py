"""What commands are added to: a table by section, whose commands may be imported late or stand below others."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from harness.errors import InputError, unknown_name
from harness.registry import imported

SECTIONS = ("start", "evaluate", "train", "decide", "look", "own data", "serve")
"""What people want, in the order of `harness --help`. Commands that name none stand under `more`, at the end."""
_MORE = "more"


@dataclass(frozen=True, kw_only=True)
class Late:
    """A command that is imported when it is called."""

    where: str
    """`module:attribute`."""
    about: str
    """One line for `harness --help`."""

    def load(self) -> click.Command:
        """Import it."""
        command: click.Command = imported(self.where)
        return command


class Commands(click.Group):
    """What `register_commands` is handed: a click group whose commands have a section, and may be imported late.

    A name of two words, such as `gate audit`, stands below the command that the first word names.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sections: dict[str, str] = {}
        self._late: dict[str, Late] = {}

    def add_late(self, name: str, where: str, *, about: str, section: str = _MORE) -> None:
        """Add a command that is imported when it is called, so that `harness --help` stays quick.

        Args:
            name: one word, or two for a command below another.
            where: `module:attribute` of a click command.
            about: one line for `harness --help`.
            section: one of `SECTIONS`.

        Raises:
            InputError: for a name that is taken, or an unknown section.
        """
        self._claim(name, section)
        self._late[name] = Late(where=where, about=about)

    def add_section(self, section: str, package: str, commands: Mapping[str, tuple[str, str]]) -> None:
        """Add commands of a package to one section: (`module:attribute` below the package, line about it) by name.

        Raises:
            InputError: as `add_late` does.
        """
        for name, (where, about) in commands.items():
            self.add_late(name, f"{package}.{where}", about=about, section=section)

    def add_command(self, cmd: click.Command, name: str | None = None, *, section: str = _MORE) -> None:
        """Add a click command; raises as `add_late` does."""
        self._claim(name or cmd.name or "", section)
        super().add_command(cmd, name)

    def command(self, *args: Any, section: str = _MORE, **options: Any) -> Any:
        """Return click's decorator; the command stands under the section."""
        return self._decorator(click.command(*args, **options), section)

    def group(self, *args: Any, section: str = _MORE, **options: Any) -> Any:
        """Return click's decorator for a group of commands; it stands under the section."""
        return self._decorator(click.group(*args, **options), section)

    def _decorator(self, make: Any, section: str) -> Any:
        def decorate(function: Any) -> click.Command:
            command: click.Command = make(function)
            self.add_command(command, section=section)
            return command

        return decorate

    def _claim(self, name: str, section: str) -> None:
        if name in self.sections:
            raise _taken(name)
        if section not in (*SECTIONS, _MORE):
            raise unknown_name("section of commands", section, SECTIONS)
        self.sections[name] = section

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of one word, in the order of sections and registration."""
        order = (*SECTIONS, _MORE)
        return sorted((name for name in self.sections if " " not in name), key=lambda n: order.index(self.sections[n]))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Return a command, imported, with what was added below it."""
        found = self._late[cmd_name].load() if cmd_name in self._late else self.commands.get(cmd_name)
        below = [name for name in self.sections if name.startswith(f"{cmd_name} ")]
        if not below or found is None:
            return found
        group = copy.copy(found) if isinstance(found, click.Group) else CommandWithMore.of(found)
        group.commands = dict(group.commands)
        for name in below:
            command = self._late[name].load() if name in self._late else self.commands[name]
            group.commands.setdefault(name.partition(" ")[2], command)
        return group

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a list of commands for each section that has some."""
        names = self.list_commands(ctx)
        width = max((len(name) for name in names), default=0)
        for section in (*SECTIONS, _MORE):
            rows = [(name.ljust(width), self.about(name)) for name in names if self.sections[name] == section]
            if rows:
                with formatter.section(section.capitalize()):
                    formatter.write_dl(rows)

    def about(self, name: str) -> str:
        """Return the line about a command, which is not imported for it."""
        return self._late[name].about if name in self._late else self.commands[name].get_short_help_str(100)

    def take_over(self, others: Commands) -> InputError | None:
        """Take over what another table holds; or nothing of it where a name does not fit, and return why."""
        for name in others.sections:
            parent = name.partition(" ")[0]
            if name in self.sections:
                return _taken(name)
            if parent not in self.sections and parent not in others.sections:
                return InputError(f"there is no command {parent!r} for {name!r} to stand below", hint="check the name")
        self.sections |= others.sections
        self.commands.update(others.commands)
        self._late |= others._late
        return None


def _taken(name: str) -> InputError:
    return InputError(f"the command {name!r} is there already", hint="give it another name")


class CommandWithMore(click.Group):
    """A command with arguments of its own, below which others stand: `gate RUN` and `gate audit`."""

    allow_interspersed_args = True  # options may stand behind the arguments, as for any command

    @classmethod
    def of(cls, command: click.Command) -> CommandWithMore:
        """Return the command as one below which others can stand."""
        names = ("name", "callback", "params", "help", "epilog", "short_help", "context_settings")
        return cls(**{name: getattr(command, name) for name in names})

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Leave to another command what begins with its name; all else is this one's."""
        below = self.commands.get(args[0]) if args else None
        if below is not None:
            return below.make_context(f"{info_name} {args[0]}", args[1:], parent=parent, **extra)
        return click.Command.make_context(self, info_name, args, parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as a command does."""
        return click.Command.parse_args(self, ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Call as a command is called."""
        return click.Command.invoke(self, ctx)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return a command's usage."""
        return click.Command.collect_usage_pieces(self, ctx)
