"""Several commands in one workspace at once, each a real process."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from harness.store.workspace import Workspace
from tests.cli.adapters import write_adapter

CONFIG = """\
model: "slow:"
policy: mine
plugins: [./slow.py]
policies:
  mine: {suites: [tiny.yaml]}
  other: {suites: [tiny.yaml], alpha: 0.04}
"""
SLOW = """\
import os, time
from pathlib import Path
from harness import hookimpl
from harness_models.echo import EchoModel

class Slow(EchoModel):
    def answer(self, candidate, requests, deliver):
        Path(f"asked-{os.getpid()}").touch()
        while Path("wait").exists():
            time.sleep(0.02)
        super().answer(candidate, requests, deliver)

@hookimpl
def register_models(register):
    register("slow", Slow, about="waits for a file to go")
"""


@pytest.fixture
def home(cli):
    cli.write("harness.yaml", CONFIG)
    cli.write("slow.py", SLOW)
    for name, weight in (("one", 1.0), ("two", 2.0), ("three", 3.0)):
        write_adapter(cli.folder / name, weight)
    return cli


def start(home, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "harness.cli.main", *arguments]
    return subprocess.Popen(command, cwd=home.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until_asking(home, count: int) -> None:
    deadline = time.monotonic() + 240
    while len(list(home.folder.glob("asked-*"))) < count:
        assert time.monotonic() < deadline, "the commands did not come as far as their models"
        time.sleep(0.02)


def ended(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        _, complaint = process.communicate(timeout=300)
        assert (process.returncode, complaint) == (0, "")


def test_two_runs_of_one_suite_in_a_new_workspace_both_end_well(home):
    (home.folder / "wait").touch()
    processes = [start(home, "run", "tiny.yaml", "--adapter", "./one") for _ in range(2)]
    until_asking(home, 2)
    (home.folder / "wait").unlink()
    ended(processes)
    assert home("ledger", "verify") == 0, home.err
    workspace = Workspace.open(home.folder / ".harness")
    rows = [entry.body["run"] for entry in workspace.ledger.entries("run")]
    assert sorted(rows) == sorted(path.name for path in workspace.runs.iterdir())
    assert len(rows) == len(set(rows)) == 2
    workspace.close()


def test_promote_and_rollback_need_not_wait_for_a_run(home):
    for name in ("one", "two"):
        assert home("decide", "--adapter", f"./{name}") == 0, home.err
        assert home("promote", "latest") == 0, home.err
    for path in home.folder.glob("asked-*"):
        path.unlink()
    (home.folder / "wait").touch()
    long = start(home, "run", "tiny.yaml", "--adapter", "./three")
    until_asking(home, 1)
    assert home("rollback") == 0, home.err
    assert home("status") == 0
    assert "+ ./one" in home.out
    assert long.poll() is None
    assert home("cache", "prune", "--keep", "0") == 2
    assert f"process {long.pid} (harness run" in home.err
    (home.folder / "wait").unlink()
    ended([long])
    assert home("ledger", "verify") == 0, home.err


def test_attempts_that_are_made_at_once_are_counted_one_by_one(home):
    (home.folder / "wait").touch()
    processes = [start(home, "decide", "--adapter", f"./{name}") for name in ("one", "two", "three")]
    until_asking(home, 3)
    (home.folder / "wait").unlink()
    ended(processes)
    workspace = Workspace.open(home.folder / ".harness")
    assert sorted(entry.body["attempt"] for entry in workspace.ledger.entries("attempt")) == [1, 2, 3]
    assert len(workspace.ledger.entries("decision")) == 3
    workspace.close()


def test_runs_that_end_in_the_same_instant_are_two(cli, monkeypatch):
    from harness.evaluation import runner

    class Standing(runner.datetime):
        @classmethod
        def now(cls, tz=None):
            return runner.datetime(2026, 11, 22, 10, tzinfo=tz)

    monkeypatch.setattr(runner, "datetime", Standing)
    for _ in range(2):
        assert cli("run", "tiny.yaml", "--model", "echo:") == 0, cli.err
    workspace = Workspace.open(cli.folder / ".harness")
    assert len(list(workspace.runs.iterdir())) == 2
    workspace.close()
