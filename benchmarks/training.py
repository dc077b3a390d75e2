"""The `sft` stage's trainer beside TRL's SFTTrainer: same rows, same LoRA, to the same held-out loss.

    python benchmarks/training.py --out docs/results/training.json

Each arm runs in a process of its own, on two cores with two threads, and measures the same held-out loss (nats per
answer token, encoded as at inference) as it goes; what measuring takes is left out. Reported are CPU seconds and wall
seconds to the loss that all arms reach, and the peak resident memory. TRL loads the base as its documentation says.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ARMS = ("ours", "ours-upper", "trl", "trl-packed")


def main() -> None:
    """Run all arms, or one of them, and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="smollm2-135m")
    parser.add_argument("--data", default="bundled:suites/data/persona-train.jsonl")
    parser.add_argument("--rows", type=int, default=240)
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--arm", choices=ARMS)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.arm:
        _one(given)
        return
    found = {}
    for arm in ARMS:
        with tempfile.TemporaryDirectory() as name:
            out = Path(name) / "arm.json"
            command = [sys.executable, __file__, *sys.argv[1:], "--arm", arm, "--out", str(out)]
            environment = {**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"}
            subprocess.run(command, check=True, env=environment)
            found[arm] = json.loads(out.read_text("utf-8"))
    target = max(min(loss for _, _, _, loss in one["curve"]) for one in found.values())
    for one in found.values():
        one["to_target"] = next(
            {"steps": step, "cpu_seconds": cpu, "seconds": wall}
            for step, cpu, wall, loss in one["curve"]
            if loss <= target
        )
    result = {"base": given.base, "rows": given.rows, "epochs": given.epochs, "seed": given.seed,
              "target_loss": target, "arms": found}  # fmt: skip
    text = json.dumps(result, indent=1)
    if given.out is not None:
        given.out.write_text(text + "\n", "utf-8")
    for arm, one in found.items():
        print(arm, one["to_target"], f"{one['peak_memory_bytes'] / 1e9:.2f} GB", one["versions"])


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
    options = LoraOptions(from_layer=layers // 2) if given.arm == "ours-upper" else LoraOptions()
    model = add_lora(model, options, error_at=lambda *_: {}, task="CAUSAL_LM")
    dataset = Dataset.from_dict(
        {"input_ids": [part.input_ids for part in data[0]], "labels": [part.labels for part in data[0]]}
    )
    config = SFTConfig(
        **shared, per_device_train_batch_size=8, train_sampling_strategy="group_by_length", bf16=False,
        dataset_kwargs={"skip_prepare_dataset": True},
    )  # fmt: skip
    return AnswerTrainer(model=model, args=config, train_dataset=dataset, processing_class=tokenizer)


def _trl(given, base, tokenizer, data, shared):
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    dataset = Dataset.from_list([
        {"prompt": [{"role": turn.role, "content": turn.content} for turn in row.messages[:-1]],
         "completion": [{"role": "assistant", "content": row.messages[-1].content}]}
        for row in data[1]
    ])  # fmt: skip
    packed = given.arm == "trl-packed"
    # Eight rows of these data are about as many tokens as two packed blocks of 256.
    config = SFTConfig(**shared, per_device_train_batch_size=2 if packed else 8, packing=packed)
    lora = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.1, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    return SFTTrainer(model=str(base), args=config, train_dataset=dataset, processing_class=tokenizer, peft_config=lora)


if __name__ == "__main__":
    main()
