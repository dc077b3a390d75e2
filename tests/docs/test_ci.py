"""The GitHub Actions example can be read, and each harness command in it exists; so do the exit codes of docs/ci.md."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import yaml

from harness import errors
from harness.cli.main import cli
from tests.docs.test_commands import parses

TEXT = (Path(__file__).parents[2] / "docs" / "ci.md").read_text(encoding="utf-8")
WORKFLOW = yaml.safe_load(re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)[1])


def test_the_workflow_has_what_github_asks_for():
    assert WORKFLOW[True] == {"pull_request": {"paths": ["adapters/**", "harness.yaml", "suites/**"]}}  # `on:` is true
    for job in WORKFLOW["jobs"].values():
        assert job["runs-on"]
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            if "uses" in step:
                assert re.fullmatch(r"[\w-]+(/[\w-]+)+@v\d+", step["uses"])


def test_the_workspace_is_saved_whatever_the_gates_said():
    """A job that fails saves nothing by itself, and its attempts would be forgotten."""
    steps = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]
    restore, save = (next(s for s in steps if s.get("uses") == f"actions/cache/{w}@v4") for w in ("restore", "save"))
    assert save["if"] == "always()"
    assert (save["with"]["path"], save["with"]["key"]) == (restore["with"]["path"], restore["with"]["key"])
    assert "run_attempt" in save["with"]["key"], "what a job saved is never overwritten, when it is run again neither"
    assert steps.index(save) > max(n for n, s in enumerate(steps) if "harness decide" in s.get("run", ""))


def test_its_commands_exist():
    lines = [
        line.strip()
        for job in WORKFLOW["jobs"].values() for step in job["steps"] for line in step.get("run", "").splitlines()
    ]  # fmt: skip
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("harness ")]
    assert len(commands) >= 3
    for words in commands:
        assert parses(cli, words), words


def test_the_exit_codes_are_those_of_the_code():
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)}
    assert documented == {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
