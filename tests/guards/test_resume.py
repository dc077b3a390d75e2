"""A training that was stopped goes on from its checkpoint, and ends with the very same adapter."""

from __future__ import annotations

import errno
import json
import shutil
import signal
import subprocess
import sys

import pytest

from harness.errors import BrokenRunError
from harness_stages import resuming
from harness_stages.watcher import Watcher

SFT = {"data": "rows.jsonl", "epochs": 2, "batch_size": 2, "learning_rate": 0.01, "dtype": "float32", "validation": 0.2,
       "patience": 50, "evaluate_every": 2}  # fmt: skip
PAIRS = [{"prompt": f"Question {n}?", "chosen": f"Yes, {n}.", "rejected": f"No, {n} it is not."} for n in range(8)]
PROMPTS = [{"prompt": f"Say {n}."} for n in range(6)]
STAGES = {
    "sft": {"sft": SFT},
    "packed": {"sft": {**SFT, "epochs": 4, "packing": True, "max_length": 64}},
    "accumulated": {"sft": {**SFT, "gradient_accumulation": 2, "epochs": 6}},
    "dpo": {"dpo": {"data": "pairs.jsonl", "epochs": 3, "batch_size": 2, "learning_rate": 0.01, "dtype": "float32"}},
    "kto": {"dpo": {"data": "pairs.jsonl", "epochs": 3, "batch_size": 2, "loss": "kto", "dtype": "float32"}},
    "reward": {"reward": {"data": "pairs.jsonl", "epochs": 3, "batch_size": 2, "dtype": "float32"}},
    "rlaif": {"rlaif": {"data": "prompts.jsonl", "samples": 2, "batch_size": 4, "max_steps": 8, "max_new_tokens": 8,
                        "length_weight": 1.0, "learning_rate": 0.01, "dtype": "float32", "stop_if": {"kl": 50.0}}},
}  # fmt: skip


class StoppedError(RuntimeError):
    """Stands for whatever ends a process."""


@pytest.fixture
def stopping(monkeypatch):
    """Let the training stop after a step; 0 lets it go on."""
    at = {"step": 0}
    real = Watcher.on_log

    def on_log(self, args, state, control, logs=None, **given):
        if at["step"] and "loss" in (logs or {}) and state.global_step > at["step"]:
            raise StoppedError
        return real(self, args, state, control, logs, **given)

    monkeypatch.setattr(Watcher, "on_log", on_log)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return at


@pytest.fixture
def prepared(lab):
    for name, rows in (("pairs", PAIRS), ("prompts", PROMPTS)):
        (lab.folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (lab.folder / "rows.jsonl").write_text("".join(
        json.dumps({"prompt": f"What is {n}?", "completion": "A number. " * (1 + n % 4)}) + "\n" for n in range(12)
    ))  # fmt: skip
    return lab


def identity(result):
    return next(iter(result.kept.values())).artifact.id


@pytest.mark.parametrize(("stage", "step"), [
    ("sft", 3), ("sft", 5), pytest.param("packed", 2, marks=pytest.mark.slow),
    pytest.param("accumulated", 3, marks=pytest.mark.slow), ("dpo", 5), pytest.param("kto", 5, marks=pytest.mark.slow),
    pytest.param("reward", 5, marks=pytest.mark.slow), pytest.param("rlaif", 3, marks=pytest.mark.slow),
])  # fmt: skip
def test_what_goes_on_ends_with_the_same_bytes(prepared, stopping, stage, step):
    first = [{"reward": {**STAGES["reward"]["reward"], "max_steps": 1}}] if stage == "rlaif" else []
    path = prepared.write(*first, STAGES[stage])
    (*_, whole) = prepared.train(path, checkpoint_seconds=0)
    wanted = identity(whole)
    checkpoints = prepared.workspace.root / "checkpoints"
    assert not list(checkpoints.iterdir())  # a finished stage needs none
    shutil.rmtree(prepared.workspace.artifacts)
    stopping["step"] = step
    with pytest.raises(BrokenRunError):
        prepared.train(path, checkpoint_seconds=0)
    assert max(one.name for one in next(checkpoints.iterdir()).glob("step-*")) == f"step-{step:09d}"
    stopping["step"] = 0
    (*_, again) = prepared.train(path, checkpoint_seconds=0)
    assert identity(again) == wanted
    assert "bit for bit the same" in again.note
    figures, before = again.record.figures, whole.record.figures
    assert figures["resumed_from_step"] == step
    same = set(before) - {"seconds", "peak_memory_bytes"}
    assert {name: figures[name] for name in same} == pytest.approx({name: before[name] for name in same})


def test_a_batch_in_parts_goes_on_with_the_same_bytes(prepared, stopping, monkeypatch):
    """With two threads and rows that begin alike, the halves of a batch are computed at the same time."""
    from harness_stages import trainer

    parts, real = [], trainer.loss_of_parts

    def watched(*given):
        parts.append(given[-1])
        return real(*given)

    monkeypatch.setattr(trainer, "loss_of_parts", watched)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    path = prepared.write({"sft": {**SFT, "batch_size": 8, "dropout": 0.0, "epochs": 4, "gradient_accumulation": 1,
                                   "validation": 0.0, "patience": None, "evaluate_every": None}})  # fmt: skip
    (whole,) = prepared.train(path, checkpoint_seconds=0)
    assert set(parts) == {2}
    shutil.rmtree(prepared.workspace.artifacts)
    stopping["step"] = 3
    with pytest.raises(BrokenRunError):
        prepared.train(path, checkpoint_seconds=0)
    stopping["step"] = 0
    (again,) = prepared.train(path, checkpoint_seconds=0)
    assert again.record.figures["resumed_from_step"] == 3
    assert identity(again) == identity(whole)
    assert "bit for bit the same" in again.note


def test_another_number_of_threads_is_said(prepared, stopping):
    path = prepared.write(STAGES["sft"])
    stopping["step"] = 3
    with pytest.raises(BrokenRunError):
        prepared.train(path, checkpoint_seconds=0)
    (about,) = (prepared.workspace.root / "checkpoints").glob("*/about.json")
    told = json.loads(about.read_text())
    about.write_text(json.dumps({**told, "processor": "another one"}))
    stopping["step"] = 0
    (again,) = prepared.train(path, checkpoint_seconds=0)
    assert "not bit for bit what an unbroken training gives: it began on another processor (another one)" in again.note


def test_a_full_disk_costs_a_checkpoint_and_not_the_training(prepared, stopping, monkeypatch):
    path = prepared.write(STAGES["sft"])
    real, failed = resuming._write_tensors, []

    def full(file, tensors):
        if len(failed) < 2:
            failed.append(file)
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file, tensors)

    monkeypatch.setattr(resuming, "_write_tensors", full)
    (result,) = prepared.train(path, checkpoint_seconds=0)
    assert "the disk is full" in result.note
    assert result.trained


def test_a_checkpoint_that_lost_bytes_gives_way_to_the_one_before(prepared, stopping):
    path = prepared.write(STAGES["sft"])
    (whole,) = prepared.train(path, checkpoint_seconds=0)
    shutil.rmtree(prepared.workspace.artifacts)
    stopping["step"] = 4
    with pytest.raises(BrokenRunError):
        prepared.train(path, checkpoint_seconds=0)
    (spoilt,) = (prepared.workspace.root / "checkpoints").glob("*/step-000000004/state.safetensors")
    spoilt.write_bytes(spoilt.read_bytes()[:-8] + b"spoilt!!")
    stopping["step"] = 0
    (again,) = prepared.train(path, checkpoint_seconds=0)
    assert identity(again) == identity(whole)
    assert again.record.figures["resumed_from_step"] == 3


KILLED = """
import os, signal, sys
from harness_stages import resuming

real, wrote = resuming._write, []

def write(path, content):
    if path.name == "state.safetensors":
        wrote.append(path)
        if len(wrote) == 4:  # within the fourth checkpoint: half of it lies there, under a temporary name
            path.write_bytes(content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
    real(path, content)

resuming._write = write
from harness.cli.main import main
sys.argv = ["harness", *sys.argv[1:]]
main()
"""
MADE = {
    **STAGES,
    "budget": {"sft": {**SFT, "epochs": 4, "batch_tokens": 100}},
    "pretrain": {"pretrain": {"data": "text.txt", "context": 16, "max_steps": 6, "batch_size": 2, "warmup": 0.0,
                              "start": "base", "dtype": "float32"}},
    "tokenizer": {"tokenizer": {"data": "text.txt", "context": 16, "max_steps": 6, "batch_size": 2,
                                "dtype": "float32"}},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("stage", MADE)
def test_kill_9_and_the_same_command_ends_with_the_same_bytes(prepared, monkeypatch, stage):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (prepared.folder / "text.txt").write_text(" ".join(f"The light of tower {n} burns from dusk." for n in range(200)))
    first = [{"reward": {**STAGES["reward"]["reward"], "max_steps": 1}}] if stage == "rlaif" else []
    path = prepared.write(*first, MADE[stage], separation="off")
    (*_, whole) = prepared.train(path, checkpoint_seconds=0)
    root = prepared.workspace.root
    for folder in root.glob("artifacts/*"):
        if folder.name != "reward" or stage == "reward":
            shutil.rmtree(folder)
    given = [
        "train",
        str(path),
        "--workspace",
        str(root),
        "--device",
        "cpu",
        "--offline",
        "--checkpoint-every",
        "0",
        "--json",
    ]

    def command(*python):
        return subprocess.run(
            [sys.executable, *python, *given], check=False, capture_output=True, text=True, cwd=prepared.folder
        )

    killed = command("-c", KILLED)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (checkpoints,) = (root / "checkpoints").iterdir()
    assert [one for one in checkpoints.iterdir() if one.name.startswith(".tmp-")]
    done = command("-m", "harness.cli.main")
    assert done.returncode == 0, done.stderr
    again = json.loads(done.stdout)["stages"][-1]
    assert next(iter(again["artifacts"].values()))["id"] == identity(whole)
    assert again["figures"]["resumed_from_step"] == 3
    assert "bit for bit the same" in again["note"]
    assert not list((root / "checkpoints").iterdir())
