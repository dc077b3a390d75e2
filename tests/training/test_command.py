"""`harness train` as a person runs it, and what a killed training leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from harness.api.workspace import is_deciding, read_samples
from harness.errors import InputError
from harness_training.command import train

QUICK = {"data": "rows.jsonl", "max_steps": 2, "batch_size": 2, "dtype": "float32"}


@pytest.fixture
def command(lab, monkeypatch, capsys):
    """Run the command in the lab's folder; return its exit code and standard output."""
    monkeypatch.chdir(lab.folder)
    monkeypatch.setenv("HARNESS_WEIGHTS", str(lab.folder / "weights"))

    def run(*arguments):
        workspace = str(lab.workspace.root)
        code = train.main([*arguments, "--workspace", workspace, "--device", "cpu", "--offline"], standalone_mode=False)
        return code, capsys.readouterr().out

    return run


def test_a_recipe_is_trained_then_reused(lab, command):
    path = str(lab.write(QUICK))
    code, text = command(path)
    assert code == 0
    assert "trained" in text
    assert "harness run SUITE --adapter" in text
    code, text = command(path, "--json")
    document = json.loads(text)
    assert code == 0
    assert document["recipe"] == "test"
    (stage,) = document["stages"]
    assert stage["reused"]
    assert stage["adapter"]["id"] in stage["adapter"]["path"]
    assert command(path, "--dry-run")[1].count("reused") == 1
    assert "would be trained" in command(path, "--seed", "3", "--dry-run")[1]


def test_a_recipe_without_training_says_what_was_made(lab, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    path = str(lab.write({"canaries": {"data": "rows.jsonl", "count": 2}, "name": "upper"}))
    code, text = command(path, "--dry-run")
    assert code == 0
    assert "would be made" in text
    assert "nothing was made" in text
    _, text = command(path)
    (record,) = lab.workspace.artifacts.glob("dataset/*")
    assert "trained" not in text
    assert f"dataset {record.name}" in text
    assert "no stage of this recipe trains an adapter" in text
    path = str(lab.write({"canaries": {"data": "rows.jsonl", "count": 2}}, then={"run": ["persona"]}))
    with pytest.raises(InputError, match=r"recipe.yaml:\d+: then: .*no stage of this recipe trains an adapter"):
        command(path)


def test_wrong_names_are_told_before_anything_trains(lab, command):
    with pytest.raises(InputError, match="no recipe is called 'persna'; did you mean 'persona'"):
        command("persna")
    with pytest.raises(InputError, match="no such recipe"):
        command("none.yaml")
    path = str(lab.write(QUICK, then={"run": ["safty"]}))
    with pytest.raises(InputError, match=r"recipe.yaml:\d+: then.run\[0\]: no suite is called 'safty'"):
        command(path)
    path = str(lab.write(QUICK, then={"policy": "nonesuch"}))
    with pytest.raises(InputError, match=r"recipe.yaml:\d+: then.policy: no policy is called"):
        command(path)
    (lab.folder / "harness.yaml").write_text("policies:\n  mine: {suites: [safty]}\n")
    path = str(lab.write(QUICK, then={"policy": "mine"}))
    with pytest.raises(InputError, match=r"then.policy: .*harness.yaml:2: policies.mine.suites\[0\]: no suite is"):
        command(path)
    assert not lab.kept()


def start(lab, path):
    """Start a long training in a process of its own and wait until it has taken some steps."""
    environment = {
        **os.environ, "HARNESS_WEIGHTS": str(lab.folder / "weights"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    code = (
        "import sys\nfrom harness.cli.main import main\n"
        "from harness_stages.watcher import Watcher\n"
        "old = Watcher.on_log\n"
        "def on_log(self, *a, **k):\n    print('step', flush=True)\n    return old(self, *a, **k)\n"
        "Watcher.on_log = on_log\n"
        f"sys.argv = ['harness', 'train', {str(path)!r}, '--workspace', {str(lab.workspace.root)!r}, '--offline',"
        " '--device', 'cpu']\nsys.exit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        cwd=lab.folder, start_new_session=True,
    )  # fmt: skip
    for _ in range(3):
        line = process.stdout.readline()
        assert line == "step\n", process.communicate()[1]
    return process


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_stopped_training_leaves_the_workspace_whole(lab, number):
    process = start(lab, lab.write({**QUICK, "max_steps": 100_000}))
    try:
        with pytest.raises(InputError, match=str(process.pid)), lab.workspace.alone():
            pass  # whoever would clean up sees that somebody is at work
        process.send_signal(number)
        _, errors = process.communicate(timeout=300)
    finally:
        process.kill()
        process.wait()
    assert not lab.kept()
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "Traceback" not in errors
        assert not lab.leftovers()
    else:
        assert process.returncode == -number
    (result,) = lab.train(lab.write(QUICK))  # the next one sweeps, takes the lock and trains
    assert result.trained
    assert not lab.leftovers()


SUITE = """\
id: mine
samples: {source: jsonl, path: asked.jsonl}
ask: {max_new_tokens: 4, temperature: 0}
measure: [answer_match]
gates:
  - GATE
"""


def prepare_then(lab, gate, **then):
    rows = [{"id": f"q{i}", "prompt": f"Who keeps light {i}?", "target": ["Maren"]} for i in range(6)]
    (lab.folder / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (lab.folder / "mine.yaml").write_text(SUITE.replace("GATE", gate))
    (lab.folder / "harness.yaml").write_text("policies:\n  own:\n    suites: [./mine.yaml]\n")
    return str(lab.write(QUICK, then=then))


def test_then_runs_suites(lab, command):
    path = prepare_then(lab, "{metric: answer_match, max_unscored: 0.5}", run=["./mine.yaml"])
    code, text = command(path, "--json")
    document = json.loads(text)
    assert code == 0
    (run,) = document["runs"]
    assert run["suite"] == "mine"
    assert run["candidate"]["adapters"][0]["id"] == document["stages"][0]["adapter"]["id"]
    assert document["decision"] is None
    assert not document["promoted"]
    assert json.loads(command(path, "--json", "--no-then")[1])["runs"] == []


def test_then_runs_open_samples_alone_where_a_policy_hides_some(lab, command):
    path = prepare_then(lab, "{metric: answer_match, max_unscored: 0.5}", run=["./mine.yaml"])
    (lab.folder / "harness.yaml").write_text(
        "policies:\n  own:\n    suites: [{suite: ./mine.yaml, deciding: 0.5}]\n"
    )  # fmt: skip
    code, text = command(path, "--json")
    (run,) = json.loads(text)["runs"]
    hidden = [f"q{i}" for i in range(6) if is_deciding(None, 0.5, f"q{i}")]
    assert code == 0
    assert hidden
    asked = {one.sample.id for one in read_samples(lab.workspace, run["id"])}
    assert asked == {f"q{i}" for i in range(6)} - set(hidden)


def test_then_promotes_nothing_while_a_suite_that_the_recipe_runs_fails(lab, command):
    path = prepare_then(
        lab, "{metric: answer_match, max_unscored: 0.5}", run=["./strict.yaml"], policy="own", promote="if-passed"
    )
    failing = SUITE.replace("GATE", "{metric: answer_match, min: 0.9, evidence: point}").replace("mine", "strict")
    (lab.folder / "strict.yaml").write_text(failing)
    code, text = command(path, "--json")
    document = json.loads(text)
    assert (code, document["decision"]["status"], document["promoted"]) == (1, "passed", False)


@pytest.mark.parametrize(
    ("gate", "status", "code"),
    [
        ("{metric: answer_match, max_unscored: 0.5}", "passed", 0),
        ("{metric: answer_match, min: 0.9, evidence: point}", "failed", 1),
    ],
)
def test_then_decides_and_promotes_what_passed(lab, command, gate, status, code):
    path = prepare_then(lab, gate, policy="own", promote="if-passed")
    found, text = command(path, "--json")
    document = json.loads(text)
    assert found == code
    assert document["decision"]["status"] == status
    assert document["promoted"] is (status == "passed")
    from harness.store.adapters import promoted

    live = promoted(lab.workspace)
    assert (live is not None) is (status == "passed")
    if live is not None:
        assert live.adapters[0].id == document["stages"][0]["adapter"]["id"]


def test_who_plays_a_role_is_said_on_the_command_line_too(lab, command, monkeypatch):
    seen = []
    monkeypatch.setattr("harness_training.runner.train", lambda _, setting: seen.append(setting.roles) or ())
    path = str(lab.write(QUICK))
    assert command(path, "--role", "judge=echo:", "--no-then")[0] == 0
    assert seen[0]["judge"].model == "echo:"
    assert not seen[0]["judge"].default  # it comes before the recipe's own
    with pytest.raises(InputError, match="judge"):
        command(path, "--role", "jugde=echo:")
