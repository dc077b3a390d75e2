"""Where commands come from: the bundled table, bundled plugins and other people's, by section and below each other."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("numpy", "pydantic", "torch", "transformers", "rich", "yaml", "pandas", "streamlit", "scipy", "harness.api")
PLUGIN = """
from harness import hookimpl

@hookimpl
def register_commands(cli):
    import click

    @cli.command(section="own data")
    def gather():
        '''Gather texts.'''
        click.echo("gathered")

    @cli.command()
    def plain():
        '''Nothing special.'''

    @cli.command("runs tidy")
    def tidy():
        '''Tidy runs.'''
        click.echo("tidied")

    @cli.command("status short")
    def short():
        '''The status in short.'''
        click.echo("short")

    cli.add_late("later", "nowhere.at_all:command", about="Not imported for the help.", section="serve")
"""


def test_help_imports_nothing_heavy_and_no_plugin_code():
    code = f"import sys; from harness.cli.main import run; run(['--help']); print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_commands_stand_under_what_people_want(cli):
    assert cli("--help") == 0
    heads = [line for line in cli.out.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert heads == ["Options:", "Start:", "Evaluate:", "Train:", "Decide:", "Look:", "Own data:"]


def test_a_plugin_names_the_section_of_its_commands(cli):
    file = cli.write("mine.py", PLUGIN)
    assert cli("-p", file, "--help") == 0
    _, own, rest = cli.out.partition("Own data:")
    assert own
    assert rest.index("gather") < rest.index("Serve:") < rest.index("later") < rest.index("More:") < rest.index("plain")
    assert cli("-p", file, "gather") == 0
    assert cli.out == "gathered\n"


def test_a_plugins_command_may_stand_below_a_bundled_one(cli):
    file = cli.write("mine.py", PLUGIN)
    assert cli("-p", file, "runs", "tidy") == 0
    assert cli.out == "tidied\n"
    assert cli("-p", file, "status", "short") == 0
    assert cli.out == "short\n"
    assert cli("-p", file, "runs", "--help") == 0
    assert "tidy" in cli.out
    assert "compare" in cli.out
    assert cli("runs", "--help") == 0
    assert "tidy" not in cli.out  # the next invocation has not this plugin
    assert cli("status") == 2  # there is no workspace: the bundled command itself was called
    assert "workspace" in cli.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("cli.add_late('run', 'x:y', about='')", "'run' is there already"),
        ("cli.add_late('nothing below', 'x:y', about='')", "no command 'nothing'"),
        ("cli.add_late('new', 'x:y', about='', section='evalute')", "evaluate"),
        ("cli.add_late('new', 'x:y', about=''); cli.add_late('new', 'x:y', about='')", "'new' is there already"),
        ("raise SystemExit(0)", "exit 0"),
    ],
)
def test_a_plugin_whose_commands_do_not_fit_costs_a_warning(cli, line, said):
    text = f"from harness import hookimpl\n@hookimpl\ndef register_commands(cli):\n    cli.add_late('zebra', 'x:y', about='')\n    {line}\n"
    file = cli.write("mine.py", text)
    assert cli("-p", file, "--help") == 0
    assert said in cli.err
    assert "zebra" not in cli.out  # all or nothing
    assert "Run suites" in cli.out


def test_a_bundled_plugin_that_is_left_out_brings_no_command(cli):
    assert cli("-p", "no:harness_audit", "gate", "--help") == 0
    assert "audit" not in cli.out
    assert cli("gate", "--help") == 0
    assert "audit" in cli.out
