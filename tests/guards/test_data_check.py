"""`harness data check` and the check before `harness train`."""

from __future__ import annotations

import json

import pytest

from harness.cli.main import run as harness_cli
from tests.guards.test_separation import chat, write

SUITE = """id: quiz
about: Two questions.
samples: {source: jsonl, path: quiz.jsonl}
measure: [match]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quiz.yaml").write_text(SUITE, encoding="utf-8")
    write(
        tmp_path / "quiz.jsonl", {"id": "a", "prompt": "What is the capital of France?", "target": ["Paris"]},
        {"id": "b", "prompt": "Who keeps the light?", "target": ["Maren"]},
    )  # fmt: skip
    write(tmp_path / "rows.jsonl", chat("How old are you?"), chat("Who keeps the light?"), chat("Is it far?"))
    return tmp_path


@pytest.fixture
def run(folder, capsys, monkeypatch):
    """Call the command line; return its exit code and both outputs."""
    monkeypatch.setenv("COLUMNS", "300")

    def call(*arguments):
        capsys.readouterr()
        return harness_cli(list(arguments)), *capsys.readouterr()

    return call


def test_the_command_lists_and_writes_what_is_left(folder, run):
    more = ("--against", "quiz.yaml", "--words-only")
    code, out, err = run("data", "check", "rows.jsonl", *more, "--json", "--write", "c.jsonl")
    assert code == 1, err
    told = json.loads(out)
    assert told["matched_rows"] == [2]
    assert [(one["kind"], one["sample"]) for one in told["matches"]] == [("exact", "b")]
    assert len((folder / "c.jsonl").read_text().splitlines()) == 2
    code, out, _ = run("data", "check", "c.jsonl", *more)
    assert code == 0
    assert "0 rows of 2" in out


def test_a_table_of_goals_is_read_too(folder, run):
    (folder / "goals.csv").write_text('goal,target\n"who keeps the light","Sure"\nwhat else,"Sure"\n', encoding="utf-8")
    _, out, _ = run("data", "check", "goals.csv", "--against", "quiz.yaml", "--words-only", "--json")
    assert json.loads(out)["matched_rows"] == [1]


def test_a_suite_that_is_not_there_is_one_sentence(run):
    code, _, err = run("data", "check", "rows.jsonl", "--against", "quizz.yaml", "--words-only")
    assert code == 2
    assert "quizz.yaml" in err


def test_train_refuses_before_it_trains_or_drops(folder, run, tiny_llama, monkeypatch):
    monkeypatch.setenv("HARNESS_WEIGHTS", str(folder / "weights"))
    recipe = folder / "r.yaml"
    stages = "stages:\n  - sft: {data: rows.jsonl, max_steps: 1}\nthen: {run: [./quiz.yaml]}\n"
    recipe.write_text(f"id: r\nbase: {tiny_llama}\n{stages}", encoding="utf-8")
    command = ("train", "r.yaml", "--device", "cpu", "--dry-run", "--offline")
    code, _, err = run(*command)
    assert code == 2
    assert "rows.jsonl" in err
    assert "line 2 is word for word quiz/b" in err
    for told, then in (("drop", stages), ("{mode: drop, suites: [./quiz.yaml]}", stages.partition("then:")[0])):
        recipe.write_text(f"id: r\nbase: {tiny_llama}\nseparation: {told}\n{then}", encoding="utf-8")
        code, _, err = run(*command)
        assert code == 0, err
        assert "1 row of" in err
