"""Critics that had a part in training what they judge."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from harness.evaluation.shared import shared_critics
from harness.store.artifacts import keep_artifact
from harness.store.workspace import Workspace
from harness.types import AdapterSpec, Artifact, BoundRole, Candidate, ModelSpec

BASE = ModelSpec(reference="tiny", scheme="hf", name="tiny")
CRITICS = {"judge": "a" * 64, "pii": "b" * 64}


def judge(folder: Path, **said: str) -> dict[str, BoundRole]:
    folder.mkdir()
    save_file({"x": np.zeros(1, np.float32)}, folder / "adapter_model.safetensors", said)
    who = Candidate(model=BASE, adapters=(AdapterSpec(id=folder.name, path=str(folder), reference=folder.name),))
    return {"judge": BoundRole(candidate=who, by="test", fingerprint="c" * 64)}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / ".harness", create=True)


def candidate(workspace: Workspace, tmp_path: Path, **inputs: str) -> Candidate:
    """Return a candidate whose adapter was trained on a dataset that a stage with these inputs made."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text("{}\n")
    record = Artifact(
        kind="dataset", stage="revise", inputs={name.replace("_", " "): value for name, value in inputs.items()}
    )
    dataset = keep_artifact(workspace, record, {"rows.jsonl": rows})
    folder = tmp_path / "trained"
    folder.mkdir()
    record = Artifact(kind="adapter", id="f" * 16, stage="sft", inputs={"dataset": dataset.id})
    (folder / "artifact.json").write_text(
        json.dumps({"kind": "adapter", "id": "f" * 16, "stage": "sft", "inputs": record.inputs})
    )
    return Candidate(model=BASE, adapters=(AdapterSpec(id="f" * 16, path=str(folder), reference="trained"),))


def shared(workspace, who, roles) -> dict[str, str]:
    return shared_critics(workspace, who, CRITICS, roles, asking={"judge"})


def test_what_had_no_part_is_free(workspace, tmp_path):
    roles = judge(tmp_path / "own", family="gating", data="d" * 64)
    assert shared(workspace, Candidate(model=BASE), roles) == {}
    who = candidate(workspace, tmp_path, role_judge="e" * 64, family_of_judge="training", role_reviser="c" * 64)
    assert shared(workspace, who, roles) == {}


@pytest.mark.parametrize(("inputs", "critics", "why"), [
    ({"whole_critic_pii": "b" * 64}, {"pii"}, "it judged for the stage revise"),
    ({"role_judge": "c" * 64}, {"judge"}, "its judge judged for the stage revise"),
    ({"family_of_reviser": "gating"}, {"judge"}, "its judge and the revise stage's learned from the same family (gating)"),
    ({"data_of_judge": "d" * 64}, {"judge"}, "learned from the same data (dddddddddddddddd)"),
])  # fmt: skip
def test_what_had_a_part_is_found_behind_datasets(workspace, tmp_path, inputs, critics, why):
    roles = judge(tmp_path / "own", family="gating", data="d" * 64)
    found = shared(workspace, candidate(workspace, tmp_path, **inputs), roles)
    assert set(found) == critics
    assert why in next(iter(found.values()))
