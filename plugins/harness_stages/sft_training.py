"""The heavy half of the `sft` stage: loads the base, trains, and writes the adapter."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api import StageInput, StageOutput, asking_no_hub
from harness_stages.encoding import Encoded, Encoder, read_end_ids
from harness_stages.fitting import Measured, common_arguments, fit, on_one_device, quiet_libraries
from harness_stages.loading import choose_where, load_lora, load_tokenizer
from harness_stages.saving import save_adapter

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from harness_stages.sft import SFTPlan
    from harness_stages.watcher import Watcher


def train_sft(inputs: StageInput, plan: SFTPlan) -> StageOutput:
    """Train as planned; see `SFTStage.run`."""
    where = choose_where(inputs, plan.options)
    measured = Measured(inputs, where.device)
    with quiet_libraries(), asking_no_hub():
        tokenizer = load_tokenizer(inputs.base_path)
        encoder = Encoder(tokenizer, read_end_ids(inputs.base_path))
        encoded = encoder.encode(plan.rows, max_length=plan.options.max_length, path=plan.data)
        from transformers import set_seed

        set_seed(inputs.seed)  # the adapter's first weights are drawn before the trainer seeds for itself
        model = load_lora(inputs, plan.options, where, plan.error_at)
        measured.begin(model.get_input_embeddings().weight.shape[1])
        watcher = _fit(model, tokenizer, encoded, inputs, plan, where.device)
        taken = measured.figures()
        adapter = save_adapter(model, inputs)
    figures = {
        "rows": float(len(plan.rows)),
        "bad_rows": float(plan.bad_rows),
        "tokens": float(sum(len(part.input_ids) for part in encoded)),
        "learned_tokens": float(sum(part.learned for part in encoded)),
        "truncated_rows": float(sum(part.truncated for part in encoded)),
        **taken,
        "bfloat16": float(where.dtype == "bfloat16"),
        **watcher.figures(),
    }
    return StageOutput(adapter=adapter, dataset=None, figures=figures, note=plan.note)


def _fit(
    model: Any,  # noqa: ANN401 - PEFT is not typed
    tokenizer: PreTrainedTokenizerBase, encoded: Sequence[Encoded], inputs: StageInput, plan: SFTPlan, device: str,
) -> Watcher:  # fmt: skip
    from datasets import Dataset

    from harness_stages.trainer import AnswerTrainer
    from harness_stages.watcher import Watcher

    dataset = Dataset.from_dict(
        {"input_ids": [part.input_ids for part in encoded], "labels": [part.labels for part in encoded]}
    )
    with tempfile.TemporaryDirectory(dir=inputs.output, prefix="trainer-") as scratch:
        watcher = Watcher(inputs.progress, f"sft on {plan.data.name}", device)
        trainer = AnswerTrainer(
            model=model, args=_arguments(plan, inputs, Path(scratch), device), train_dataset=dataset,
            processing_class=tokenizer, callbacks=[watcher],
        )  # fmt: skip
        fit(trainer, watcher, plan.options, device)
    return watcher


def _arguments(plan: SFTPlan, inputs: StageInput, scratch: Path, device: str) -> Any:  # noqa: ANN401 - TRL is not typed
    from trl import SFTConfig

    options = plan.options
    arguments = SFTConfig(
        **common_arguments(options, inputs, scratch, device), max_length=options.max_length, packing=options.packing,
        # Batches of like lengths waste little on padding; the draw of batches stays random.
        train_sampling_strategy="random" if options.packing else "group_by_length",
        dataset_kwargs=None if options.packing else {"skip_prepare_dataset": True},
    )  # fmt: skip
    return on_one_device(arguments, device)
