"""Names in tables can be copied whole at 80 columns, and examples in --help fit there."""

from __future__ import annotations

import json

import click
import pytest
from rich.console import Console

from harness.api.commands import Commands, named_table
from harness.hookspecs import BUNDLED

LONG = "a_metric_with_a_name_of_exactly_48_characters_in"
SUITE = """\
id: tiny
samples: {source: jsonl, path: tiny.jsonl}
ask: {max_new_tokens: 16}
measure: [exact_match, instruction]
"""


def drawn(table, width=80):
    console = Console(width=width, record=True, force_terminal=False)
    with console.capture() as found:
        console.print(table)
    return found.get()


def test_a_table_of_names_keeps_them_whole_and_loses_no_figure():
    columns = ("policy", "baseline\ncandidate", "change,\n90 % interval", "verdict")
    rows = [(LONG, "12.5 %\n25.0 %", "+12.5\n[-1.0, +26.0]", "unclear")]
    for width in (40, 60, 80, 120):
        text = drawn(named_table(columns, rows), width)
        assert LONG in (text if width >= 60 else text.replace("\n", "")), text
        assert "[-1.0, +26.0]" in text
        assert max(map(len, text.splitlines())) <= width
    assert "baseline 12.5 %; candidate 25.0 %" in drawn(named_table(columns, rows), 60)


@pytest.fixture
def narrow(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    return cli


def test_runs_diff_keeps_names_whole(narrow):
    name = "a-sample-with-a-very-long-name-that-somebody-copies-0001"
    row = {"id": name, "prompt": "say it", "target": "say it"}
    narrow.write("tiny.jsonl", json.dumps(row) + "\n")
    narrow.write("tiny.yaml", SUITE.replace(", instruction", ""))
    assert narrow("run", "tiny.yaml", "--model", "echo:", "--no-gates") == 0, narrow.err
    assert narrow("run", "tiny.yaml", "--model", "echo:other", "--no-gates") == 0, narrow.err
    runs = [run["id"] for run in narrow.json("runs", "list")[1]["runs"]]
    assert narrow("runs", "diff", *runs) == 0, narrow.err
    assert name in narrow.out
    assert "exact_match" in narrow.out
    assert narrow("runs", "diff", "base", "latest") == 0, narrow.err
    assert "both names mean the same run" in narrow.out


def test_a_constitution_and_its_test_keep_names_whole(narrow):
    name = "no_" + "very_" * 8 + "long_name"
    narrow.write("mine.yaml", f"""\
id: mine
version: 1
principles:
  - id: {name}
    text: The assistant does not shout.
    critics: [verifier]
    examples:
      pass: [{{prompt: Hi., response: Hello.}}]
      fail: [{{prompt: Hi., response: HELLO}}]
""")  # fmt: skip
    narrow.write("suite.yaml", SUITE.replace(", instruction", "") + """\
critics:
  verifier: {expression: 'lower(reply) == reply or starts(reply, "Hello.")'}
""")  # fmt: skip
    assert narrow("constitution", "show", "mine.yaml") == 0, narrow.err
    assert name in narrow.out
    assert "The assistant does not shout." in " ".join(narrow.out.split())
    assert narrow("principle", "test", "mine.yaml", "--suite", "suite.yaml") in {0, 1}, narrow.err
    assert f"  {name}" in narrow.out or f"\n{name}" in narrow.out, narrow.out


def every_command():
    table = Commands()
    from importlib import import_module

    for name in BUNDLED:
        hook = getattr(import_module(name), "register_commands", None)
        if hook is not None:
            hook(table)
    context = click.Context(click.Group("harness"))

    def walk(path, command):
        yield path, command
        for name in getattr(command, "commands", {}):
            yield from walk((*path, name), command.commands[name])

    for name in table.list_commands(context):
        yield from walk((name,), table.get_command(context, name))


def test_examples_fit_in_eighty_columns():
    long = [
        (" ".join(path), line)
        for path, command in every_command()
        for line in (command.get_help(click.Context(command, terminal_width=80, max_content_width=80))).splitlines()
        if len(line) > 80
    ]
    assert not long
