"""Conversations to tokens and labels: exactly what the model sees at inference, and loss on its answers alone.

At inference the `hf` model's renderer renders and encodes the prompt, and the model's own tokens follow. Training
uses that same renderer for the prompt; the answer is encoded on its own behind it, and the answer's tokens with the one
that ends the turn are the labels. Everything else is masked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api import InputError, Message, TemplateRefusalError
from harness_stages.rows import TrainingRow
from harness_stages.served import make_renderer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from harness_stages.served import Prompt

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


class Encoder:
    """Encodes training rows for one base.

    Args:
        tokenizer: the base's.
        end_ids: tokens at which generation stops; the tokenizer's end of text is always one.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, end_ids: frozenset[int] = frozenset()) -> None:
        self._tokenizer = tokenizer
        self._renderer = make_renderer(tokenizer, "auto")
        own = tokenizer.eos_token_id
        self._end_ids = end_ids | (frozenset() if own is None else {int(own)})
        self._default_end = [] if own is None else [int(own)]

    def encode(
        self, rows: Sequence[TrainingRow], *, max_length: int, path: Path, answer_tokens: int | None = None
    ) -> list[Encoded]:
        """Encode every row; a conversation whose turns do not continue one token sequence becomes several.

        Args:
            rows: conversations.
            max_length: tokens of a row; longer answers are cut.
            path: where the rows stand, for errors.
            answer_tokens: of each row's last answer, how many are learned; what is behind is left out. None: all.

        Raises:
            InputError: naming file and line, where a prompt alone fills `max_length` or the template refuses a row.
        """
        encoded: list[Encoded] = []
        for row in rows:
            try:
                parts = list(self._sequences(row))
            except TemplateRefusalError as error:
                raise InputError(str(error), file=path, line=row.line, hint="see the model's chat template") from error
            encoded += [_fit(_opened(part, answer_tokens), max_length, path) for part in parts]
        return encoded

    def turn(self, prompt: Sequence[Message], answer: str, *, ended: bool = True) -> tuple[list[int], list[int]]:
        """Return the tokens of a prompt, and those behind it: the answer's, and where it is `ended` the turn's end.

        Raises:
            TemplateRefusalError: where the chat template refuses the conversation.
        """
        rendered = self._renderer.render(prompt)
        messages = [*prompt, Message(role="assistant", content=answer)]
        return self._renderer.encode([rendered])[0], self._answer(rendered, messages, ended=ended)

    def _sequences(self, row: TrainingRow) -> Iterator[Encoded]:
        """Yield one sequence per run of turns whose next prompt continues the tokens so far."""
        ids: list[int] = []
        labels: list[int] = []
        for index, message in enumerate(row.messages):
            if message.role != "assistant":
                continue
            prompt = self._renderer.render(row.messages[:index])
            prompt_ids = self._renderer.encode([prompt])[0]
            cut = row.cut and index == len(row.messages) - 1
            answer = self._answer(prompt, row.messages[: index + 1], ended=not cut)
            if ids and prompt_ids[: len(ids)] != ids:
                yield Encoded(input_ids=ids, labels=labels, line=row.line)
                ids, labels = [], []
            labels = labels + [IGNORED] * (len(prompt_ids) - len(ids)) + answer
            ids = prompt_ids + answer
        yield Encoded(input_ids=ids, labels=labels, line=row.line)

    def _answer(self, prompt: Prompt, messages: Sequence[Message], *, ended: bool = True) -> list[int]:
        """Return the tokens that the model should produce behind the prompt, and where `ended` the end of its turn."""
        content = messages[-1].content
        if not ended or not prompt.chat:
            joint = "" if prompt.chat or prompt.text[-1:].isspace() else " "
            return self._renderer.content(joint + content.strip()) + (self._default_end if ended else [])
        whole = self._renderer.whole(messages)
        behind = whole[len(prompt.text) :] if whole.startswith(prompt.text) else ""
        shown = content if behind.startswith(content) else content.strip()  # some templates strip contents
        tokens = self._renderer.content(shown)
        if behind.startswith(shown):
            ending = list(self._tokenizer(behind[len(shown) :], add_special_tokens=False)["input_ids"])
            for index, token in enumerate(ending):
                if token in self._end_ids:  # what the template writes behind it is never generated
                    return tokens + ending[: index + 1]
        return tokens + self._default_end


def read_end_ids(base: Path) -> frozenset[int]:
    """Return the tokens at which the base's generation stops, as its generation_config.json or config.json says."""
    for name in ("generation_config.json", "config.json"):
        try:
            given = json.loads((base / name).read_text("utf-8")).get("eos_token_id")
        except (OSError, ValueError):
            continue
        listed = given if isinstance(given, list) else [given]
        found = frozenset(int(token) for token in listed if isinstance(token, int))
        if found:
            return found
    return frozenset()


def _opened(part: Encoded, tokens: int | None) -> Encoded:
    """Leave out what stands behind the first tokens of the last answer."""
    if tokens is None:
        return part
    before = max((index + 1 for index, label in enumerate(part.labels) if label == IGNORED), default=0)
    end = before + tokens
    return Encoded(input_ids=part.input_ids[:end], labels=part.labels[:end], line=part.line)


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
