"""The `openai` model: chat completions of a remote server, asked side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from harness.api import (
    Candidate,
    Generate,
    InputError,
    LogLikelihood,
    LogProb,
    Message,
    Model,
    NoReply,
    Reply,
    Request,
    RollingLogLikelihood,
    Timing,
)
from harness_models.remote.answers import RequestFailedError
from harness_models.remote.limits import Limits
from harness_models.remote.replies import likelihood, read_alternatives, read_completion
from harness_models.remote.scoring import PromptScores, plain
from harness_models.remote.tools import as_text, native

if TYPE_CHECKING:
    from harness.api import ModelSpec, RunContext
    from harness_models.remote.client import Client
    from harness_models.remote.side_by_side import SideBySide

Answered = list[tuple[int, Reply]]
Jobs = Iterator[Callable[[], Coroutine[Any, Any, Answered]]]
_MOST_STOPS = 4
"""The protocol allows no more; the rest are cut here."""
_TOP = 20
"""The protocol's most alternatives to a token."""


class OpenAIModel(Model):
    """A remote model. Its weights cannot be checked, so that replies are keyed by server, name and day.

    Log-likelihoods are had for continuations of one token, such as Yes and No, from the probabilities that the server
    gives with the first token of its reply. Where one is not among them, all of its conversation are asked of the
    prompt's own tokens, which some servers tell (`prompt_logprobs`); where the server does not, it is a NoReply.
    Tools go as the server's own `tools`; one that refuses them is told of them in the system prompt, as `facts` say.
    Without a template (`none`), texts go to `/completions`, and scores come from what it echoes.
    """

    supports: ClassVar[frozenset[str]] = frozenset({"generate", "log_likelihood", "rolling_log_likelihood"})
    verifiable: ClassVar[bool] = False
    limits: ClassVar[Limits] = Limits()

    def __init__(self, spec: ModelSpec, context: RunContext) -> None:
        super().__init__(spec, context)
        self._opened: tuple[SideBySide, Client] | None = None
        self._length_key = "max_tokens"
        self._scores: PromptScores | None = None
        self._tools: bool | None = None
        """Whether the server takes tools; None until it was asked with some."""

    def fingerprint(self, candidate: Candidate) -> Mapping[str, str]:
        """Return server, model and the day in UTC.

        Raises:
            InputError: when the candidate has what a server cannot use: adapters, or a template of its own.
        """
        self._check(candidate)
        return {
            "base": f"unverifiable {self.spec.name}",
            "endpoint": self.spec.endpoint or "",
            "day": datetime.now(UTC).date().isoformat(),
            "adapters": "",
            "dtype": "unknown",
            "backend": "openai-compatible 2",
            "template": candidate.template,
        }

    def answer(self, candidate: Candidate, requests: Sequence[Request], deliver: Callable[[int, Reply], None]) -> None:
        """Ask the server, several requests at a time; replies are delivered from this thread as they arrive.

        Raises:
            InputError: offline, or when the server refuses every request alike.
            BrokenRunError: when the server cannot be reached.
        """
        self._check(candidate)
        if self.context.offline:
            raise InputError(
                f"{self.spec.reference} is a server, and offline mode opens no connection",
                hint="run without --offline, or use a local model",
            )
        side, client = self._open()
        chat = candidate.template == "auto"
        for index, request in enumerate(requests):
            if chat and isinstance(request, RollingLogLikelihood):
                deliver(index, NoReply(reason="a chat gives no probability of a whole text; ask with --template none"))
        try:
            with closing(side.each(self._jobs(client, requests, chat=chat), self.context.concurrency)) as answered:
                for replies in answered:
                    for index, reply in replies:
                        deliver(index, reply)
        except BaseException:
            self.close()  # so that an interruption, or the first of many equal faults, need not wait for the rest
            raise

    def _open(self) -> tuple[SideBySide, Client]:
        if self._opened is None:
            from harness_models.remote.client import Client
            from harness_models.remote.side_by_side import SideBySide

            side, given = SideBySide(), self.context

            async def connect() -> Client:
                endpoint = self.spec.endpoint or ""
                return Client(endpoint, self.limits, at_once=given.concurrency, timeout=given.timeout)

            self._opened = side, side.run(connect())
        return self._opened

    def _jobs(self, client: Client, requests: Sequence[Request], *, chat: bool) -> Jobs:
        """Give what is to be asked, one by one: nothing waits in memory but what is in flight."""
        if self._scores is None:
            self._scores = PromptScores(client.post, self.spec.name)
        for messages, indices in _by_conversation(requests).items():
            if chat:
                yield partial(self._likelihoods, client, messages, indices)
            else:
                yield partial(self._scores.of_plain, messages, indices)
        for index, request in enumerate(requests):
            if isinstance(request, Generate):
                yield partial(self._completion, client, index, request, chat=chat)
            elif isinstance(request, RollingLogLikelihood) and not chat:
                yield partial(self._scores.of_text, index, request.text)

    def facts(self) -> Mapping[str, str]:
        """Say which server answered."""
        tools = {} if self._tools is None else {"tools": "the server's own" if self._tools else "in the system prompt"}
        backend = f"openai-compatible server {self.spec.endpoint}"
        return {"device": "remote", "dtype": "unknown", "backend": backend, **tools}

    def close(self) -> None:
        """Close the connections."""
        if self._opened is not None:
            (side, client), self._opened, self._scores = self._opened, None, None
            try:
                side.run(client.close())
            finally:
                side.close()

    def _check(self, candidate: Candidate) -> None:
        if candidate.adapters:
            raise InputError(
                f"the server behind {self.spec.reference} cannot take the adapter {candidate.adapters[0].reference}",
                hint="serve the adapter there under a name of its own, and ask for that name",
            )
        if candidate.template not in {"auto", "none"}:
            raise InputError(
                f"the server behind {self.spec.reference} applies its own chat template",
                hint="leave out --template, or say none for plain text",
            )

    # ------------------------------------------------------------ one request

    async def _completion(self, client: Client, index: int, request: Generate, *, chat: bool) -> Answered:
        decoding = request.decoding
        body: dict[str, Any] = {
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "seed": decoding.seed + request.draw,
            self._length_key: decoding.max_new_tokens,
        }
        if decoding.stop:
            body["stop"] = list(decoding.stop[:_MOST_STOPS])
        begin = time.perf_counter()
        try:
            if chat:
                answer = await self._answered(client, request.messages, body)
            else:
                given = {"model": self.spec.name, "prompt": plain(request.messages), **body}
                answer = await client.post("completions", given)
            reply: Reply = read_completion(answer, decoding.stop, time.perf_counter() - begin)
        except RequestFailedError as error:
            reply = NoReply(reason=str(error))
        return [(index, reply)]

    async def _likelihoods(
        self, client: Client, messages: tuple[Message, ...], wanted: Sequence[tuple[int, str]]
    ) -> Answered:
        """One token of reply gives the probabilities of all single-token continuations of a conversation.

        Where it does not give all, all are asked of the prompt's tokens: choices are compared by one measure.
        """
        body = {"temperature": 1.0, "logprobs": True, "top_logprobs": _TOP, self._length_key: 1}
        begin = time.perf_counter()
        try:
            found = read_alternatives(await self._ask(client, messages, body))
            timing = Timing(total=time.perf_counter() - begin)
            first: Answered = [(index, likelihood(text, found, timing)) for index, text in wanted]
        except RequestFailedError as error:
            first = [(index, NoReply(reason=str(error))) for index, _ in wanted]
        scores, found_all = self._scores, all(isinstance(reply, LogProb) for _, reply in first)
        if found_all or scores is None or not scores.tells:
            return first
        return await scores.of_chat(messages, wanted) or first

    async def _answered(
        self, client: Client, messages: Sequence[Message], body: Mapping[str, Any]
    ) -> dict[str, Any]:  # fmt: skip
        """Ask with the server's own tools, where the conversation has some and the server takes them."""
        turns, tools = native(messages)
        if not tools or self._tools is False:
            return await self._ask(client, messages, body)
        try:
            answer = as_text(await self._ask(client, messages, {**body, "messages": turns, "tools": tools}))
        except RequestFailedError:
            if self._tools:
                raise
            answer = await self._ask(client, messages, body)  # raises where the tools are not what it minds
            self._tools = False
            return answer
        self._tools = True
        return answer

    async def _ask(self, client: Client, messages: Sequence[Message], body: Mapping[str, Any]) -> dict[str, Any]:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        whole = {"model": self.spec.name, "messages": turns, **body}
        try:
            return await client.post("chat/completions", whole)
        except RequestFailedError as error:
            if "max_completion_tokens" not in str(error) or "max_tokens" not in whole:
                raise
        # Newer models of one vendor refuse the older name of this option.
        self._length_key = "max_completion_tokens"
        whole[self._length_key] = whole.pop("max_tokens")
        return await client.post("chat/completions", whole)


def _by_conversation(requests: Sequence[Request]) -> dict[tuple[Message, ...], list[tuple[int, str]]]:
    found: dict[tuple[Message, ...], list[tuple[int, str]]] = {}
    for index, request in enumerate(requests):
        if isinstance(request, LogLikelihood):
            found.setdefault(request.messages, []).append((index, request.continuation))
    return found
