"""Writes docs/commands.md from the command line's own help: python docs/make_commands.py [--check]."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

HEAD = """# Command reference

Made from the command line's own help by `python docs/make_commands.py`; a test keeps it true.
"""
TARGET = Path(__file__).parent / "commands.md"


def help_of(command: click.Command, names: list[str]) -> list[str]:
    """Return the help of a command and of everything below it, as Markdown."""
    context = click.Context(
        command,
        info_name=" ".join(names),
        terminal_width=100,
        max_content_width=100,
        help_option_names=["-h", "--help"],
    )
    lines = [f"## {' '.join(names)}", "", "```", command.get_help(context).rstrip(), "```", ""]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                lines += help_of(below, [*names, name])
    return lines


def document() -> str:
    """Return the whole reference."""
    from harness.cli import main

    main._any_installed = lambda: False  # noqa: SLF001 - the reference is of harness alone
    return HEAD + "\n" + "\n".join(help_of(main.cli, ["harness"])).rstrip() + "\n"


if __name__ == "__main__":
    os.environ["COLUMNS"] = "100"
    text = document()
    if "--check" in sys.argv:
        sys.exit(
            0 if TARGET.read_text(encoding="utf-8") == text else f"{TARGET} is out of date; run this without --check"
        )
    TARGET.write_text(text, encoding="utf-8")
