"""The newcomer's script of docs/first-hour.md: every command in its order, on a tiny model, and on the real one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from harness.cli.main import run as harness_cli

TEXT = (Path(__file__).parents[2] / "docs" / "first-hour.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)(?: (\S+))?\n(.*?)```", TEXT, re.DOTALL)
ELSEWHERE = ("pip install", "harness models pull")
"""What needs the network."""
VERDICTS = {"run", "decide", "promote"}
"""Commands that say with exit code 1 that a gate did not pass."""


def commands():
    return [line for kind, _, body in BLOCKS if kind == "sh" for line in body.splitlines()]


def test_the_script_has_thirty_steps():
    assert len(commands()) == 30


def walk(folder: Path, model: str, capsys) -> list[tuple[str, int]]:
    """Run the page in a folder; return each command with its exit code."""
    done, wrong = [], []
    for kind, name, body in BLOCKS:
        if kind != "sh":
            (folder / name).write_text(body.replace("smollm2-135m", model))
            continue
        for line in body.splitlines():
            if line.startswith(ELSEWHERE):
                continue
            if "ADAPTER" in line:
                (adapter,) = (folder / ".harness" / "artifacts" / "adapter").iterdir()
                line = line.replace("ADAPTER", adapter.name)  # noqa: PLW2901
            words = shlex.split(line)
            assert words[0] == "harness"
            code = harness_cli(words[1:])
            said = capsys.readouterr()
            if code not in ({0, 1} if words[1] in VERDICTS else {0}) or "Traceback" in said.err:
                wrong.append((line, code, said.err))
            done.append((line, code))
            if words[1] == "init":
                config = folder / "harness.yaml"
                config.write_text(config.read_text().replace("model: smollm2-135m", f"model: {model}"))
    assert not wrong
    return done


def test_every_step_works_on_a_tiny_model(tmp_path, monkeypatch, capsys, tiny_base):
    monkeypatch.chdir(tmp_path)
    done = dict(walk(tmp_path, str(tiny_base), capsys))
    assert next(code for line, code in done.items() if line.startswith("harness decide")) == 0
    assert done["harness promote latest"] == 0
    assert (tmp_path / "report.html").stat().st_size > 10_000


@pytest.mark.slow
def test_every_step_works_on_the_real_model(tmp_path, monkeypatch, capsys, real_weights):
    monkeypatch.chdir(tmp_path)
    done = dict(walk(tmp_path, "smollm2-135m", capsys))
    assert done["harness promote latest"] == 0
