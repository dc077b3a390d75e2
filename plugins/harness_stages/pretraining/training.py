"""The heavy half of the `pretrain` stage."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments, set_seed

from harness.api import InputError, StageInput, StageOutput, asking_no_hub
from harness_stages.devices import choose_device, choose_dtype
from harness_stages.exporting.transformers_folder import leave_out_paths
from harness_stages.fitting import Measured, common_arguments, fit, on_one_device, quiet_libraries
from harness_stages.loading import Where, load_base, load_tokenizer
from harness_stages.pretraining.sizes import SIZES
from harness_stages.pretraining.texts import pack
from harness_stages.watcher import Watcher

if TYPE_CHECKING:
    from harness_stages.pretraining.stage import PretrainOptions, PretrainPlan

_MOST_CONTEXT = 1024
_MOST_BLOCKS = 64
"""Held-out rows that a measurement on the way looks at; the last looks at all."""
_BASE_RATE = 2e-5


def train(inputs: StageInput, plan: PretrainPlan) -> StageOutput:
    """Train as planned; see `PretrainStage.run`."""
    options = plan.options
    device = choose_device(inputs.device)
    dtype = choose_dtype(options.dtype, device)
    measured = Measured(inputs, device)
    with quiet_libraries(), asking_no_hub():
        tokenizer = _tokenizer(inputs, plan)
        set_seed(inputs.seed)
        model = _model(inputs, options, tokenizer)
        context = options.context or min(int(model.config.max_position_embeddings), _MOST_CONTEXT)
        learned, held = (_blocks(tokenizer, texts, context) for texts in (plan.texts.learned, plan.texts.held_out))
        if not learned or not held:
            raise InputError(f"the text fills no row of {context} tokens", **plan.error_at("context"),
                             hint="lower context, or add text")  # fmt: skip
        measured.begin(int(model.config.hidden_size))
        watcher = Watcher(inputs.progress, f"pretrain {options.size if options.start == 'scratch' else 'on'}", device)
        curve = _Curve(held, batch_size=options.batch_size, every=options.evaluate_every, autocast=dtype == "bfloat16")
        with tempfile.TemporaryDirectory(dir=inputs.output, prefix="trainer-") as scratch:
            rate = options.learning_rate or (
                SIZES[options.size].learning_rate if options.start == "scratch" else _BASE_RATE
            )
            common = common_arguments(
                options.model_copy(update={"learning_rate": rate}), inputs, Path(scratch), device
            ) | {"bf16": dtype == "bfloat16", "adam_beta2": 0.95}  # fmt: skip
            trainer = Trainer(
                model=model, args=on_one_device(TrainingArguments(**common), device), callbacks=[watcher, curve],
                train_dataset=Dataset.from_dict({"input_ids": learned, "labels": learned}),
            )  # fmt: skip
            fit(trainer, watcher, options, device, inputs=inputs)
        if not trainer.is_world_process_zero():
            return StageOutput()  # the first of several processes writes the model
        taken = measured.figures()
        loss = curve.whole(model)
        folder = inputs.output / "model"
        model.save_pretrained(str(folder), safe_serialization=True)
        tokenizer.save_pretrained(str(folder))
        leave_out_paths(folder)
        _write_samples(model, tokenizer, plan, folder / "samples.json", seed=inputs.seed)
        (folder / "curve.json").write_text(json.dumps(curve.losses) + "\n", "utf-8")
    characters = sum(map(len, plan.texts.held_out))
    tokens = sum(len(ids) for ids in _encoded(tokenizer, plan.texts.held_out))
    steps = watcher.figures()["steps"]
    seen = steps * options.batch_size * options.gradient_accumulation * context
    figures = {
        "parameters": float(sum(weight.numel() for weight in model.parameters())), "vocabulary": float(len(tokenizer)),
        "tokens": float(sum(map(len, learned))), "tokens_seen": seen, "characters": float(characters),
        "bad_rows": float(plan.texts.bad_rows), **taken, "tokens_per_second": seen / max(taken["seconds"], 1e-9),
        "bfloat16": float(dtype == "bfloat16"), **watcher.figures(), "validation_loss_first": curve.losses[0][1],
        "validation_loss": loss, "validation_perplexity": math.exp(min(loss, 50.0)),
        # Blocks leave out at most the end of the text, so that tokens per character are of all of it.
        "bits_per_character": loss / math.log(2) * tokens / characters,
    }  # fmt: skip
    curves = watcher.curves() | {"validation_loss": curve.losses}
    note = "; ".join(filter(None, (plan.texts.note, watcher.note)))
    return StageOutput(others={"model": folder}, figures=figures, curves=curves, note=note)


def _tokenizer(inputs: StageInput, plan: PretrainPlan) -> Any:  # noqa: ANN401 - transformers is not typed
    if plan.tokenizer is None and inputs.model.name == "none":
        raise InputError("there is no tokenizer", **plan.error_at(),
                         hint="put a bpe stage before, or name a base whose tokenizer it takes")  # fmt: skip
    if plan.tokenizer is not None and plan.options.start == "base":
        raise InputError("the base is trained on, and keeps its own tokenizer", **plan.error_at("start"),
                         hint="leave out the bpe stage, or start: scratch")  # fmt: skip
    return load_tokenizer(plan.tokenizer or inputs.base_path)


def _model(inputs: StageInput, options: PretrainOptions, tokenizer: Any) -> Any:  # noqa: ANN401
    if options.start == "base":
        return load_base(inputs.base_path, Where(device="cpu", dtype="float32"))
    size = SIZES[options.size]
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=size.hidden, intermediate_size=size.feed_forward,
        num_hidden_layers=size.layers, num_attention_heads=size.heads, num_key_value_heads=size.groups,
        max_position_embeddings=max(size.context, options.context or 0), tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def _encoded(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:  # noqa: ANN401
    return [list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]) for text in texts]


def _blocks(tokenizer: Any, texts: Sequence[str], context: int) -> list[list[int]]:  # noqa: ANN401
    return pack(_encoded(tokenizer, texts), context, tokenizer.eos_token_id)


class _Curve(TrainerCallback):  # type: ignore[misc]  # transformers is not typed here
    """Measures held-out loss on the way."""

    def __init__(self, blocks: Sequence[list[int]], *, batch_size: int, every: int | None, autocast: bool) -> None:
        self._blocks, self._batch_size, self._every, self._autocast = blocks, batch_size, every, autocast
        self.losses: list[tuple[int, float]] = []
        """Step and loss in nats per token."""

    def on_train_begin(self, args: object, state: Any, control: object, **given: Any) -> None:  # noqa: ANN401, ARG002
        """Measure before the first step."""
        self._every = self._every or max(1, state.max_steps // 10)
        self._look(given["model"], 0)

    def on_step_end(self, args: object, state: Any, control: object, **given: Any) -> None:  # noqa: ANN401, ARG002
        """Measure where it is due."""
        if state.global_step % (self._every or 1) == 0:
            self._look(given["model"], state.global_step)

    def keep(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the measurements, for a checkpoint."""
        return {"losses": self.losses}, {}

    def restore(self, noted: Mapping[str, Any], tensors: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Take over the measurements."""
        self.losses = [(int(step), float(loss)) for step, loss in noted["losses"]]

    def _look(self, model: Any, step: int) -> None:  # noqa: ANN401
        self.losses.append((step, self._loss(model, self._blocks[:_MOST_BLOCKS])))

    def whole(self, model: Any) -> float:  # noqa: ANN401
        """Return the mean loss over all held-out rows, in nats per token."""
        return self._loss(model, self._blocks)

    def _loss(self, model: Any, blocks: Sequence[list[int]]) -> float:  # noqa: ANN401
        training, device = model.training, next(model.parameters()).device
        model.eval()
        total = count = 0.0
        try:
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=self._autocast):
                for start in range(0, len(blocks), self._batch_size):
                    ids = torch.tensor(blocks[start : start + self._batch_size], device=device)
                    total += float(model(input_ids=ids, labels=ids).loss) * ids[:, 1:].numel()
                    count += ids[:, 1:].numel()
        finally:
            model.train(training)
        return total / count


def _write_samples(model: Any, tokenizer: Any, plan: PretrainPlan, file: Path, *, seed: int) -> None:  # noqa: ANN401
    """Let the model go on with the beginnings of held-out texts, drawn by the seed, and keep what it writes."""
    set_seed(seed)
    model.eval()
    written = []
    places = [index * max(1, len(plan.texts.held_out[0]) // 7) for index in range(plan.options.samples)]
    for place in places:
        prompt = plan.texts.held_out[0][place : place + 60] or plan.texts.held_out[0][:60]
        ids = torch.tensor([_encoded(tokenizer, [prompt])[0]], device=next(model.parameters()).device)
        room = int(model.config.max_position_embeddings) - ids.shape[1]
        if room < 1:
            continue
        with torch.no_grad():
            found = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=min(80, room), do_sample=True,
                temperature=0.8, top_k=0, pad_token_id=tokenizer.pad_token_id,
            )  # fmt: skip
        new = found[0, ids.shape[1] :].tolist()
        written.append({"prompt": prompt, "written": tokenizer.decode(new, skip_special_tokens=True)})
    file.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n", "utf-8")
