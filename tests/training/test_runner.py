"""Recipes: outcomes whole or absent, unchanged stages reused, everything named by hash."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from harness.errors import BrokenRunError, InputError
from harness.plugins import BUNDLED
from harness.store.adapters import adapter_id
from harness.store.artifacts import read_artifact

QUICK = {"data": "rows.jsonl", "max_steps": 3, "batch_size": 2, "learning_rate": 0.01, "dtype": "float32"}


def weights(folder):
    from safetensors.numpy import load_file

    return load_file(str(folder / "adapter_model.safetensors"))


def test_training_moves_the_adapter_and_leaves_the_base(lab):
    before = (lab.base / "model.safetensors").read_bytes()
    (result,) = lab.train(lab.write(QUICK))
    assert result.trained
    assert not result.reused
    folder = lab.workspace.artifacts / "adapter" / result.adapter.id
    tensors = weights(folder)
    assert len(tensors) == 2 * 2 * 2  # layers × (q_proj, v_proj) × (A, B)
    assert all(tensor.any() for name, tensor in tensors.items() if "lora_B" in name)  # B starts at zero
    assert (lab.base / "model.safetensors").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors", "artifact.json",
    ]  # fmt: skip
    assert adapter_id(folder) == result.adapter.id
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["lora_dropout"]) == (16, 32, 0.1)
    assert config["target_modules"] == ["q_proj", "v_proj"]
    assert not lab.leftovers()


def test_the_record_names_everything_by_hash(lab):
    (result,) = lab.train(lab.write(QUICK, seed=7))
    record = read_artifact(lab.workspace.artifacts / "adapter" / result.adapter.id)
    assert record == result.record
    assert record.seed == 7
    assert record.stage == "sft"
    assert len(record.inputs["data"]) == len(record.inputs["base"]) == len(record.key) == 64
    assert "adapter" not in record.inputs
    assert record.outputs == {"adapter": result.adapter.id}
    assert {"harness", "harness_stages", "torch", "transformers", "peft", "trl"} <= set(record.versions)
    assert record.figures["steps"] == 3
    assert record.figures["rows"] == 6
    assert record.figures["peak_memory_bytes"] > 1e6


def test_the_same_seed_gives_the_same_adapter_and_another_seed_another(lab):
    path = lab.write(QUICK)
    first = lab.train(path)[0].adapter.id
    shutil.rmtree(lab.workspace.artifacts / "adapter" / first)
    assert lab.train(path)[0].adapter.id == first
    assert lab.train(path, seed=1)[0].adapter.id != first


def test_an_unchanged_stage_is_reused(lab):
    path = lab.write(QUICK)
    first = lab.train(path)[0]
    bars = len(lab.progress.bars)
    second = lab.train(path)[0]
    assert second.reused
    assert second.adapter == first.adapter
    assert second.record == first.record
    assert len(lab.progress.bars) == bars
    assert lab.train(path, force=True)[0].trained


def test_reuse_follows_content_not_names(lab):
    path = lab.write(QUICK)
    first = lab.train(path)[0]
    (lab.folder / "rows.jsonl").rename(lab.folder / "moved.jsonl")
    assert lab.train(lab.write({**QUICK, "data": "moved.jsonl"}))[0].reused
    text = (lab.folder / "moved.jsonl").read_text().replace("blue", "red")
    (lab.folder / "moved.jsonl").write_text(text)
    changed = lab.train(lab.write({**QUICK, "data": "moved.jsonl"}))[0]
    assert changed.trained
    assert changed.adapter.id != first.adapter.id


@pytest.mark.parametrize("change", [{"learning_rate": 0.02}, {"max_steps": 4}, {"system": "Be brief."}])
def test_a_changed_option_is_trained_anew(lab, change):
    lab.train(lab.write(QUICK))
    (result,) = lab.train(lab.write({**QUICK, **change}), dry_run=True)
    assert not result.reused


def test_reuse_imports_no_torch(lab):
    path = lab.write(QUICK)
    lab.train(path)
    unused = [f"no:{name}" for name in BUNDLED if name not in {"harness_models", "harness_stages"}]
    code = f"""
import sys
from pathlib import Path
from harness.contracts import RunContext
from harness.plugins import load_plugins
from harness.progress import NoProgress
from harness_training.recipe import read_recipe
from harness.store.workspace import Workspace
from harness_training.runner import TrainSetting, train
ws = Workspace.open({str(lab.workspace.root)!r})
setting = TrainSetting(plugins=load_plugins({unused!r}, installed=False), workspace=ws, progress=NoProgress(), device="cpu",
    context=RunContext(offline=True, weights=Path({str(lab.folder / "weights")!r})))
(result,) = train(read_recipe(Path({str(path)!r})), setting)
assert result.reused
heavy = {{"torch", "transformers", "peft", "trl", "datasets", "pandas"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_a_damaged_outcome_is_not_reused(lab):
    path = lab.write(QUICK)
    first = lab.train(path)[0]
    file = lab.workspace.artifacts / "adapter" / first.adapter.id / "adapter_model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 0xFF
    file.write_bytes(bytes(data))
    again = lab.train(path)[0]
    assert again.trained
    assert "no longer what was stored" in again.note
    assert again.adapter.id == first.adapter.id
    assert adapter_id(lab.workspace.artifacts / "adapter" / first.adapter.id, fresh=True) == first.adapter.id


def test_a_dry_run_trains_nothing(lab):
    (result,) = lab.train(lab.write(QUICK), dry_run=True)
    assert not result.reused
    assert not result.trained
    assert result.adapter is None
    assert not lab.kept()


def test_the_second_stage_continues_the_first(lab):
    first, second = lab.train(lab.write(QUICK, {**QUICK, "max_steps": 2, "learning_rate": 0.005}))
    assert second.record.inputs["adapter"] == first.adapter.id
    assert second.adapter.id != first.adapter.id
    again = lab.train(lab.write(QUICK, {**QUICK, "max_steps": 2, "learning_rate": 0.005}))
    assert [result.reused for result in again] == [True, True]
    changed = lab.train(lab.write({**QUICK, "max_steps": 4}, {**QUICK, "max_steps": 2, "learning_rate": 0.005}))
    assert [result.reused for result in changed] == [False, False]  # what stands on a changed stage changed, too


def test_a_recipe_starts_from_an_adapter_by_id_or_path(lab):
    first = lab.train(lab.write(QUICK))[0]
    small = {**QUICK, "max_steps": 1}
    by_id = lab.train(lab.write(small, adapter=first.adapter.id[:8]))[0]
    assert by_id.record.inputs["adapter"] == first.adapter.id
    shutil.copytree(first.adapter.path, lab.folder / "mine")
    assert lab.train(lab.write(small, adapter="./mine"))[0].reused


def test_an_adapter_of_another_base_is_refused(lab, tmp_path, make_llama):
    first = lab.train(lab.write(QUICK))[0]
    lab.base = make_llama(tmp_path / "other", seed=1)
    with pytest.raises(InputError, match=r"recipe.yaml:\d+: adapter: .*trained on another base"):
        lab.train(lab.write(QUICK, adapter=first.adapter.id))
    lab.base = make_llama(tmp_path / "wider", hidden=64)
    copy = lab.folder / "mine"
    shutil.copytree(first.adapter.path, copy)
    (copy / "artifact.json").unlink()  # nothing says which base it is for, so the shapes must
    with pytest.raises(InputError, match="own base"):
        lab.train(lab.write(QUICK, adapter="./mine"))
    assert not lab.leftovers()


def test_every_stage_is_checked_before_the_first_trains(lab):
    with pytest.raises(InputError, match=r"stages\[1\].sft.learning_rat: unknown key; did you mean 'learning_rate'"):
        lab.train(lab.write(QUICK, {**QUICK, "learning_rat": 1}))
    assert not lab.progress.bars


def test_names_are_answered_with_the_nearest(lab):
    with pytest.raises(InputError, match=r"recipe.yaml:\d+: stages\[0\]: no stage is called 'stf'; did you mean 'sft'"):
        lab.train(lab.write({"stf": QUICK}))
    with pytest.raises(InputError, match=r"recipe.yaml:\d+: base: .*smollm2-135m"):
        lab.train(lab.write(QUICK, base="smollm-135m"))
    with pytest.raises(InputError, match="cannot be trained here"):
        lab.train(lab.write(QUICK, base="openai:m@http://127.0.0.1:1/v1"))


def test_a_loss_that_is_no_number_keeps_nothing(lab):
    with pytest.raises(BrokenRunError, match="lower learning_rate"):
        lab.train(lab.write({**QUICK, "alpha": 1e40}))  # beyond float32
    assert not lab.kept()


def test_progress_shows_the_loss_and_is_closed(lab):
    lab.train(lab.write(QUICK))
    (bar,) = lab.progress.bars
    assert bar["total"] == bar["done"] == 3
    assert bar["finished"]
    assert all(note.startswith("loss ") for note in bar["notes"])


def test_training_teaches(lab):
    (result,) = lab.train(lab.write({**QUICK, "max_steps": None, "epochs": 12, "dropout": 0.0, "batch_size": 6}))
    assert result.record.figures["loss_last"] < result.record.figures["loss_first"] - 0.3


def test_an_interrupt_leaves_the_workspace_whole(lab, monkeypatch):
    from harness_stages import sft_training

    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(sft_training, "save_adapter", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lab.train(lab.write(QUICK))
    assert not lab.kept()
    monkeypatch.undo()
    assert lab.train(lab.write(QUICK))[0].trained


def test_a_stage_that_is_trained_again_takes_as_many_threads_as_before(lab, monkeypatch):
    import torch

    from harness.threads import FreeCores

    before = torch.get_num_threads()
    path = lab.write(QUICK)
    try:
        monkeypatch.setattr(FreeCores, "threads", lambda self, width: 3)
        first = lab.train(path)[0]
        assert (
            json.loads((lab.workspace.artifacts / "adapter" / first.adapter.id / "artifact.json").read_text())[
                "figures"
            ]["threads"]
            == 3
        )
        monkeypatch.setattr(FreeCores, "threads", lambda self, width: 1)
        assert lab.train(path, force=True)[0].record.figures["threads"] == 3
        assert torch.get_num_threads() == 3
        assert lab.train(path, seed=7)[0].record.figures["threads"] == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("added", ["model.norm.weight", "model.layers.9.self_attn.q_proj.lora_A.weight"])
def test_an_adapter_that_a_stage_wrote_holds_only_what_its_configuration_and_the_base_explain(lab, monkeypatch, added):
    import numpy as np
    from safetensors.numpy import save_file

    from harness_stages import sft_training

    real = sft_training.train_sft

    def and_more(inputs, plan):
        output = real(inputs, plan)
        tensors = weights(output.adapter)
        more = {f"base_model.model.{added}": np.ones((16, 32), np.float32)}
        save_file({**tensors, **more}, str(output.adapter / "adapter_model.safetensors"))
        return output

    monkeypatch.setattr(sft_training, "train_sft", and_more)
    with pytest.raises((InputError, BrokenRunError), match=added.partition(".lora_")[0]):
        lab.train(lab.write(QUICK))
    assert not [path for path in lab.workspace.adapters.iterdir() if path.is_dir()]
    assert not lab.leftovers()
