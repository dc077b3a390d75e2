"""`harness why` walks the graph of artifacts: what an adapter was made from, and what came of it."""

from __future__ import annotations

import json

import pytest

from harness.cli.main import run as harness_cli
from harness.store.artifacts import artifact_folder, artifacts
from harness_inspect.lineage import lineage

QUICK = {"data": "rows.jsonl", "max_steps": 3, "learning_rate": 0.01, "batch_size": 2, "dtype": "float32"}


@pytest.fixture
def trained(lab):
    """Two adapters, the second continuing the first."""
    return lab.train(lab.write({"sft": QUICK, "name": "upper"}, {"sft": {**QUICK, "learning_rate": 0.02}}))


def why(lab, capfd, *arguments):
    capfd.readouterr()
    code = harness_cli(["why", *arguments, "--workspace", str(lab.workspace.root)])
    said = capfd.readouterr()
    assert code in {0, 2}, said.err
    return code, said.out


def test_it_walks_backwards_and_forwards(lab, trained, capfd):
    first, second = (stage.adapter.id for stage in trained)
    code, text = why(lab, capfd, second[:8], "--json")
    assert code == 0, text
    (found,) = json.loads(text)["lineage"]
    assert (code, json.loads(text)["decision"]) == (0, None)
    (parent,) = found["origin"]["made_from"]
    assert (parent["role"], parent["artifact"]["id"]) == ("adapter", first)
    assert parent["files"] == {role: trained[0].record.inputs[role] for role in ("base", "data")}
    _, text = why(lab, capfd, first, "--json")
    (found,) = json.loads(text)["lineage"]
    assert [one["id"] for one in found["led_to"]] == [second]
    _, text = why(lab, capfd, second)
    assert "nothing was ever decided" in text
    assert f"adapter {first}, by sft of the recipe test, seed 0" in text


def test_it_ends_where_records_lead_in_a_circle(lab, trained):
    first, second = (stage.adapter.id for stage in trained)
    file = artifact_folder(lab.workspace, "adapter", first) / "artifact.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, "inputs": {"adapter": second}, "recipe": "[red]\x1b[31m"}))
    records = {record.id: record for record, _ in artifacts(lab.workspace)}
    found = lineage(lab.workspace, records[second])
    assert [one.artifact.id for one in found.origin.made_from] == [first]
    assert found.origin.made_from[0].made_from == ()
    assert [one.id for one in found.led_to] == [first]


def test_text_of_records_is_no_markup(lab, trained, capfd):
    file = artifact_folder(lab.workspace, "adapter", trained[0].adapter.id) / "artifact.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "recipe": "[red]\x1b[31mx"}))
    _, text = why(lab, capfd, trained[0].adapter.id)
    assert "[red]" in text
    assert "\x1b[31m" not in text


def test_what_nothing_answers_to_is_refused(lab, trained, capfd):
    assert why(lab, capfd, "0000nothing")[0] == 2
