"""Which processes train together, as the launcher's environment says."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from harness.errors import BrokenRunError, InputError
from harness.plugins import load_plugins
from harness_training.team import Team

LASTING = '''
"""A stage that is stopped half-way, until it is told to end."""

from harness import hookimpl
from harness.api import BrokenRunError, Stage, StageOutput


class Lasting(Stage):
    """Writes what it finds in its folder of checkpoints."""

    writes = ("dataset",)
    together = True

    def check(self, inputs):
        pass

    def inputs(self, inputs):
        return {}

    def run(self, inputs):
        place = inputs.checkpoints / "noted"
        found = place.read_text() if place.exists() else ""
        if not (inputs.recipe_path.parent / "end").exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(found + "I")
            raise BrokenRunError("stopped")
        path = inputs.output / "rows.jsonl"
        path.write_text(found)
        return StageOutput(dataset=path)


@hookimpl
def register_stages(register):
    register("lasting", Lasting)
'''


@dataclass(frozen=True, kw_only=True)
class Leader(Team):
    """The first of several processes, whose word nobody else waits for."""

    def agreed(self, *, word):
        return word


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


@pytest.mark.parametrize(("size", "found"), [(1, "I"), (2, "II"), (3, "")])
def test_what_one_process_noted_is_not_what_several_noted(lab, size, found):
    """Stopped once alone and twice as two, a stage goes on from what as many processes noted; then all is cleared."""
    (lab.folder / "lasting.py").write_text(LASTING)
    plugins = load_plugins([str(lab.folder / "lasting.py")], installed=False)
    recipe = lab.write({"lasting": {}})
    for stopped in (1, 2, 2):
        with pytest.raises(BrokenRunError, match="stopped"):
            lab.train(recipe, plugins=plugins, team=Leader(rank=0, size=stopped))
    (lab.folder / "end").touch()
    (result,) = lab.train(recipe, plugins=plugins, team=Leader(rank=0, size=size))
    assert result.kept["dataset"].path.read_text() == found
    assert not any((lab.workspace.root / "checkpoints").iterdir())
