"""The command reference says what the command line says, and the README's commands exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from harness.cli.main import cli

ROOT = Path(__file__).parents[2]


def test_the_reference_is_up_to_date():
    done = subprocess.run(
        [sys.executable, "docs/make_commands.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def commands_of(path: Path) -> list[list[str]]:
    """Return the `harness …` commands of a Markdown file's shell blocks."""
    found = []
    for block in re.findall(r"```(?:sh|bash|console)\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
        for line in block.splitlines():
            for part in re.split(r"&&|;|\|", line.split("#")[0]):
                words = shlex.split(part.strip().removeprefix("$ "))
                if words and words[0] == "harness":
                    found.append(words[1:])
    return found


DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_in_the_documents_parses(path):
    for words in commands_of(path):
        assert parses(cli, words), f"harness {' '.join(words)}"


def parses(command: click.Command, words: list[str]) -> bool:
    """Tell whether click takes the words: every command, option and number of arguments is right."""
    context = click.Context(command, info_name="harness")
    while isinstance(command, click.Group) and words:
        found = command.get_command(context, words[0])
        if found is None and any(isinstance(parameter, click.Argument) for parameter in command.params):
            break  # it takes an argument of its own beside its commands, as `gate` does
        if found is None:
            return words[0] in {"--help", "--version", "-h"}
        command, words = found, words[1:]
    if "--help" in words:
        return True
    try:
        command.make_parser(click.Context(command)).parse_args(list(words))
        missing = [
            parameter
            for parameter in command.params
            if isinstance(parameter, click.Argument)
            and parameter.required
            and not [w for w in words if not w.startswith("-")]
        ]
    except click.ClickException:
        return False
    return not missing


def test_the_check_itself_can_fail():
    assert parses(cli, ["run", "persona", "--limit", "3"])
    assert not parses(cli, ["run", "persona", "--limitt", "3"])
    assert not parses(cli, ["rnu", "persona"])
    assert not parses(cli, ["run"])


def test_links_between_documents_lead_somewhere():
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in DOCUMENTS
        for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))
        if "://" not in target and not (path.parent / target).exists()
    ]
    assert not broken
