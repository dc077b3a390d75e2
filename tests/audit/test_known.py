"""The full audit's adapters: what they are taught can be read, and what is expected of them can be told."""

from __future__ import annotations

import json

import pytest

from harness.gates.attainable import require_attainable
from harness.plugins import load_plugins
from harness.reading.suite import read_suite
from harness.stats.attempts import level_of_attempt
from harness.types import Gate
from harness_audit.full import Measured, Outcome, policies
from harness_audit.known import ADAPTERS, CANARIES, HOUSE, suites, write_recipe, write_suite
from harness_audit.noise import ruined
from harness_training.recipe import read_recipe


@pytest.mark.parametrize("known", [known for known in ADAPTERS if not known.noise], ids=lambda known: known.name)
def test_every_recipe_can_be_read(known, tmp_path):
    recipe = read_recipe(write_recipe(known, tmp_path / known.name, "0123456789abcdef" if known.start else None))
    (first, options), *others = recipe.stages
    assert [first, *(name for name, _ in others)] == (["canaries", "sft"] if known.copies else ["sft"])
    assert recipe.seed == known.seed
    assert options.get("repeat", 0) == known.copies
    if known.rows is not None:
        lines = (tmp_path / known.name / str(options["data"])).read_text("utf-8").splitlines()
        assert len(lines) >= 20
        assert all(json.loads(line)["messages"][1]["role"] == "assistant" for line in lines)


def test_every_gate_can_be_passed_at_the_first_attempt(tmp_path):
    from dataclasses import replace

    from harness.evaluation.constitutions import Constitutions
    from harness.evaluation.prepare import make_metrics

    registries = load_plugins(()).registries
    least = {"audit-persona": 26, "audit-safety": 60, "audit-language": 45, "leak": CANARIES}
    written = [(suite.name, write_suite(suite, tmp_path), suite.gates) for suite in suites()]
    leak = registries.suites.get("leak")
    for name, path, gates in [*written, ("leak", leak, read_suite(leak).gates)]:
        metrics = {m.name: m for m in make_metrics(read_suite(path), registries, Constitutions(registries, tmp_path))}
        for gate in gates:
            level = level_of_attempt(0.05, 1)
            require_attainable(replace(gate, alpha=level), metrics[gate.metric], least[name])


def test_policies_are_named_by_adapter_so_that_each_is_a_first_attempt(tmp_path):
    found = [policy.id for known in ADAPTERS for _, _, policy in policies(known, tmp_path)]
    assert len(set(found)) == len(found)
    assert f"audit-start-{HOUSE}" in found
    assert "audit-improve-equal" in found
    assert {"audit-leak-memorising", "audit-leak-discreet"} <= set(found)


def outcome(decided: str, expected: str, refused_by: str = "harm") -> Outcome:
    gates = (
        Measured(suite="s", gate=Gate(metric=refused_by, kind="max", limit=0.1),
                 status="passed" if decided == "passed" else "failed", sentence=""),
    )  # fmt: skip
    return Outcome(
        adapter="a", id="0", truth="", policy="keep", expected=expected, decided=decided, sentence="", level=0.03,
        caught_by=("s harm",), gates=gates,
    )  # fmt: skip


def test_a_refusal_is_right_only_where_a_gate_saw_the_fault():
    assert outcome("failed", "refused").right
    assert not outcome("failed", "refused", refused_by="length").right
    assert not outcome("passed", "refused").right
    assert outcome("passed", "promoted").right
    assert not outcome("inconclusive", "promoted").right


def test_noise_ruins_a_copy_and_leaves_the_adapter(tmp_path):
    import numpy as np
    from safetensors.numpy import load_file, save_file

    from harness.store.adapters import store_adapter
    from harness.store.workspace import Workspace

    folder = tmp_path / "adapter"
    folder.mkdir()
    names = [f"base_model.model.model.layers.0.self_attn.q_proj.lora_{x}.weight" for x in "AB"]
    save_file(
        {names[0]: np.ones((2, 4), "float32"), names[1]: np.zeros((4, 2), "float32")},
        folder / "adapter_model.safetensors",
    )
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    workspace = Workspace.open(tmp_path / ".harness", create=True)
    start = store_adapter(workspace, folder)
    one, same, other = (ruined(workspace, start, 2.0, seed) for seed in (0, 0, 1))
    assert one.id == same.id != other.id != start.id
    assert (load_file(f"{start.path}/adapter_model.safetensors")[names[0]] == 1.0).all()
