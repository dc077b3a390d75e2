"""A dry run says what is known and where from; what nobody measured is unknown."""

from __future__ import annotations

import json

import pytest

from harness.threads import processor_name
from harness_start import hardware

SFT = {"data": "rows.jsonl", "epochs": 2, "batch_size": 2, "dtype": "float32"}


def told(lab, path, **changes):
    (result,) = lab.train(path, dry_run=True, **changes)
    return result.note


def test_steps_and_tokens_are_told_and_minutes_are_unknown_at_first(lab, monkeypatch, tmp_path):
    monkeypatch.setenv("HARNESS_WEIGHTS", str(tmp_path / "weights"))
    note = told(lab, lab.write(SFT))
    assert "6 rows, 6 steps, about" in note
    assert "memory unknown" in note
    assert "minutes unknown (harness doctor --hardware measures)" in note
    assert not lab.kept()


def test_an_earlier_training_tells_the_minutes(lab, monkeypatch, tmp_path):
    monkeypatch.setenv("HARNESS_WEIGHTS", str(tmp_path / "weights"))
    (made,) = lab.train(lab.write({**SFT, "epochs": 1}))
    note = told(lab, lab.write({**SFT, "epochs": 100}))
    assert f"by adapter {made.adapter.id}, trained here on this base" in note
    assert "300 steps" in note
    other = told(lab, lab.write({**SFT, "batch_size": 1}))
    assert "minutes unknown" in other  # of another size of a step nothing is known


def test_the_stored_measurement_tells_the_minutes_of_this_machine_alone(lab, monkeypatch, tmp_path):
    monkeypatch.setenv("HARNESS_WEIGHTS", str(tmp_path / "weights"))
    figures = {"training_flops": 1e9, "flops_per_parameter_and_token": 6.0, "bytes_per_parameter": 4.0}
    file = lab.workspace.root / "hardware.json"
    file.write_text(json.dumps({"processor": processor_name(), "figures": figures}))
    note = told(lab, lab.write(SFT))
    assert "by the measurement of harness doctor --hardware" in note
    assert "0.5 GiB" in note
    file.write_text(json.dumps({"processor": "another", "figures": figures}))
    assert "minutes unknown" in told(lab, lab.write(SFT))


def test_dpo_and_what_follows_another_stage_are_forecast_too(lab, monkeypatch, tmp_path):
    monkeypatch.setenv("HARNESS_WEIGHTS", str(tmp_path / "weights"))
    rows = [{"prompt": f"Q{n}?", "chosen": "Yes.", "rejected": "No."} for n in range(10)]
    (lab.folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = lab.write(SFT, {"dpo": {"data": "pairs.jsonl", "batch_size": 3}})
    first, second = lab.train(path, dry_run=True)
    assert "sft would take 6 rows" in first.note
    assert "dpo would take 9 rows, 3 steps" in second.note


@pytest.mark.slow
def test_a_measurement_proposes_what_it_measured(tmp_path, monkeypatch):
    from harness.progress import NoProgress

    monkeypatch.setattr(hardware, "_SECONDS", 0.05)
    monkeypatch.setattr(hardware, "_BATCHES", (1, 4))
    found = hardware.measure(NoProgress())
    assert found.figures["gflops_float32"] > 0
    assert found.proposals["precision"] in {"float32", "bfloat16"}
    assert found.proposals["batch_size"] in {1, 4}
    assert found.figures["training_flops"] > 0
    kept = json.loads(hardware.keep(found, tmp_path).read_text())
    assert kept["processor"] == processor_name()
    assert len(hardware.lines(found)) == 9
