"""Conversations to tokens and labels: exactly what the model sees at inference, and loss on its answers alone.

At inference the prompt is rendered with the chat template and the turn's opening, tokenized, and the model's tokens
follow. Training does the same: the prompt's tokens come from the same text, the answer is tokenized on its own, and the
answer's tokens with the one that ends the turn are the labels. Everything else is masked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.types import Message
from harness_stages.rows import TrainingRow

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""The label of tokens that bear no loss, as PyTorch's cross entropy has it."""


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """One row for the trainer."""

    input_ids: list[int]
    labels: list[int]
    """As long as `input_ids`; IGNORED where there is no loss."""
    line: int
    truncated: bool = False
    """Whether the answer was cut at `max_length`."""

    @property
    def learned(self) -> int:
        """Count the tokens that bear loss."""
        return sum(label != IGNORED for label in self.labels)


def render_prompt(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> tuple[str, bool]:
    """Return the text that asks for the next assistant turn, and whether special tokens still have to be added to it.

    With a chat template it opens the assistant's turn, and the template has written the special tokens. Without one
    the turns are joined by blank lines and the tokenizer adds its own.
    """
    if tokenizer.chat_template:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return str(text), False
    return "\n\n".join(message.content for message in messages), True


def encode_rows(
    rows: Sequence[TrainingRow], tokenizer: PreTrainedTokenizerBase, *, max_length: int, path: Path
) -> list[Encoded]:
    """Encode every row; a conversation whose turns do not render as one text becomes several.

    Raises:
        InputError: naming file and line, where a prompt alone fills `max_length` or the template refuses a row.
    """
    encoded: list[Encoded] = []
    for row in rows:
        try:
            parts = list(_encode(row, tokenizer))
        except Exception as error:  # templates are code of the model's authors and raise what they like
            raise InputError(f"the chat template refuses this row ({error})", file=path, line=row.line) from error
        encoded += [_fit(part, max_length, path) for part in parts]
    return encoded


def _encode(row: TrainingRow, tokenizer: PreTrainedTokenizerBase) -> Iterator[Encoded]:
    """Yield one sequence per run of turns whose next prompt continues the tokens so far."""
    ids: list[int] = []
    labels: list[int] = []
    for index, message in enumerate(row.messages):
        if message.role != "assistant":
            continue
        text, special = render_prompt(tokenizer, row.messages[:index])
        prompt = _tokens(tokenizer, text, special=special)
        answer = answer_tokens(tokenizer, row.messages[: index + 1], text)
        if ids and prompt[: len(ids)] != ids:
            yield Encoded(input_ids=ids, labels=labels, line=row.line)
            ids, labels = [], []
        labels = labels + [IGNORED] * (len(prompt) - len(ids)) + answer
        ids = prompt + answer
    yield Encoded(input_ids=ids, labels=labels, line=row.line)


def answer_tokens(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], prompt: str) -> list[int]:
    """Return the tokens of the last message as the model should produce them behind `prompt`, end of turn included."""
    content = messages[-1].content
    if not tokenizer.chat_template:
        joint = "" if prompt[-1:].isspace() else " "
        return [*_tokens(tokenizer, joint + content.strip(), special=False), *_end_of_text(tokenizer)]
    turns = [{"role": message.role, "content": message.content} for message in messages]
    whole = str(tokenizer.apply_chat_template(turns, tokenize=False))
    behind = whole[len(prompt) :] if whole.startswith(prompt) else ""
    shown = content if behind.startswith(content) else content.strip()
    tokens = _tokens(tokenizer, shown, special=False)
    special = set(tokenizer.all_special_ids)
    if shown and behind.startswith(shown):
        ending = _tokens(tokenizer, behind[len(shown) :], special=False)
        for index, token in enumerate(ending):
            if token in special:  # generation stops here: what the template writes after it is never generated
                return tokens + ending[: index + 1]
    return tokens + _end_of_text(tokenizer)


def _end_of_text(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    return [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]


def _tokens(tokenizer: PreTrainedTokenizerBase, text: str, *, special: bool) -> list[int]:
    return list(tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]) if text else []


def _fit(part: Encoded, max_length: int, path: Path) -> Encoded:
    if len(part.input_ids) <= max_length:
        return part
    cut = Encoded(
        input_ids=part.input_ids[:max_length], labels=part.labels[:max_length], line=part.line, truncated=True
    )
    if not cut.learned:
        prompt = next(index for index, label in enumerate(part.labels) if label != IGNORED)
        raise InputError(
            f"the prompt alone takes {prompt} of max_length {max_length} tokens, so nothing of the answer is left",
            file=path, line=part.line, hint="raise max_length or shorten the row",
        )  # fmt: skip
    return cut
