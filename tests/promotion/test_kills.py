"""Killed at any instruction, the workspace is whole: the old state or the new one, and the ledger verifies."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

KILLER = Path(__file__).with_name("killer.py")


def kill(workspace, *arguments: object) -> dict[str, int]:
    workspace.close()
    done = subprocess.run(
        [sys.executable, str(KILLER), str(workspace.root), *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_killed_before_chosen_steps_towards_the_disk(workspace):
    """Walks through the whole sequence, dying before one of every five calls that open, write, sync, rename or query."""
    found = kill(workspace, "events", 200, 1, 5)
    assert found["kills"] >= 26
    assert found["finished"] == 1, "the walk did not reach the end of the sequence"


def test_killed_at_random_moments(workspace):
    assert kill(workspace, "random", 12, 2)["kills"] >= 4


def test_killed_within_real_commands(workspace):
    """`harness run`, `decide`, `promote` and `rollback` themselves, killed at random moments."""
    assert kill(workspace, "commands", 8, 5)["kills"] >= 3


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_before_every_step_and_at_hundreds_of_random_moments(workspace):
    found = kill(workspace, "events", 2000, 3, 1)
    assert found["finished"] == 1
    kills = kill(workspace, "random", 300, 4)["kills"]
    kills += kill(workspace, "commands", 120, 6)["kills"]
    assert kills >= 300
