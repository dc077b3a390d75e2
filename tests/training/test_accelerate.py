"""A recipe under `accelerate launch` and `torchrun` on the CPU: unchanged, and with the same adapter."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import yaml

from tests.training.conftest import chat_rows, write_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
pytest.importorskip("accelerate")


def trained(launcher, folder, workspace):
    command = [
        *launcher, "harness.cli.main", "train", "recipe.yaml", "--device", "cpu", "--offline", "--workspace", workspace,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    (adapter,) = (folder / workspace / "artifacts" / "adapter").iterdir()
    return adapter


TOGETHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]


def test_two_processes_train_what_one_does_with_batches_twice_as_large(tmp_path, tiny_llama):
    from safetensors.torch import load_file

    write_rows(tmp_path / "rows.jsonl", (chat_rows() * 8)[:8])
    adapters = {}
    for name, launcher, rows in (("alone", [sys.executable, "-m"], 8), ("together", TOGETHER, 4)):
        sft = {"data": "rows.jsonl", "epochs": 2, "learning_rate": 0.01, "batch_size": rows, "dtype": "float32",
               "dropout": 0.0}  # fmt: skip
        merge = {"merge": {}}
        recipe = {"id": "launched", "base": str(tiny_llama), "separation": "off", "stages": [{"sft": sft}, merge]}
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        adapters[name] = trained(launcher, tmp_path, name)
    one, two = (load_file(str(folder / "adapter_model.safetensors")) for folder in adapters.values())
    apart = sum(((one[key] - two[key]) ** 2).sum().item() for key in one) ** 0.5
    learned = sum((one[key] ** 2).sum().item() for key in one if "lora_B" in key) ** 0.5
    assert apart < 0.05 * learned
    figures = json.loads((adapters["together"] / "artifact.json").read_text())["figures"]
    assert figures["processes"] == 2
    assert figures["steps"] == 2
    # The first process alone has merged, and once more there is nothing to do for either.
    assert len(list((tmp_path / "together" / "artifacts" / "model").iterdir())) == 1
    assert trained(TOGETHER, tmp_path, "together") == adapters["together"]


def test_one_process_trains_the_same_adapter(tmp_path, tiny_llama):
    write_rows(tmp_path / "rows.jsonl", chat_rows())
    sft = {"data": "rows.jsonl", "max_steps": 3, "learning_rate": 0.01, "batch_size": 2, "dtype": "float32"}
    recipe = {"id": "launched", "base": str(tiny_llama), "separation": "off", "stages": [{"sft": sft}]}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    plain = trained([sys.executable, "-m"], tmp_path, "plain")
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1", "--num_machines", "1",
              "--mixed_precision", "no", "--dynamo_backend", "no", "--num_cpu_threads_per_process", "1", "-m"]  # fmt: skip
    launched = trained(launch, tmp_path, "launched")
    one, other = ((folder / "adapter_model.safetensors").read_bytes() for folder in (plain, launched))
    assert one == other
