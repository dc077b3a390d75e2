"""The `pretrain` stage: a decoder from scratch, or the base trained on, on plain text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from harness.api import InputError, Stage, StageInput, StageOutput
from harness_stages.pretraining.sizes import SIZES, training_bytes, training_flops
from harness_stages.pretraining.texts import Texts, find_texts, read_texts
from harness_stages.tuning import OptimiserOptions, Places, Scheduler, read_stage_options, require


class PretrainOptions(OptimiserOptions):
    """What a recipe may say under `pretrain`; docs/training.md has the table."""

    data: str | list[str] | None = None
    """Text files, or JSON Lines with `text`, relative to the recipe; None takes the dataset of the stage before."""
    max_bad_rows: Annotated[float, Field(ge=0, lt=1)] = 0.0
    start: Literal["scratch", "base"] = "scratch"
    """Weights drawn at random in the shape of `size`, or the recipe's base."""
    size: Literal["nano", "micro", "small", "medium", "large"] = "nano"
    context: Annotated[int, Field(ge=16)] | None = None
    """Tokens of a row; None is the size's own, or the base's up to 1024."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Share of the text that is held out: the end of each of a few documents, else whole documents."""
    evaluate_every: Annotated[int, Field(ge=1)] | None = None
    """Optimizer steps between two measurements; None: ten in all."""
    samples: Annotated[int, Field(ge=0, le=20)] = 3
    """Texts that the trained model writes, kept beside it."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the matrix products (mixed precision); weights and their sums stay in float32."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] | None = None  # type: ignore[assignment]
    """The peak; None is the size's own, and 2e-5 where the base is trained on."""
    scheduler: Scheduler = "cosine"
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 0.1
    batch_size: Annotated[int, Field(ge=1)] = 16


@dataclass(frozen=True, kw_only=True)
class PretrainPlan:
    """A `pretrain` stage, read and checked as far as it can be without the model."""

    options: PretrainOptions
    texts: Texts
    tokenizer: Path | None
    """Folder; None takes the base's."""
    error_at: Places


class PretrainStage(Stage):
    """Trains all weights of a decoder on packed plain text, and writes the model's folder."""

    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "accelerate")
    together: ClassVar[bool] = True
    reads: ClassVar[Mapping[str, str]] = {"dataset": "dataset", "tokenizer": "tokenizer"}
    writes: ClassVar[tuple[str, ...]] = ("model",)

    def check(self, inputs: StageInput) -> None:
        """Read options and text, and see that what training needs is installed."""
        self._plan(inputs)
        require("datasets", stage="pretrain")

    def inputs(self, inputs: StageInput) -> Mapping[str, Path]:
        """Return the files of text."""
        options, error_at = read_stage_options(inputs, PretrainOptions, stage="pretrain")
        return find_texts(inputs, options.data, error_at)

    def forecast(self, inputs: StageInput) -> str:
        """Say how many hours and how much memory it would take on this machine, by a measurement of half a second."""
        from harness_stages.pretraining.machine import USED, measure

        plan = self._plan(inputs)
        options = plan.options
        if options.start == "base":
            return ""
        size = SIZES[options.size]
        vocabulary = vocabulary_of(plan, inputs)
        characters = sum(map(len, plan.texts.learned))
        context = options.context or size.context
        step = options.batch_size * options.gradient_accumulation * context
        tokens = options.max_steps * step if options.max_steps else characters / 3.5 * options.epochs
        speed = measure(inputs.device, options.dtype)
        again = options.gradient_checkpointing
        hours = training_flops(size.parameters(vocabulary), int(tokens), again=again) / (speed.flops * USED) / 3600
        need = training_bytes(
            size, vocabulary, batch_size=options.batch_size, context=context, mixed=speed.dtype == "bfloat16",
            again=again,
        )  # fmt: skip
        fits = "fits" if need < speed.memory else "does not fit"
        return (
            f"{size.parameters(vocabulary) / 1e6:.0f} million weights, about {tokens / 1e6:.3g} million tokens in "
            f"{math.ceil(tokens / step)} steps: about {hours:.2g} hours at {USED:.0%} of the {speed.flops / 1e9:.0f} "
            f"GFLOP/s measured on {speed.device} in {speed.dtype}, and {need / 1e9:.2g} GB, which {fits} in the "
            f"{speed.memory / 1e9:.2g} GB that are free"
        )

    def run(self, inputs: StageInput) -> StageOutput:
        """Train and write the model.

        Raises:
            InputError: where there is no tokenizer, or too little text.
            BrokenRunError: where the loss is not a number any more, or memory ran out.
        """
        plan = self._plan(inputs)
        from harness_stages.pretraining.training import train

        return train(inputs, plan)

    @staticmethod
    def _plan(inputs: StageInput) -> PretrainPlan:
        options, error_at = read_stage_options(inputs, PretrainOptions, stage="pretrain")
        texts = read_texts(
            list(find_texts(inputs, options.data, error_at).values()), most_bad=options.max_bad_rows,
            share=options.validation, seed=inputs.seed,
        )  # fmt: skip
        if not texts.learned or not texts.held_out:
            raise InputError("there is too little text to hold some out", **error_at("data"), hint="add text")
        if inputs.model.name == "none" and options.start == "base":
            raise InputError("the recipe's base is none", **error_at("start"), hint="name a base, or start: scratch")
        return PretrainPlan(options=options, texts=texts, tokenizer=inputs.others.get("tokenizer"), error_at=error_at)


def vocabulary_of(plan: PretrainPlan, inputs: StageInput) -> int:
    """Return the number of tokens of the tokenizer as far as it is there; 49152 where it will be the base's."""
    folder = plan.tokenizer or inputs.base_path
    file = folder / "tokenizer.json"
    if not file.is_file():
        return 49_152
    from tokenizers import Tokenizer

    return int(Tokenizer.from_file(str(file)).get_vocab_size())
