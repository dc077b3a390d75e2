"""harness principle new and test, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli.main import run

JUDGE = '''
import math

from harness import Model, hookimpl
from harness.types import LogProb, NoReply


class Fair(Model):
    """Finds that a reply with `omitted` in it breaks any rule."""

    def fingerprint(self, candidate):
        return {"weights": "fair"}

    def answer(self, candidate, requests, deliver):
        for index, request in enumerate(requests):
            prompt = request.messages[-1].content
            broken = "omitted]" in prompt
            yes = broken if "break this rule" in prompt else not broken
            right = (request.continuation == "Yes") is yes
            deliver(index, LogProb(logprob=math.log(0.9 if right else 0.1), tokens=1))


class Silent(Fair):
    def answer(self, candidate, requests, deliver):
        for index, _ in enumerate(requests):
            deliver(index, NoReply(reason="down"))


@hookimpl
def register_models(register):
    register("fair", Fair)
    register("silent", Silent)
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "judges.py").write_text(JUDGE)
    return tmp_path


def test_a_new_principle_passes_its_own_test(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["principle", "new", "no_promises"]) == 0
    assert "harness principle test no_promises.py" in capsys.readouterr().out
    assert run(["principle", "test", "no_promises.py"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "good enough on its examples: 2 of 2 violations found, 4 of 4 others let through" in said
    assert "too few to prove it" in said


def test_json_is_one_document(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["principle", "new", "no_promises"])
    capsys.readouterr()
    assert run(["principle", "test", "no_promises.py", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (one,) = document["principles"]
    assert document["good_enough"] is True
    assert one["critics"][0]["sensitivity"]["n"] == 2
    assert len(one["critics"][0]["examples"]) == 6


def test_a_critic_that_misjudges_exits_with_1_and_lists_what_it_got_wrong(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["principle", "new", "no_promises"])
    file = folder / "no_promises.py"
    file.write_text(file.read_text().replace("guaranteed|risk", "certainly|risk"))
    capsys.readouterr()
    assert run(["principle", "test", "no_promises.py"]) == 1
    said = capsys.readouterr().out
    assert "not good enough" in said
    assert "a fail example scored 1.00" in said
    assert "success is guaranteed" in said


def test_the_judge_is_asked_through_the_core(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["principle", "test", "demo", "--principle", "no_harm", "-p", "judges.py"]
    assert run([*command, "--judge", "fair:any"]) == 0
    assert "2 of 2 violations found, 4 of 4 others" in " ".join(capsys.readouterr().out.split())
    assert run([*command, "--judge", "silent:any", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["principles"][0]["critics"][0]["unscored"] == 6


def test_no_workspace_is_made_by_testing(folder: Path) -> None:
    run(["principle", "new", "no_promises"])
    run(["principle", "test", "no_promises.py"])
    assert not (folder / ".harness").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["test", "personel"], "did you mean 'personal'?"),
        (["test", "absent.py"], "absent.py"),
        (["test", "absent.yaml"], "no such constitution"),
        (["test", "demo", "--principle", "no_harms"], "did you mean 'no_harm'?"),
        (["test", "demo", "--critic", "jugde"], "did you mean 'judge'?"),
        (["test", "judges.py"], "registers no principle"),
        (["test", "broken.py"], "the plugin is broken: SyntaxError"),
        (["test", "bare.yaml"], "examples that fail"),
        (["new", "No Promises"], "try 'no_promises'"),
        (["new", "judges"], "exists already"),
        (["new", "x", "--to", "nowhere"], "no such folder"),
    ],
)
def test_bad_input_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    (folder / "broken.py").write_text("def (")
    (folder / "bare.yaml").write_text("id: bare\nprinciples:\n  - {id: brief, text: Be brief.}\n")
    assert run(["principle", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in " ".join(error.split())
    assert "Traceback" not in error


def test_text_of_a_plugin_cannot_steer_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["principle", "new", "no_promises"])
    file = folder / "no_promises.py"
    file.write_text(file.read_text().replace('response="The night guard', 'response="risk-free \\x1b[31m[bold]guard'))
    capsys.readouterr()
    assert run(["principle", "test", "no_promises.py"]) == 1
    said = capsys.readouterr().out
    assert "\x1b[31m" not in said
    assert "[bold]guard" in said
