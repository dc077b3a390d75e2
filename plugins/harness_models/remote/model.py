"""The `openai` model: chat completions of a remote server, asked side by side."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from harness.contracts import Model
from harness.errors import InputError
from harness.types import (
    Candidate,
    Completion,
    Generate,
    LogLikelihood,
    LogProb,
    Message,
    NoReply,
    Reply,
    Request,
    Timing,
)
from harness_models.remote.client import Client, Limits, RequestFailedError

if TYPE_CHECKING:
    from harness.contracts import Surroundings
    from harness.types import ModelSpec

_AT_ONCE = 8
"""Requests in flight."""
_MOST_STOPS = 4
"""The protocol allows no more; the rest are cut here."""
_TOP = 20
"""The protocol's most alternatives to a token."""


class OpenAIModel(Model):
    """A remote model. Its weights cannot be checked, so that replies are keyed by server, name and day.

    Log-likelihoods are had for continuations of one token, such as Yes and No, from the probabilities that the server
    gives with the first token of its reply; a continuation that is not among them is a NoReply.
    """

    supports: ClassVar[frozenset[str]] = frozenset({"generate", "log_likelihood"})
    verifiable: ClassVar[bool] = False
    limits: ClassVar[Limits] = Limits()

    def __init__(self, spec: ModelSpec, surroundings: Surroundings) -> None:
        super().__init__(spec, surroundings)
        self._client: Client | None = None
        self._length_key = "max_tokens"

    def fingerprint(self, candidate: Candidate) -> Mapping[str, str]:
        """Return server, model and the day in UTC.

        Raises:
            InputError: when the candidate has what a server cannot use: adapters, or a template.
        """
        self._check(candidate)
        return {
            "base": f"unverifiable {self.spec.name}",
            "endpoint": self.spec.endpoint or "",
            "day": datetime.now(UTC).date().isoformat(),
            "adapters": "",
            "dtype": "unknown",
            "backend": "openai-compatible 1",
            "template": candidate.template,
        }

    def answer(self, candidate: Candidate, requests: Sequence[Request], deliver: Callable[[int, Reply], None]) -> None:
        """Ask the server, several requests at a time; replies are delivered from this thread as they arrive.

        Raises:
            InputError: offline, or when the server refuses every request alike.
            BrokenRunError: when the server cannot be reached.
        """
        self._check(candidate)
        if self.surroundings.offline:
            raise InputError(
                f"{self.spec.reference} is a server, and offline mode opens no connection",
                hint="run without --offline, or use a local model",
            )
        if self._client is None:
            self._client = Client(self.spec.endpoint or "", self.limits)
        client = self._client
        pool = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="openai")
        try:
            work: dict[Future[list[tuple[int, Reply]]], None] = {}
            for messages, indices in _by_conversation(requests).items():
                likely = [(index, request.continuation) for index, request in indices]
                work[pool.submit(self._likelihoods, client, messages, likely)] = None
            for index, request in enumerate(requests):
                if isinstance(request, Generate):
                    work[pool.submit(self._completion, client, index, request)] = None
                elif not isinstance(request, LogLikelihood):
                    deliver(index, NoReply(reason="a server's chat endpoint gives no probability of a whole text"))
            for future in as_completed(work):
                for index, reply in future.result():
                    deliver(index, reply)
        except BaseException:
            self.close()  # so that an interruption, or the first of many equal faults, need not wait for the rest
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def facts(self) -> Mapping[str, str]:
        """Say which server answered."""
        return {"device": "remote", "dtype": "unknown", "backend": f"openai-compatible server {self.spec.endpoint}"}

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _check(self, candidate: Candidate) -> None:
        if candidate.adapters:
            raise InputError(
                f"the server behind {self.spec.reference} cannot take the adapter {candidate.adapters[0].reference}",
                hint="serve the adapter there under a name of its own, and ask for that name",
            )
        if candidate.template != "auto":
            raise InputError(
                f"the server behind {self.spec.reference} applies its own chat template", hint="leave out --template"
            )

    # ------------------------------------------------------------ one request

    def _completion(self, client: Client, index: int, request: Generate) -> list[tuple[int, Reply]]:
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
            answer = self._ask(client, request.messages, body)
            reply: Reply = _read_completion(answer, decoding.stop, time.perf_counter() - begin)
        except RequestFailedError as error:
            reply = NoReply(reason=str(error))
        return [(index, reply)]

    def _likelihoods(
        self, client: Client, messages: tuple[Message, ...], wanted: Sequence[tuple[int, str]]
    ) -> list[tuple[int, Reply]]:
        """One token of reply gives the probabilities of all single-token continuations of a conversation."""
        body = {"temperature": 1.0, "logprobs": True, "top_logprobs": _TOP, self._length_key: 1}
        begin = time.perf_counter()
        try:
            found = _read_alternatives(self._ask(client, messages, body))
        except RequestFailedError as error:
            return [(index, NoReply(reason=str(error))) for index, _ in wanted]
        timing = Timing(total=time.perf_counter() - begin)
        return [(index, _likelihood(text, found, timing)) for index, text in wanted]

    def _ask(self, client: Client, messages: Sequence[Message], body: Mapping[str, Any]) -> dict[str, Any]:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        whole = {"model": self.spec.name, "messages": turns, **body}
        try:
            return client.post("chat/completions", whole)
        except RequestFailedError as error:
            if "max_completion_tokens" not in str(error) or "max_tokens" not in whole:
                raise
        # Newer models of one vendor refuse the older name of this option.
        self._length_key = "max_completion_tokens"
        whole[self._length_key] = whole.pop("max_tokens")
        return client.post("chat/completions", whole)


def _by_conversation(requests: Sequence[Request]) -> dict[tuple[Message, ...], list[tuple[int, LogLikelihood]]]:
    found: dict[tuple[Message, ...], list[tuple[int, LogLikelihood]]] = {}
    for index, request in enumerate(requests):
        if isinstance(request, LogLikelihood):
            found.setdefault(request.messages, []).append((index, request))
    return found


# ---------------------------------------------------------------- reading what a server sends, which may be anything


def _choice(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise RequestFailedError("the server's reply has no choices")
    return choices[0]


def _read_completion(answer: Mapping[str, Any], stop: Sequence[str], seconds: float) -> Completion:
    choice = _choice(answer)
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else None
    ended = choice.get("finish_reason")
    if ended == "content_filter":
        raise RequestFailedError("the server filtered its reply")
    if not isinstance(text, str):
        raise RequestFailedError("the server's reply has no text")
    cut = [place for place in (text.find(string) for string in stop) if place >= 0]
    usage = answer.get("usage")
    return Completion(
        text=text[: min(cut)] if cut else text,
        prompt_tokens=_count(usage, "prompt_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
        finish="length" if ended == "length" and not cut else "stop",
        timing=Timing(total=seconds),
    )


def _count(usage: object, key: str) -> int | None:
    value = usage.get(key) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and value >= 0 else None


def _read_alternatives(answer: Mapping[str, Any]) -> dict[str, float]:
    """Return the log-probabilities of the first token's alternatives, most probable first."""
    logprobs = _choice(answer).get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    first = content[0] if isinstance(content, list) and content else None
    tops = first.get("top_logprobs") if isinstance(first, dict) else None
    if not isinstance(tops, list) or not tops:
        raise RequestFailedError("the server gives no probabilities of tokens")
    found: dict[str, float] = {}
    for top in tops:
        token, logprob = (top.get("token"), top.get("logprob")) if isinstance(top, dict) else (None, None)
        if not isinstance(token, str) or isinstance(logprob, bool) or not isinstance(logprob, int | float):
            continue
        if math.isfinite(logprob):  # NaN would become 0, which is certainty
            found.setdefault(token, min(0.0, float(logprob)))
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _likelihood(text: str, found: Mapping[str, float], timing: Timing) -> Reply:
    if text not in found:
        return NoReply(reason=f"{text!r} is not one of the {len(found)} most probable first tokens the server names")
    return LogProb(logprob=found[text], tokens=1, is_greedy=next(iter(found)) == text, timing=timing)
