"""Scores continuations of any length and whole texts by what a server tells of a prompt's tokens."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.api import NoReply, Reply, Timing
from harness_models.remote.answers import RequestFailedError
from harness_models.remote.prompts import NOT_TOLD, Told, after, beyond, read_echo, read_prompt, split

if TYPE_CHECKING:
    from harness.api import Message

Post = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""Sends a body to a path of the server."""
Answered = list[tuple[int, Reply]]


def plain(messages: Sequence[Message]) -> str:
    """Return a conversation without a template, as local models read it: contents joined by blank lines."""
    return "\n\n".join(message.content for message in messages)


class PromptScores:
    """Asks one server, and remembers whether it tells a chat's prompt tokens at all.

    Args:
        post: sends to the server.
        model: the model's name there.
    """

    def __init__(self, post: Post, model: str) -> None:
        self._post = post
        self._model = model
        self.tells = True
        """Whether the server may tell the tokens of a chat; one answer without them says that it does not."""
        self._goes_on = False
        """Whether it was seen that the server ends a prompt where an unfinished reply does."""

    async def of_chat(self, messages: Sequence[Message], wanted: Sequence[tuple[int, str]]) -> Answered | None:
        """Score continuations of a conversation as a reply that has begun, with the server's own template.

        None where the server does not tell, and it is then not asked again.
        """
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            context = await self._told(turns, {"add_generation_prompt": True})
        except RequestFailedError:
            self.tells = False
            return None
        found: Answered = []
        going_on = {"add_generation_prompt": False, "continue_final_message": True}
        for index, text in wanted:
            begin = time.perf_counter()
            try:
                whole = await self._told([*turns, {"role": "assistant", "content": text}], going_on)
            except RequestFailedError as error:
                found.append((index, NoReply(reason=str(error))))
                continue
            if not self._goes_on and not await self._ends_there(turns, text, whole):
                self.tells = False
                return None
            self._goes_on = True
            timing = Timing(total=time.perf_counter() - begin)
            found.append((index, after(whole, split(context, whole), timing)))
        return found

    async def _ends_there(self, turns: Sequence[Mapping[str, str]], text: str, told: Sequence[Told]) -> bool:
        """Tell whether a begun reply's tokens are the last: a server that closes the turn has its end's tokens too."""
        try:
            closed = await self._told(
                [*turns, {"role": "assistant", "content": text}], {"add_generation_prompt": False}
            )
        except RequestFailedError:
            return False
        return [token.name for token in closed] != [token.name for token in told]

    async def of_plain(self, messages: Sequence[Message], wanted: Sequence[tuple[int, str]]) -> Answered:
        """Score continuations of plain text, joined by a space as local models read it."""
        context = plain(messages)
        joint = "" if not context or context[-1].isspace() else " "
        return [await self._of_text(index, context, joint + text) for index, text in wanted]

    async def of_text(self, index: int, text: str) -> Answered:
        """Score a whole text but for its first token, which stands behind nothing."""
        return [await self._of_text(index, "", text)]

    async def _of_text(self, index: int, context: str, text: str) -> tuple[int, Reply]:
        prompt = context + text
        body = {"prompt": prompt, "max_tokens": 1, "echo": True, "logprobs": 1, "temperature": 0.0}
        begin = time.perf_counter()
        try:
            told = read_echo(await self._post("completions", {"model": self._model, **body}), prompt)
        except RequestFailedError as error:
            return index, NoReply(reason=str(error))
        start = beyond(told, len(context)) if context else int(told[0].logprob is None)
        return index, after(told, start, Timing(total=time.perf_counter() - begin))

    async def _told(self, turns: Sequence[Mapping[str, str]], more: Mapping[str, Any]) -> list[Told]:
        body = {"model": self._model, "messages": list(turns), "max_tokens": 1, "prompt_logprobs": 0, **more}
        found = read_prompt(await self._post("chat/completions", body))
        if len(found) < len(turns):  # a list for something else
            raise RequestFailedError(NOT_TOLD)
        return found
