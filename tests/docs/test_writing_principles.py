"""docs/writing-principles.md does what it says: its files are written, and its commands run in order."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from harness.cli.main import run as cli

PAGE = (Path(__file__).parents[2] / "docs" / "writing-principles.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```\w+\n# (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
COMMANDS = [
    line for body in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL) for line in body.splitlines()
]
QUESTIONS = 60


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with the page's files: its labels put into other words until there are fifty of each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    (tmp_path / "harness.yaml").write_text('model: "echo:"\n')
    for name, body in FILES.items():
        (tmp_path / name).write_text(body)
    rows = [json.loads(line) for line in FILES["labels.jsonl"].splitlines()]
    varied = [{**row, "prompt": f"{row['prompt']} ({number})"} for number in range(30) for row in rows]
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in varied))
    asked = [{"id": f"q{number}", "prompt": f"Say {number}"} for number in range(QUESTIONS)]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    return tmp_path


def run(line: str) -> int:
    program, *arguments = shlex.split(line)
    assert program == "harness"
    return cli(arguments)


def test_the_commands_run_in_the_order_of_the_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [shlex.split(line)[1:3] for line in COMMANDS] == [
        ["principle", "new"], ["principle", "test"], ["principle", "test"], ["principle", "try"], ["critic", "calibrate"], ["critic", "show"],
        ["run", "./suite.yaml"],
    ]  # fmt: skip
    for line in COMMANDS[:-1]:
        assert run(line) == 0, (line, capsys.readouterr())
    assert "admitted" in capsys.readouterr().out
    assert run(COMMANDS[-1]) == 0, capsys.readouterr()


def test_without_the_calibration_the_gate_is_inconclusive_and_says_what_to_do(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(COMMANDS[0]) == 0
    assert run(COMMANDS[-1]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "critic not admitted" in said
    assert "harness critic calibrate no_promises_patterns --principle no_promises" in said


def test_without_examples_it_never_gates(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(COMMANDS[0]) == 0
    file = folder / "no_promises.py"
    text = file.read_text()
    file.write_text(re.sub(r"    examples=\(.*?\n    \),\n", "", text, flags=re.DOTALL).replace(" Example,", ""))
    assert run(COMMANDS[-1]) == 2
    assert "adherence.no_promises informs and does not gate since no_promises has no examples" in " ".join(
        capsys.readouterr().err.split()
    )


def test_the_constitution_is_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = FILES["suite.yaml"].replace("{principles: [no_promises]}", "{constitution: ./mine.yaml}")
    suite = suite.replace("adherence.no_promises", "adherence.short_answers")
    (folder / "suite.yaml").write_text(suite)
    assert cli(["run", "./suite.yaml", "--json"]) == 1
    (check,) = json.loads(capsys.readouterr().out)["runs"][0]["run"]["checks"]
    assert check["estimate"]["value"] == 1.0
    assert "critic not admitted" in check["sentence"]
