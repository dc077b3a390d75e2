"""The `tokenizer` stage: the base's vocabulary with terms of a corpus, as an adapter that brings them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from harness.api import InputError, Stage, StageInput, StageOutput
from harness_stages.pretraining.texts import Texts, find_texts, read_texts
from harness_stages.tuning import LoraOptions, OptimiserOptions, Places, read_stage_options, require_training

CONTROL = ("<|constitutional|>", "<|critique|>", "<|revision|>")


class VocabularyOptions(LoraOptions, OptimiserOptions):
    """What a recipe may say under `tokenizer`; docs/training.md has the table."""

    data: str | list[str] | None = None
    """Text files, or JSON Lines with `text`; None takes the dataset of the stage before."""
    max_bad_rows: Annotated[float, Field(ge=0, lt=1)] = 0.0
    technical: Annotated[int, Field(ge=0)] = 500
    code: Annotated[int, Field(ge=0)] = 300
    entities: Annotated[int, Field(ge=0)] = 200
    control: Annotated[list[str], Field(default_factory=lambda: list(CONTROL))]
    """Control tokens, which no message can spell out."""
    least: Annotated[int, Field(ge=1)] = 3
    """Times that a term stands in the corpus."""
    context: Annotated[int, Field(ge=16)] = 256
    """Tokens of a row of the training."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the text that is held out, for tokens per word and the loss."""
    r: Annotated[int, Field(ge=1, le=1024)] = 8
    alpha: Annotated[float, Field(gt=0)] = 16
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 5e-4


@dataclass(frozen=True, kw_only=True)
class VocabularyPlan:
    """A `tokenizer` stage, read and checked as far as it can be without the model."""

    options: VocabularyOptions
    texts: Texts
    error_at: Places


class VocabularyStage(Stage):
    """Finds terms, gives them rows, and trains these with a LoRA adapter on the corpus."""

    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "tokenizers", "peft", "accelerate")
    reads: ClassVar[Mapping[str, str]] = {"adapter": "adapter", "dataset": "dataset"}

    def check(self, inputs: StageInput) -> None:
        """Read options and text, and see that what training needs is installed."""
        require_training(self._plan(inputs).options, stage="tokenizer")

    def inputs(self, inputs: StageInput) -> Mapping[str, Path]:
        """Return the files of text."""
        options, error_at = read_stage_options(inputs, VocabularyOptions, stage="tokenizer")
        return find_texts(inputs, options.data, error_at)

    def run(self, inputs: StageInput) -> StageOutput:
        """Train and write the adapter.

        Raises:
            InputError: where the corpus has no terms, or a control token is one of the base's already.
            BrokenRunError: where the loss is not a number any more, or memory ran out.
        """
        plan = self._plan(inputs)
        from harness_stages.pretraining.vocabulary_training import train

        return train(inputs, plan)

    @staticmethod
    def _plan(inputs: StageInput) -> VocabularyPlan:
        options, error_at = read_stage_options(inputs, VocabularyOptions, stage="tokenizer")
        if inputs.adapter is not None:
            raise InputError(
                "a vocabulary is extended before anything is trained on it, and there is an adapter already",
                **error_at(), hint="put this stage first, and leave out adapter:",
            )  # fmt: skip
        texts = read_texts(
            list(find_texts(inputs, options.data, error_at).values()), most_bad=options.max_bad_rows,
            share=options.validation, seed=inputs.seed,
        )  # fmt: skip
        if not texts.learned or not texts.held_out:
            raise InputError("there is too little text to hold some out", **error_at("data"), hint="add text")
        return VocabularyPlan(options=options, texts=texts, error_at=error_at)
