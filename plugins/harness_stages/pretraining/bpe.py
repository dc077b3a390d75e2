"""The `bpe` stage: a byte-level BPE vocabulary from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.api import Stage, StageInput, StageOutput, StrictModel
from harness_stages.pretraining.texts import find_texts, read_documents
from harness_stages.tuning import Places, read_stage_options

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|constitutional|>", "<|critique|>", "<|revision|>")
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML, as many bases have it."""


class BPEOptions(StrictModel):
    """What a recipe may say under `bpe`; docs/training.md has the table."""

    data: str | list[str] | None = None
    max_bad_rows: Annotated[float, Field(ge=0, lt=1)] = 0.0
    vocabulary: Annotated[int, Field(ge=300, le=1_000_000)] = 8192
    """Tokens at most, control tokens and the 256 bytes among them."""


class BPEStage(Stage):
    """Learns merges from text, and writes a tokenizer as transformers reads it."""

    packages: ClassVar[tuple[str, ...]] = ("tokenizers", "transformers")
    reads: ClassVar[Mapping[str, str]] = {"dataset": "dataset"}
    writes: ClassVar[tuple[str, ...]] = ("tokenizer",)

    def check(self, inputs: StageInput) -> None:
        """Read options and text."""
        options, error_at = _options(inputs)
        for path in find_texts(inputs, options.data, error_at).values():
            read_documents(path, most_bad=options.max_bad_rows)

    def inputs(self, inputs: StageInput) -> Mapping[str, Path]:
        """Return the files of text."""
        options, error_at = _options(inputs)
        return find_texts(inputs, options.data, error_at)

    def run(self, inputs: StageInput) -> StageOutput:
        """Train and write the tokenizer."""
        options, error_at = _options(inputs)
        documents: list[str] = []
        notes, bad = [], 0
        for path in find_texts(inputs, options.data, error_at).values():
            found, note, count = read_documents(path, most_bad=options.max_bad_rows)
            documents += found
            bad += count
            notes += [note] if note else []
        tokenizer = train_bpe(documents, options.vocabulary)
        folder = inputs.output / "tokenizer"
        tokenizer.save_pretrained(str(folder))
        words = sum(len(text.split()) for text in documents)
        tokens = sum(len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]) for text in documents)
        figures = {
            "vocabulary": float(len(tokenizer)), "words": float(words), "tokens_per_word": tokens / max(1, words),
            "bad_rows": float(bad),
        }  # fmt: skip
        return StageOutput(others={"tokenizer": folder}, figures=figures, note="; ".join(notes))


def _options(inputs: StageInput) -> tuple[BPEOptions, Places]:
    return read_stage_options(inputs, BPEOptions, stage="bpe")


def train_bpe(documents: list[str], vocabulary: int) -> Any:  # noqa: ANN401 - transformers is not typed
    """Return a tokenizer whose merges are learned from the documents; each digit stays a token of its own."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(SPECIAL), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    core.train_from_iterator((part for text in documents for part in _parts(text)), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token=SPECIAL[1], eos_token=SPECIAL[2], unk_token=SPECIAL[0], pad_token=SPECIAL[2],
    )  # fmt: skip
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def _parts(text: str, length: int = 10_000) -> list[str]:
    return [text[start : start + length] for start in range(0, len(text), length)]
