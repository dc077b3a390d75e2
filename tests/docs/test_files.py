"""Every file in docs/files.md can be read as what it says it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.contracts import SourceInput
from harness.evaluation.constitutions import Constitutions
from harness.evaluation.prepare import make_metrics
from harness.gates.by_principle import of_each
from harness.gates.valid import find_metric, require_valid
from harness.plugins import load_plugins
from harness.reading.config import read_config
from harness.reading.constitution import read_constitution
from harness.reading.suite import read_suite
from harness_training.recipe import read_recipe

TEXT = (Path(__file__).parents[2] / "docs" / "files.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"```yaml\n# (\S+\.yaml)\n(.*?)```", TEXT, re.DOTALL))
SAMPLES = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def registries():
    return load_plugins(installed=False).registries


def test_every_kind_of_file_is_shown():
    assert set(BLOCKS) == {
        "suite.yaml",
        "shots.yaml",
        "talk.yaml",
        "orders.yaml",
        "roles.yaml",
        "constitution.yaml",
        "recipe.yaml",
        "harness.yaml",
    }
    assert len(SAMPLES) == 1


def test_the_suite_is_read_and_its_gates_make_sense(tmp_path, registries):
    path = tmp_path / "suite.yaml"
    path.write_text(BLOCKS["suite.yaml"])
    suite = read_suite(path)
    metrics = make_metrics(suite, registries, Constitutions(registries, tmp_path))
    assert {gate.kind for gate in suite.gates} == {kind.name for kind in registries.gate_kinds}
    for written in suite.gates:
        for gate in of_each(written, metrics):
            require_valid(gate, find_metric(gate.metric, metrics))


def test_the_conversation_and_the_roles_are_read(tmp_path):
    (tmp_path / "talk.yaml").write_text(BLOCKS["talk.yaml"])
    section = read_suite(tmp_path / "talk.yaml").conversation
    assert section is not None
    assert len(section.turns) == 2
    (tmp_path / "talk.yaml").write_text(
        BLOCKS["talk.yaml"]
        .replace("conversation", "# conversation", 1)
        .replace("# conversation: {u", "conversation: {u")
    )
    section = read_suite(tmp_path / "talk.yaml").conversation
    assert section is not None
    assert section.max_turns == 4
    (tmp_path / "harness.yaml").write_text(BLOCKS["roles.yaml"])
    roles = read_config(tmp_path).roles
    assert roles["reviser"].adapters == ("./reviser",)
    assert roles["user"].model is None


def test_the_samples_are_read(tmp_path, registries):
    path = tmp_path / "samples.jsonl"
    path.write_text(SAMPLES[0])
    assert len(list(registries.sources.get("jsonl")(SourceInput(path=path)))) == 4


def test_the_constitution_is_read(tmp_path, registries):
    path = tmp_path / "constitution.yaml"
    path.write_text(BLOCKS["constitution.yaml"])
    assert [p.weight for p in read_constitution(path, registries.principles).principles] == pytest.approx([0.7, 0.3])


def test_the_recipe_is_read(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(BLOCKS["recipe.yaml"])
    assert read_recipe(path).then.policy == "demo"


def test_the_configuration_is_read(tmp_path):
    (tmp_path / "harness.yaml").write_text(BLOCKS["harness.yaml"])
    assert read_config(tmp_path).policies["mine"].suites[2].limit == 120


def test_the_template_of_harness_init_is_read(tmp_path):
    from harness_start.init import TEMPLATE

    (tmp_path / "harness.yaml").write_text(TEMPLATE)
    assert read_config(tmp_path).policy == "demo"
