"""The `sft` stage's trainer beside TRL's SFTTrainer: same rows, same LoRA, to the same held-out loss.

    python benchmarks/training.py --rows 160 --repeats 3 --out docs/results/training.json

Each arm runs in a process of its own, on two cores with two threads, and measures the same held-out loss (nats per
answer token, encoded as at inference) as it goes; what measuring takes is left out. Reported are CPU seconds and wall
seconds to the loss that all arms reach with a seed, each the median of the repeats, which take turns and have a seed
each, by which the held-out rows are drawn too; and the peak resident memory. What is in the file of `--out` is not run
again. The arms named `trl` load the base and compute as TRL's documentation says (float32, autocast to bfloat16); those
named `bfloat16` load it in bfloat16, as ours do where the CPU has it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ARMS = ("ours", "ours-tokens", "ours-upper", "trl", "trl-packed", "trl-bfloat16", "trl-packed-bfloat16")
BLOCKS = 2
"""Packed blocks of 256 tokens in a batch: about as many tokens as eight rows of these data."""


def main() -> None:
    """Run all arms, or one of them, and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="smollm2-135m")
    parser.add_argument("--data", default="bundled:suites/data/persona-train.jsonl")
    parser.add_argument("--rows", type=int, default=240)
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--dropout", type=float, default=0.0, help="of LoRA, in all arms")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=1, help="runs of each arm, with the seeds from --seed on")
    parser.add_argument("--arms", nargs="*", choices=ARMS, default=list(ARMS))
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="JSON file of results; what it holds is not run again")
    given = parser.parse_args()
    if given.arm:
        _one(given)
        return
    task = {
        name: getattr(given, name)
        for name in ("base", "data", "rows", "epochs", "learning_rate", "max_length", "dropout")
    }
    old = json.loads(given.out.read_text("utf-8")) if given.out is not None and given.out.exists() else {}
    runs: dict[str, dict[str, Any]] = old["runs"] if old.get("task") == task else {}
    for seed in range(given.seed, given.seed + given.repeats):
        for arm in given.arms:
            if str(seed) in runs.get(arm, {}):
                continue
            runs.setdefault(arm, {})[str(seed)] = _run(arm, seed, task)
            _keep(given.out, task, runs)
    _keep(given.out, task, runs)
    for line in _table(_summary(runs)):
        print(line)


def _keep(out: Path | None, task: dict[str, Any], runs: dict[str, dict[str, Any]]) -> None:
    """Write what was found so far."""
    if out is not None:
        result = {
            "made": datetime.now(UTC).isoformat(timespec="seconds"), "machine": platform.machine(), "threads": 2,
            "task": task, **_summary(runs), "runs": runs,
        }  # fmt: skip
        out.write_text(json.dumps(result) + "\n", "utf-8")


def _run(arm: str, seed: int, task: dict[str, Any]) -> dict[str, Any]:
    """Run an arm in a process of its own."""
    told = [part for name, value in task.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "arm.json"
        command = [sys.executable, __file__, *told, "--seed", str(seed), "--arm", arm, "--out", str(out)]
        environment = {**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"}
        subprocess.run(command, check=True, env=environment)
        return dict(json.loads(out.read_text("utf-8")))


def _summary(runs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the loss that all arms reach with each seed, which draws the held-out rows, and what each takes to it."""
    seeds = sorted({seed for arm in runs.values() for seed in arm}, key=int)
    target = {
        seed: max(min(loss for *_, loss in arm[seed]["curve"]) for arm in runs.values() if seed in arm)
        for seed in seeds
    }
    found = {}
    for arm, repeats in runs.items():
        reached = {
            seed: next(point for point in one["curve"] if point[3] <= target[seed])
            for seed, one in sorted(repeats.items())
        }
        found[arm] = {
            "seeds": list(reached), "steps": [point[0] for point in reached.values()],
            "cpu_seconds": statistics.median(point[1] for point in reached.values()),
            "seconds": statistics.median(point[2] for point in reached.values()),
            "seconds_by_seed": {seed: point[2] for seed, point in reached.items()},
            "whole_training_seconds": statistics.median(one["curve"][-1][2] for one in repeats.values()),
            "peak_memory_bytes": max(one["peak_memory_bytes"] for one in repeats.values()),
        }  # fmt: skip
    return {"target_loss": target, "arms": found}


def _table(summary: dict[str, Any]) -> list[str]:
    """Return the page's table: medians over the seeds, with the least and the largest beside times and ratios."""
    packed = summary["arms"].get("trl-packed", {}).get("seconds_by_seed", {})
    told = ", ".join(f"{loss:.2f}" for loss in summary["target_loss"].values())
    lines = [f"to {told} nats per answer token, by seed", "",
             "| arm | steps, by seed | wall seconds | packing in TRL takes longer, times | CPU seconds | peak memory |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for arm, one in summary["arms"].items():
        own = one["seconds_by_seed"]
        ratios = [packed[seed] / seconds for seed, seconds in own.items() if seed in packed]
        lines.append(
            f"| `{arm}` | {', '.join(map(str, one['steps']))} | {_spread(list(own.values()), 1)} |"
            f" {_spread(ratios, 2)} | {one['cpu_seconds']:.0f} | {one['peak_memory_bytes'] / 1e9:.1f} GB |"
        )
    return lines


def _spread(values: list[float], digits: int) -> str:
    """Return the median, and the least and the largest."""
    if not values:
        return "–"
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return f"{statistics.median(values):.{digits}f} [{low}, {high}]"


def _one(given: argparse.Namespace) -> None:
    """Train one arm and write its curve."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    import resource

    import peft
    import torch
    import transformers
    import trl
    from transformers import TrainerCallback, set_seed

    from harness.api import RunContext, materialise, resolve_path
    from harness.api.workspace import resolve_base
    from harness.plugins import load_plugins
    from harness_stages.encoding import Encoder, read_end_ids
    from harness_stages.loading import load_tokenizer
    from harness_stages.mixing import part
    from harness_stages.quickness import keeping_memory
    from harness_stages.rows import read_rows
    from harness_stages.validating import held_out_loss

    torch.set_num_threads(2)
    spec = resolve_base(given.base, load_plugins(installed=False).registries)
    base = materialise(spec, RunContext(offline=True, weights=Path("~/.cache/harness/weights").expanduser()))
    path = resolve_path(given.data, Path.cwd() / "x.yaml")
    rows, held = part(read_rows(path)[: given.rows], 0.15, given.seed)
    tokenizer = load_tokenizer(base)
    encoder = Encoder(tokenizer, read_end_ids(base))
    held_rows = encoder.encode(held, max_length=given.max_length, path=path)
    set_seed(given.seed)

    class Clock(TrainerCallback):
        """Notes held-out losses with the time that training alone took."""

        def __init__(self) -> None:
            self.curve: list[tuple[int, float, float, float]] = []
            self.spent = [0.0, 0.0]

        def on_train_begin(self, args, state, control, **kwargs):  # noqa: ARG002 - the trainer's signature
            self.every = max(1, state.max_steps // 12)
            self.began = (time.process_time(), time.monotonic())

        def on_step_end(self, args, state, control, model=None, **kwargs):  # noqa: ARG002 - the trainer's signature
            if state.global_step % self.every:
                return
            now = (time.process_time(), time.monotonic())
            loss = held_out_loss(model, held_rows, batch_size=8, pad=int(tokenizer.pad_token_id))
            took = [now[index] - self.began[index] - self.spent[index] for index in (0, 1)]
            self.curve.append((state.global_step, round(took[0], 2), round(took[1], 2), loss))
            self.spent = [self.spent[0] + time.process_time() - now[0], self.spent[1] + time.monotonic() - now[1]]

    clock = Clock()
    with tempfile.TemporaryDirectory() as scratch:
        shared = {
            "output_dir": scratch, "report_to": "none", "save_strategy": "no", "num_train_epochs": given.epochs,
            "learning_rate": given.learning_rate, "lr_scheduler_type": "linear", "warmup_steps": 0.03,
            "seed": given.seed, "use_cpu": True, "disable_tqdm": True, "logging_steps": 10,
            "gradient_checkpointing": False, "max_length": given.max_length,
        }  # fmt: skip
        make = _ours if given.arm.startswith("ours") else _trl
        encoded = encoder.encode(rows, max_length=given.max_length, path=path)
        trainer = make(given, base, tokenizer, (encoded, rows), shared)
        trainer.add_callback(clock)
        with keeping_memory() if given.arm.startswith("ours") else nullcontext():  # as the stage does
            trainer.train()
    given.out.write_text(json.dumps({
        "curve": clock.curve, "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "versions": {"torch": torch.__version__, "trl": trl.__version__, "peft": peft.__version__,
                     "transformers": transformers.__version__},
    }))  # fmt: skip


def _ours(given, base, tokenizer, data, shared):
    from datasets import Dataset
    from trl import SFTConfig

    from harness_stages.devices import choose_dtype
    from harness_stages.loading import Where, add_lora, load_base
    from harness_stages.trainer import AnswerTrainer
    from harness_stages.tuning import LoraOptions

    model = load_base(base, Where(device="cpu", dtype=choose_dtype("auto", "cpu")))
    layers = int(model.config.num_hidden_layers)
    options = LoraOptions(from_layer=layers // 2 if given.arm == "ours-upper" else 0, dropout=given.dropout)
    model = add_lora(model, options, error_at=lambda *_: {}, task="CAUSAL_LM")
    dataset = Dataset.from_dict(
        {"input_ids": [part.input_ids for part in data[0]], "labels": [part.labels for part in data[0]]}
    )
    config = SFTConfig(
        **shared, per_device_train_batch_size=8, train_sampling_strategy="group_by_length", bf16=False,
        dataset_kwargs={"skip_prepare_dataset": True},
    )  # fmt: skip
    trainer = AnswerTrainer(model=model, args=config, train_dataset=dataset, processing_class=tokenizer)
    if given.arm == "ours-tokens":
        trainer.batch_tokens = BLOCKS * given.max_length
    return trainer


def _trl(given, base, tokenizer, data, shared):
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    dataset = Dataset.from_list([
        {"prompt": [{"role": turn.role, "content": turn.content} for turn in row.messages[:-1]],
         "completion": [{"role": "assistant", "content": row.messages[-1].content}]}
        for row in data[1]
    ])  # fmt: skip
    packed = "packed" in given.arm
    held = {"model_init_kwargs": {"dtype": "bfloat16"}} if given.arm.endswith("bfloat16") else {}
    config = SFTConfig(**shared, **held, per_device_train_batch_size=BLOCKS if packed else 8, packing=packed)
    lora = LoraConfig(
        r=16, lora_alpha=32, lora_dropout=given.dropout, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"
    )
    return SFTTrainer(model=str(base), args=config, train_dataset=dataset, processing_class=tokenizer, peft_config=lora)


if __name__ == "__main__":
    main()
