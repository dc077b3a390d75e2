"""Which processes train together, as the launcher's environment says."""

from __future__ import annotations

import pytest

from harness.errors import InputError
from harness_training.team import Team


@pytest.fixture
def environment(monkeypatch):
    for name in ("WORLD_SIZE", "RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_one_process_is_a_team_of_its_own(environment):
    assert Team.of_environment() == Team(rank=0, size=1)
    environment.setenv("WORLD_SIZE", "1")
    assert Team.of_environment().leads
    assert Team().agreed(word=True)


def test_a_launcher_names_rank_and_size(environment):
    for name, value in {"WORLD_SIZE": "3", "RANK": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}.items():
        environment.setenv(name, value)
    assert Team.of_environment() == Team(rank=2, size=3)
    assert not Team.of_environment().leads


def test_a_size_that_no_launcher_set_is_refused(environment):
    environment.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="says 2 processes, and RANK is not set"):
        Team.of_environment()
