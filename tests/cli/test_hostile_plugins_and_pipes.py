"""What ends a command from outside decides no verdict: readers that leave, plugins that raise what nobody catches."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "harness.cli.main"]
FAILING = """\
id: failing
samples: {source: jsonl, path: tiny.jsonl}
ask: {max_new_tokens: 16}
measure: [exact_match]
gates:
  - {metric: exact_match, min: 0.5}
"""


def test_a_reader_that_leaves_does_not_turn_a_failed_gate_into_success(cli):
    cli.write("failing.yaml", FAILING)
    command = [*COMMAND, "run", "failing.yaml", "--model", "echo:no"]
    assert subprocess.run(command, cwd=cli.folder, stdout=subprocess.DEVNULL, check=False).returncode == 1
    read, write = os.pipe()
    os.close(read)  # the reader has gone before the first line
    process = subprocess.run(command, cwd=cli.folder, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert process.returncode == 1, process.stderr
    assert "Traceback" not in process.stderr
    assert "Broken pipe" not in process.stderr


@pytest.mark.parametrize("raised", ["GeneratorExit('x')", "BaseException('\\x1b]0;pwn\\x07')"])
def test_a_plugin_that_raises_what_is_no_error_is_broken_and_said(cli, raised):
    cli.write("odd.py", f"raise {raised}\n")
    assert cli("run", "tiny.yaml", "--model", "echo:", "-p", "./odd.py") == 2
    assert "odd" in cli.err
    assert "Traceback" not in cli.err
    assert "\x1b]0" not in cli.err


def test_a_pipe_is_no_data_file(cli):
    (cli.folder / "tiny.jsonl").unlink()
    os.mkfifo(cli.folder / "tiny.jsonl")
    assert cli("run", "tiny.yaml", "--model", "echo:") == 2
    assert "a pipe or a device, not a file" in cli.err


def test_a_row_may_not_ask_for_endless_turns(cli):
    cli.write("tiny.jsonl", json.dumps({"id": "a", "prompt": "x", "target": "y", "turns": ["q"] * 800}) + "\n")
    assert cli("run", "tiny.yaml", "--model", "echo:") == 2
    assert "at most 50 texts" in cli.err


def test_a_suite_with_an_endless_name_is_refused_before_anything_is_measured(cli):
    cli.write("long.yaml", FAILING.replace("failing", "a" * 300))
    assert cli("run", "long.yaml", "--model", "echo:") == 2
    assert "long.yaml:1" in cli.err
    assert "defect" not in cli.err


def test_a_row_beyond_what_a_float_holds_is_unscored(cli):
    cli.write(
        "huge.py",
        "import harness\n"
        "from harness import Metric, hookimpl\n"
        "class Huge(Metric):\n"
        "    name, kind, direction = 'huge', 'mean', 'higher'\n"
        "    def observe(self, sample, replies, findings, verdicts):\n"
        "        return (10**400, 1)\n"
        "@hookimpl\n"
        "def register_metrics(register):\n"
        "    register('huge', lambda options, constitutions: [Huge()])\n",
    )
    cli.write(
        "huge.yaml", FAILING.replace("exact_match", "huge").replace("failing", "huge").replace("min:", "max_unscored:")
    )
    code = cli("run", "huge.yaml", "--model", "echo:", "-p", "./huge.py")
    assert code == 1, cli.err
    assert "defect" not in cli.err
    assert "40 of 40 samples of huge are unscored" in " ".join(cli.out.split())
