"""The heavy half of the `sft` stage: loads the base, trains, and writes the adapter."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api import InputError, StageInput, StageOutput, asking_no_hub
from harness_stages.collapse import generated_share
from harness_stages.encoding import Encoded, Encoder, read_end_ids
from harness_stages.fitting import Measured, common_arguments, fit, on_one_device, quiet_libraries
from harness_stages.loading import choose_where, load_lora, load_tokenizer
from harness_stages.monitored import Monitored, monitor_of
from harness_stages.saving import save_adapter

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from harness_stages.monitors import Monitor
    from harness_stages.sft import SFTPlan
    from harness_stages.sources import SourceRows
    from harness_stages.validating import Validation
    from harness_stages.watcher import Watcher


def train_sft(inputs: StageInput, plan: SFTPlan) -> StageOutput:
    """Train as planned; see `SFTStage.run`."""
    where = choose_where(inputs, plan.options)
    measured = Measured(inputs, where.device)
    with quiet_libraries(), asking_no_hub():
        tokenizer = load_tokenizer(inputs.base_path, inputs.adapter)
        encoder = Encoder(tokenizer, read_end_ids(inputs.base_path))
        from transformers import set_seed

        from harness_stages.validating import Validation

        encoded, held_out = (_encoded(encoder, some, plan) for some in (plan.sources, plan.held_out))
        set_seed(inputs.seed)  # the adapter's first weights are drawn before the trainer seeds for itself
        model = load_lora(inputs, plan.options, where, plan.error_at)
        measured.begin(model.get_input_embeddings().weight.shape[1])
        validation = None
        if held_out:
            validation = Validation(
                held_out, batch_size=plan.options.batch_size, pad=int(tokenizer.pad_token_id),
                every=plan.options.evaluate_every, patience=plan.options.patience,
            )  # fmt: skip
        monitor = None
        if validation is not None or plan.options.stop_if.model_fields_set:
            share = generated_share(row.source for one in plan.sources for row in one.rows)
            given = Monitored(rows=held_out or encoded, options=plan.options, seed=inputs.seed, generated=share)
            monitor = monitor_of(model, tokenizer, where, given, validation=validation)
        fitting = _Fitting(model=model, tokenizer=tokenizer, encoded=encoded, validation=validation, monitor=monitor)
        watcher = _fit(fitting, inputs, plan, where.device)
        taken = measured.figures()
        adapter = save_adapter(model, inputs)
    figures = {
        "rows": float(sum(len(source.rows) for source in plan.sources)),
        **_by_source(plan),
        "bad_rows": float(plan.bad_rows),
        "tokens": float(sum(len(part.input_ids) for part in encoded)),
        "learned_tokens": float(sum(part.learned for part in encoded)),
        "truncated_rows": float(sum(part.truncated for part in encoded)),
        **taken,
        "bfloat16": float(where.dtype == "bfloat16"),
        **watcher.figures(),
        **({} if monitor is None else monitor.figures()),
        **({} if validation is None else validation.figures()),
    }
    curves = watcher.curves()
    curves |= {} if monitor is None else monitor.curves()
    curves |= {} if validation is None else validation.curves()
    note = "; ".join(filter(None, (plan.note, "" if monitor is None else monitor.note, watcher.note)))
    return StageOutput(adapter=adapter, figures=figures, curves=curves, note=note)


def _encoded(encoder: Encoder, sources: Sequence[SourceRows], plan: SFTPlan) -> list[Encoded]:
    """Encode all sources, each distinct row once."""
    length, most = plan.options.max_length, plan.options.answer_tokens
    return [
        part for one in sources
        for part in encoder.encode(one.rows, max_length=length, path=one.path, answer_tokens=most)
    ]  # fmt: skip


def _by_source(plan: SFTPlan) -> dict[str, float]:
    """Return the rows of each source where there are several, and how many came more than once."""
    if len(plan.sources) == 1:
        return {}
    figures = {f"rows_{one.name.removeprefix('data ')}": float(len(one.rows)) for one in plan.sources}
    repeated = sum(len(one.rows) - len({row.line for row in one.rows}) for one in plan.sources)
    return figures | {"repeated_rows": float(repeated)}


@dataclass(frozen=True, kw_only=True)
class _Fitting:
    model: Any
    tokenizer: PreTrainedTokenizerBase
    encoded: Sequence[Encoded]
    validation: Validation | None
    monitor: Monitor | None


def _fit(given: _Fitting, inputs: StageInput, plan: SFTPlan, device: str) -> Watcher:
    from datasets import Dataset

    from harness_stages.trainer import AnswerTrainer, is_plain
    from harness_stages.watcher import Watcher

    if plan.options.opening_weight != 1 and not is_plain(given.model):
        raise InputError(
            "the logits of this base are more than one matrix product, and its openings cannot be weighted",
            **plan.error_at("opening_weight"), hint="leave the key out",
        )  # fmt: skip

    dataset = Dataset.from_dict(
        {"input_ids": [part.input_ids for part in given.encoded], "labels": [part.labels for part in given.encoded]}
    )
    with tempfile.TemporaryDirectory(dir=inputs.output, prefix="trainer-") as scratch:
        watcher = Watcher(inputs.progress, f"sft on {plan.sources[0].path.name}", device)
        trainer = AnswerTrainer(
            model=given.model, args=_arguments(plan, inputs, Path(scratch), device), train_dataset=dataset,
            processing_class=given.tokenizer,
            callbacks=[watcher, *filter(None, (given.validation, given.monitor))],
        )  # fmt: skip
        trainer.opening_weight = plan.options.opening_weight
        trainer.batch_tokens = plan.options.batch_tokens
        fit(trainer, watcher, plan.options, device, inputs=inputs)
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
