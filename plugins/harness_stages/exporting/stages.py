"""The stages `merge` and `export`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from harness.api import (
    InputError,
    Stage,
    StageInput,
    StageOutput,
    StrictModel,
    asking_no_hub,
    check_lora,
)
from harness_stages.exporting.needed import check_numbers, require_format
from harness_stages.tuning import read_stage_options


class MergeOptions(StrictModel):
    """What a recipe may say under `merge`."""

    dtype: Literal["float32", "bfloat16", "float16"] = "float32"


class ExportOptions(StrictModel):
    """What a recipe may say under `export`."""

    format: Literal["hf", "gguf", "onnx"] = "hf"
    numbers: str | None = None
    """Of the weights: `float32`, `bfloat16` or `float16` (hf), `f32` … `q4_1` (gguf), `float32` or `int8` (onnx)."""


class MergeStage(Stage):
    """Merges the adapter into the base and writes a whole model's folder."""

    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "peft")
    reads: ClassVar[Mapping[str, str]] = {"adapter": "adapter"}
    writes: ClassVar[tuple[str, ...]] = ("model",)

    def check(self, inputs: StageInput) -> None:
        """Read options, and see that the adapter is whole."""
        read_stage_options(inputs, MergeOptions, stage="merge")
        if inputs.adapter is not None:
            check_lora(inputs.adapter)

    def inputs(self, inputs: StageInput) -> Mapping[str, Path]:  # noqa: ARG002 - the contract's
        """Return no files: base and adapter are all."""
        return {}

    def run(self, inputs: StageInput) -> StageOutput:
        """Write the model, and compare it with base and adapter.

        Raises:
            InputError: where there is no adapter, or it does not fit.
            BrokenRunError: where the merged model answers otherwise.
        """
        from harness_stages.exporting.merging import merge

        options, error_at = read_stage_options(inputs, MergeOptions, stage="merge")
        if inputs.adapter is None:
            raise InputError("there is no adapter to merge", **error_at(),
                             hint="put it behind a stage that trains one, or add adapter: to the recipe")  # fmt: skip
        with asking_no_hub():
            written = merge(inputs.base_path, inputs.adapter, options.dtype, inputs.output / "model")
        return StageOutput(others={"model": written.path}, figures=written.figures)


class ExportStage(Stage):
    """Writes base and adapter, or the model of a stage before, in a format of other programs."""

    packages: ClassVar[tuple[str, ...]] = (
        "torch", "transformers", "peft", "gguf", "onnx", "onnxscript", "onnxruntime",
    )  # fmt: skip
    reads: ClassVar[Mapping[str, str]] = {"adapter": "adapter", "model": "model"}
    writes: ClassVar[tuple[str, ...]] = ("export",)

    def check(self, inputs: StageInput) -> None:
        """Read options, and see that what the format needs is installed."""
        options, error_at = read_stage_options(inputs, ExportOptions, stage="export")
        try:
            check_numbers(options.format, options.numbers)
        except InputError as error:
            raise InputError(error.cause, **error_at("numbers"), hint=error.hint) from error
        require_format(options.format, needed_by=f"the stage export with format: {options.format}")
        if inputs.adapter is not None:
            check_lora(inputs.adapter)

    def inputs(self, inputs: StageInput) -> Mapping[str, Path]:  # noqa: ARG002 - the contract's
        """Return no files: what it reads are artifacts."""
        return {}

    def run(self, inputs: StageInput) -> StageOutput:
        """Write the model, read it again, and compare.

        Raises:
            InputError: where the format has no name for the model's architecture.
            BrokenRunError: where a format that loses nothing answers otherwise.
        """
        from harness_stages.exporting.written import load_whole, write

        options, _ = read_stage_options(inputs, ExportOptions, stage="export")
        numbers = check_numbers(options.format, options.numbers)
        model = inputs.others.get("model")
        adapters = [] if model is not None or inputs.adapter is None else [inputs.adapter]
        with asking_no_hub():
            whole = load_whole(model or inputs.base_path, adapters)
            written = write(whole, options.format, numbers, inputs.output / "export")
        return StageOutput(others={"export": written.path}, figures=written.figures)
