"""A recipe under `accelerate launch`, as one process on the CPU: unchanged, and with the same adapter."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import yaml

from tests.training.conftest import chat_rows, write_rows

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


@pytest.mark.slow
@pytest.mark.timeout(600)
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


def test_several_processes_are_refused_before_anything_is_trained(tmp_path, tiny_llama, monkeypatch):
    from harness import open as open_session
    from harness.errors import InputError

    write_rows(tmp_path / "rows.jsonl", chat_rows())
    recipe = {"id": "two", "base": str(tiny_llama), "separation": "off", "stages": [{"sft": {"data": "rows.jsonl"}}]}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with (
        open_session(tmp_path) as session,
        pytest.raises(InputError, match=r"a launcher started 2 .* --num_processes 1"),
    ):
        session.train("recipe.yaml", dry_run=True)
    assert not (tmp_path / ".harness" / "artifacts").exists()
