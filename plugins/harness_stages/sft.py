"""The `sft` stage: supervised fine-tuning of a LoRA adapter, with loss on the assistant's answers alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from harness.api import (
    InputError,
    Stage,
    StageInput,
    StageOutput,
    check_lora,
    read_adapter_config,
)
from harness_stages.collapse import require_measured
from harness_stages.lora import check_shape
from harness_stages.sft_options import SFTOptions
from harness_stages.sources import SourceRows, gather_sources, list_sources
from harness_stages.tuning import Places, read_stage_options, require_training
from harness_stages.workloads import workload

MEASURED = ("length", "distinct", "repetition", "entropy", "perplexity", "self_generated")
"""What `stop_if` may limit."""


@dataclass(frozen=True, kw_only=True)
class SFTPlan:
    """An `sft` stage, read and checked as far as it can be without the model."""

    options: SFTOptions
    sources: tuple[SourceRows, ...]
    """What is learned from."""
    held_out: tuple[SourceRows, ...]
    """What the loss is measured on; empty where it is not."""
    note: str
    """Which rows were left out."""
    bad_rows: int
    error_at: Places


class SFTStage(Stage):
    """Trains a LoRA adapter on conversations, from nothing or from an adapter that exists."""

    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "peft", "trl", "accelerate")
    together: ClassVar[bool] = True

    def check(self, inputs: StageInput) -> None:
        """Read options and data, and see that what training needs is installed."""
        require_training(self._plan(inputs).options, stage="sft")

    def inputs(self, inputs: StageInput) -> Mapping[str, Path]:
        """Return the file of training rows."""
        options, error_at = _options(inputs)
        return {name: path for name, path, _ in list_sources(inputs, options, error_at)}

    def workload(self, inputs: StageInput) -> Mapping[str, float]:
        """Return rows, about how many tokens, and steps."""
        plan = self._plan(inputs)
        rows = (row for source in plan.sources for row in source.rows)
        return workload(plan.options, (sum(len(message.content) for message in row.messages) for row in rows))

    def run(self, inputs: StageInput) -> StageOutput:
        """Train and write the adapter.

        Raises:
            InputError: where data, options or the adapter to continue do not fit the base.
            BrokenRunError: where the loss is not a number any more, or memory ran out.
        """
        plan = self._plan(inputs)
        from harness_stages.sft_training import train_sft

        return train_sft(inputs, plan)

    @staticmethod
    def _plan(inputs: StageInput) -> SFTPlan:
        options, error_at = _options(inputs)
        gathered = gather_sources(inputs, options, error_at)
        if inputs.adapter is not None:
            check_lora(inputs.adapter)
            check_shape(read_adapter_config(inputs.adapter), options.shape, adapter=inputs.adapter, error_at=error_at)
        return SFTPlan(
            options=options, sources=gathered.learned, held_out=gathered.held_out, note=gathered.note,
            bad_rows=gathered.bad, error_at=error_at,
        )  # fmt: skip


def _options(inputs: StageInput) -> tuple[SFTOptions, Places]:
    options, error_at = read_stage_options(inputs, SFTOptions, stage="sft")
    if options.system is not None and not options.system.strip():
        raise InputError("is empty", **error_at("system"), hint="write the system prompt or leave the key out")
    require_measured(options.stop_if, MEASURED, stage="sft", error_at=error_at)
    if options.stop_if.perplexity is not None and not (options.validation or options.validation_data):
        raise InputError("nothing is held out to measure", **error_at("stop_if", "perplexity"),
                         hint="add validation: 0.1")  # fmt: skip
    if options.packing and options.batch_tokens is not None:
        raise InputError("packed blocks are all of one length", **error_at("batch_tokens"),
                         hint="leave out packing or batch_tokens")  # fmt: skip
    if options.patience is not None and not (options.validation or options.validation_data):
        raise InputError("nothing is held out to stop by", **error_at("patience"), hint="add validation: 0.1")
    return options, error_at
