"""A folder with a tiny suite, and the command line called in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli.main import run as harness_cli

SUITE = """\
id: tiny
about: Does the model repeat what it is told?
samples: {source: jsonl, path: tiny.jsonl}
ask: {max_new_tokens: 16}
measure: [exact_match]
gates:
  - {metric: exact_match, min: 0.5}
"""


class Cli:
    """Calls the command line in this process, and keeps what it printed."""

    def __init__(self, folder: Path, capsys) -> None:
        self.folder = folder
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: object) -> int:
        self._capsys.readouterr()
        code = harness_cli([str(argument) for argument in arguments])
        captured = self._capsys.readouterr()
        self.out, self.err = captured.out, captured.err
        return code

    def json(self, *arguments: object):
        """Call with --json, and return the code and the document."""
        code = self(*arguments, "--json")
        return code, json.loads(self.out)

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def rows(self, count: int, name: str = "tiny.jsonl", **extra) -> Path:
        lines = (json.dumps({"id": f"s{n}", "prompt": f"say {n}", "target": f"say {n}", **extra}) for n in range(count))
        return self.write(name, "\n".join(lines) + "\n")


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys) -> Cli:
    """The command line in an empty folder that holds tiny.yaml and forty rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    made = Cli(tmp_path, capsys)
    made.write("tiny.yaml", SUITE)
    made.rows(40)
    return made
