"""From conversations to token ids: the chat template, and text where there is none.

Contents are untrusted: a message that spells out one of the tokenizer's control tokens, such as an end-of-turn mark, is
encoded as the letters it consists of, so that no message can end its own turn or speak for another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.api import InputError, TemplateRefusalError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.api import Message
    from harness_models.hf.templates import ChatTemplate

_FIRST_SENTINEL = 0xF0000  # a private plane of Unicode: no text of ours or of a template has its characters


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A rendered conversation."""

    text: str
    chat: bool
    """Rendered by a template, which brings its own special tokens; else plain text."""
    spelled: tuple[str, ...]
    """Control tokens spelled out in messages, in the order of the sentinels that stand for them in `text`."""


class Renderer:
    """Renders and encodes for one tokenizer and one template.

    Args:
        tokenizer: a transformers tokenizer.
        template: `auto`, `none`, or the text of a Jinja template (rendered in a sandbox, within bounds).

    Raises:
        InputError: when the template is not valid Jinja.
    """

    def __init__(self, tokenizer: Any, template: str) -> None:  # noqa: ANN401
        self._tokenizer = tokenizer
        own = tokenizer.chat_template if template == "auto" else None if template == "none" else template
        text: str | None = own if isinstance(own, str) else (own or {}).get("default")
        self._controls = sorted({token for token in tokenizer.all_special_tokens if token}, key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, self._controls))) if self._controls else None
        self._template = None if text is None else _compiled(text)

    @property
    def chat(self) -> bool:
        """Whether a template renders conversations; else they are plain text."""
        return self._template is not None

    def render(self, messages: Sequence[Message]) -> Prompt:
        """Render a conversation up to where the model's turn begins.

        Without a template the contents are joined by blank lines. A conversation that ends with the assistant's turn
        is continued within that turn.

        Raises:
            TemplateRefusalError: when the template refuses the conversation.
        """
        spelled: list[str] = []
        turns = [{"role": message.role, "content": self._mask(message.content, spelled)} for message in messages]
        text = self._rendered(turns, "continued" if messages and messages[-1].role == "assistant" else "prompt")
        return Prompt(text=text, chat=self.chat, spelled=tuple(spelled))

    def whole(self, messages: Sequence[Message]) -> str:
        """Render a conversation that ends with the assistant's turn, and close that turn; raises as `render`."""
        return self._rendered([{"role": message.role, "content": message.content} for message in messages], "none")

    def _rendered(self, turns: Sequence[Mapping[str, str]], ending: str) -> str:
        if self._template is None:
            return "\n\n".join(turn["content"] for turn in turns)
        from jinja2 import TemplateError

        try:
            return self._template.render(turns, self._tokenizer.special_tokens_map, ending=ending)
        except (TemplateError, TypeError, ValueError) as error:
            raise TemplateRefusalError(f"the chat template refuses this conversation: {error}") from error

    def encode(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Return token ids. Plain text gets the tokenizer's own special tokens around it, rendered text none."""
        result: list[list[int]] = [[] for _ in prompts]
        for chat in (True, False):
            chosen = [index for index, prompt in enumerate(prompts) if prompt.chat is chat and not prompt.spelled]
            if chosen:
                texts = [prompts[index].text for index in chosen]
                for index, ids in zip(chosen, self._encode(texts, special=not chat), strict=True):
                    result[index] = ids
        for index, prompt in enumerate(prompts):
            if prompt.spelled:
                result[index] = self._encode_spelled(prompt)
        return result

    def continuation(self, prompt: Prompt, text: str) -> Prompt:
        """Return the prompt with a continuation behind it: joined by a space where there is no template."""
        spelled = list(prompt.spelled)
        joint = "" if prompt.chat or not prompt.text or prompt.text[-1].isspace() else " "
        return Prompt(text=prompt.text + joint + self._mask(text, spelled), chat=prompt.chat, spelled=tuple(spelled))

    def content(self, text: str) -> list[int]:
        """Return the tokens of untrusted text alone; control tokens that it spells out stay their letters."""
        return self.encode([self.continuation(Prompt(text="", chat=True, spelled=()), text)])[0]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of generated tokens, without control tokens."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _mask(self, text: str, spelled: list[str]) -> str:
        """Put a sentinel for each control token that the text spells out."""
        if self._control is None:
            return text

        def sentinel(match: re.Match[str]) -> str:
            spelled.append(match.group())
            return chr(_FIRST_SENTINEL + len(spelled) - 1)

        return self._control.sub(sentinel, text)

    def _encode(self, texts: list[str], *, special: bool) -> list[list[int]]:
        ids: list[list[int]] = self._tokenizer(texts, add_special_tokens=special)["input_ids"]
        return ids

    def _encode_spelled(self, prompt: Prompt) -> list[int]:
        sentinels = {chr(_FIRST_SENTINEL + number): token for number, token in enumerate(prompt.spelled)}
        ids: list[int] = []
        parts = re.split(f"([{''.join(sentinels)}])", prompt.text)
        if not parts[0] and not prompt.chat:  # a text that begins with a spelled token has a beginning too
            ids += self._encode([""], special=True)[0]
        for part in parts:
            if part in sentinels:
                ids += self._tokenizer(sentinels[part], add_special_tokens=False, split_special_tokens=True)[
                    "input_ids"
                ]
            elif part:
                ids += self._encode([part], special=not prompt.chat and not ids)[0]
        return ids


def _compiled(template: str) -> ChatTemplate:
    from jinja2 import TemplateSyntaxError

    from harness_models.hf.templates import ChatTemplate

    try:
        return ChatTemplate(template)
    except TemplateSyntaxError as error:
        raise InputError(
            f"the chat template is not valid Jinja (line {error.lineno}: {error.message})",
            hint="use `auto`, `none`, or mend the template",
        ) from error
    except RecursionError as error:
        raise InputError("the chat template is nested too deep", hint="use `auto` or `none`") from error
