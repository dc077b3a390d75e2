"""ModelCore: every request to any model goes through here, in both phases.

It asks for each distinct request once, looks in the cache first, and keeps each reply as it arrives, so that a run
that is killed loses at most the batch in flight and a repeated run never loads the model.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from numbers import Integral
from time import monotonic
from typing import TYPE_CHECKING

from harness.engine.replies import ReplyCache, ReplyWriter, reply_key
from harness.errors import BaseChangedError, BrokenRunError, InputError
from harness.plugin_code import broken, check_fingerprints, plugin_code
from harness.serial import from_json, to_json
from harness.types import (
    Completion,
    Generate,
    LogLikelihood,
    LogProb,
    NoReply,
    Reply,
    RollingLogLikelihood,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from harness.contracts import Model, Progress
    from harness.engine.spending import Spending
    from harness.types import Candidate, Message, Request

CHARACTERS = 4
"""Of a token, about."""
_HALVES = re.compile("[\ud800-\udfff]")
_STEP = 8
"""A generated token costs about as much as so many that are read."""


@dataclass(kw_only=True)
class Counts:
    """How much was asked, and how much of it of the model itself."""

    requests: int = 0
    model_calls: int = 0
    effort: float = 0.0
    """Of the model's calls; see `efforts`."""
    seconds: float = 0.0
    """That they took, loading included."""

    def minus(self, other: Counts | None) -> Counts:
        """Return what was added since."""
        other = other or Counts()
        return Counts(
            requests=self.requests - other.requests, model_calls=self.model_calls - other.model_calls,
            effort=self.effort - other.effort, seconds=self.seconds - other.seconds,
        )  # fmt: skip


class ModelCore:
    """Answers requests for candidates of one loaded model.

    Args:
        model: the base; candidates bring their adapters.
        cache: where replies are kept; None keeps none, as for an adapter that is still being trained.
        progress: where the bars are drawn.
        spending: counts against the command's limits.
        before: called whenever the model is about to be asked, which may load it.

    Attributes:
        counts: running totals of this core.
    """

    def __init__(
        self, model: Model, cache: ReplyCache | None, progress: Progress, spending: Spending | None = None, *,
        before: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self.model = model
        self._spending = spending
        self._before = before
        self.counts = Counts()
        self._cache = cache
        self._progress = progress
        self._kept = bytearray()
        """Keys of the replies that this core put into the cache, 32 bytes each."""

    def check_base(self) -> None:
        """Prove that the base still is what it was; what it answered is forgotten where it is not.

        Raises:
            BaseChangedError: when it is not.
        """
        with self._believed(), plugin_code(f"the model scheme {self.model.spec.scheme!r}", self.model):
            self.model.check_base()

    @contextmanager
    def _believed(self) -> Iterator[None]:
        """Forget every reply that this core has kept when its base turns out to be changed."""
        try:
            yield
        except BaseChangedError:
            if self._cache is not None:
                self._cache.forget([self._kept[at : at + 32].hex() for at in range(0, len(self._kept), 32)])
            self._kept.clear()
            raise

    def fingerprint(self, candidate: Candidate) -> dict[str, str]:
        """Return what decides the candidate's replies, without loading it.

        Raises:
            InputError: when weights or adapters are absent or do not fit.
            PluginError: when the model raises, or gives something else than a mapping of texts.
        """
        what = f"the model scheme {self.model.spec.scheme!r}"
        with plugin_code(f"the fingerprint of {what}", self.model):
            given = self.model.fingerprint(candidate)
        return check_fingerprints(given, what, self.model)

    def answer(
        self, candidate: Candidate, requests: Sequence[Request], *, label: str, progress: Progress | None = None
    ) -> list[Reply]:
        """Return one reply for each request, in order.

        Args:
            candidate: whose adapters and template are used.
            requests: any kinds, with or without repeats.
            label: what the progress bar says.
            progress: where the bar is drawn, such as one that goes on over several calls; None is the core's own.

        Raises:
            InputError: when the candidate cannot be loaded.
            BrokenRunError: when the model left a request without a reply.
            SpendingLimitError: when a limit was reached; what was answered is kept.
        """
        distinct = list(dict.fromkeys(requests))
        known: dict[Request, Reply] = {
            request: NoReply(reason=f"the model scheme {self.model.spec.scheme!r} cannot answer {request.type}")
            for request in distinct
            if request.type not in self.model.supports
        }
        asked = [request for request in distinct if request not in known]
        keys = self._keys(candidate, asked)
        known.update(self._recall(asked, keys))
        missing = [request for request in asked if request not in known]
        self.counts.requests += len(distinct)
        self.counts.model_calls += len(missing)
        if missing:
            sent = missing if self._spending is None else self._spending.affordable(missing)
            known.update(self._ask(candidate, sent, keys, label, progress or self._progress))
            if self._spending is not None and len(sent) < len(missing):
                raise self._spending.end()
        return [known[request] for request in requests]

    def time(self, candidate: Candidate, requests: Sequence[Request], *, label: str) -> list[Reply]:
        """Return the replies to requests sent one at a time and never from the cache, with their timing."""
        bar = self._progress.start(label, len(requests), unit="requests")
        replies: list[Reply] = []
        try:
            self._before()
            for request in requests:
                if self._spending is not None:
                    self._spending.affordable([request])
                got: dict[int, Reply] = {}
                self.model.answer(candidate, [request], got.__setitem__)
                replies.append(sanitize(got.get(0, NoReply(reason="the model gave no reply"))))
                if self._spending is not None:
                    self._spending.answered(request, replies[-1])
                self.counts.requests += 1
                self.counts.model_calls += 1
                bar.advance()
        finally:
            bar.finish()
        return replies

    def _keys(self, candidate: Candidate, requests: Sequence[Request]) -> dict[Request, str]:
        if self._cache is None or not requests:
            return {}
        fingerprint = self.fingerprint(candidate)
        return {request: reply_key(fingerprint, request) for request in requests}

    def _recall(self, requests: Sequence[Request], keys: Mapping[Request, str]) -> dict[Request, Reply]:
        if self._cache is None:
            return {}
        stored = self._cache.get_many([keys[request] for request in requests])
        known: dict[Request, Reply] = {}
        for request in requests:
            if keys[request] in stored:
                with suppress(InputError):  # a damaged entry is asked again
                    known[request] = from_json(Reply, stored[keys[request]])  # type: ignore[arg-type]
        return known

    def _ask(
        self,
        candidate: Candidate,
        missing: Sequence[Request],
        keys: Mapping[Request, str],
        label: str,
        progress: Progress,
    ) -> dict[Request, Reply]:
        got: dict[Request, Reply] = {}
        tokens = 0
        begin = monotonic()
        bar, steps = progress.start(label, len(missing), unit="requests"), Steps(missing)

        def deliver(index: int, reply: Reply) -> None:
            nonlocal tokens
            reply = check_reply(index, reply, missing, self.model.spec.scheme, self.model)
            request = missing[index]
            got[request] = reply
            if not isinstance(reply, NoReply) and self._cache is not None:
                self._kept += bytes.fromhex(keys[request])
                writer.write(keys[request], to_json(replace(reply, timing=None)).encode())
            if isinstance(reply, Completion):
                tokens += reply.completion_tokens or 0
            elif isinstance(reply, LogProb):
                tokens += reply.tokens
            if self._spending is not None:
                self._spending.answered(request, reply)
            bar.advance(steps.step(index), note=_speed(len(got), tokens, monotonic() - begin))

        writer = ReplyWriter(self._cache)
        try:
            self._before()
            with self._believed(), writer, plugin_code(f"the model scheme {self.model.spec.scheme!r}", self.model):
                self.model.answer(candidate, missing, deliver)
        finally:
            bar.finish()
        self.counts.effort += steps.whole
        self.counts.seconds += monotonic() - begin
        lost = len(missing) - len(got)
        if lost:
            raise BrokenRunError(f"the model left {lost} of {len(missing)} requests unanswered; run again to go on")
        return got


def _speed(requests: int, tokens: int, seconds: float) -> str:
    """Say how fast replies come, in requests where a server does not count its tokens."""
    if seconds <= 0:
        return ""
    return f"{tokens / seconds:.0f} tokens/s" if tokens else f"{requests / seconds:.0f} requests/s"


def efforts(requests: Sequence[Request]) -> list[float]:
    """Return the work of each request, above 0, in tokens that are read."""
    behind = Counter(request.messages for request in requests if isinstance(request, LogLikelihood))
    return [1.0 + _effort(request, behind) for request in requests]


def length(request: Request) -> int:
    """Return how many characters a request has, the continuation included."""
    if isinstance(request, Generate):
        return _length(request.messages)
    return len(request.text) if isinstance(request, RollingLogLikelihood) else (
        _length(request.messages) + len(request.continuation)
    )  # fmt: skip


def _effort(request: Request, behind: Counter[tuple[Message, ...]]) -> float:
    if isinstance(request, Generate):
        return _length(request.messages) / CHARACTERS + _STEP * request.decoding.max_new_tokens
    if isinstance(request, LogLikelihood):
        return (_length(request.messages) / behind[request.messages] + len(request.continuation)) / CHARACTERS
    return len(request.text) / CHARACTERS


def _length(messages: tuple[Message, ...]) -> int:
    return sum(len(message.content) for message in messages)


class Steps:
    """Turns replies in any order into steps of a bar that counts requests but moves with the work.

    Args:
        requests: all of them.
    """

    def __init__(self, requests: Sequence[Request]) -> None:
        self._efforts = efforts(requests)
        self.whole = sum(self._efforts)
        self._left = set(range(len(requests)))
        self._done = 0.0
        self._shown = 0

    def step(self, index: int) -> int:
        """Return by how many requests the bar moves on now that this one is answered; they add up to all."""
        if index in self._left:
            self._left.discard(index)
            self._done += self._efforts[index]
        total = len(self._efforts)
        reached = total if not self._left else min(total, int(total * self._done / self.whole))
        moved = max(0, reached - self._shown)
        self._shown += moved
        return moved


def check_reply(index: object, given: object, requests: Sequence[Request], scheme: str, code: object) -> Reply:
    """Return what a model delivers, sanitized.

    Raises:
        PluginError: when it is no reply, answers none of the `requests`, or is of another kind than was asked for.
    """
    what = f"the model scheme {scheme!r}"
    if not isinstance(given, Completion | LogProb | NoReply):
        raise broken(what, given, "deliver(index, reply) takes a Completion, LogProb or NoReply", code)
    if isinstance(given, Completion) and not isinstance(given.text, str):
        raise broken(what, given.text, "the text of a Completion is a text; what failed is a NoReply(reason=...)", code)
    if not isinstance(index, Integral) or int(index) not in range(len(requests)):
        raise broken(what, index, f"deliver(index, reply) takes an index from 0 to {len(requests) - 1}", code)
    request = requests[int(index)]
    kind = Completion if isinstance(request, Generate) else LogProb
    if not isinstance(given, kind | NoReply):
        wanted = f"a {request.type} request is answered with a {kind.__name__} or a NoReply"
        raise broken(what, given, f"{wanted}; name what it can answer in `supports`", code)
    return sanitize(given)


def sanitize(reply: Reply) -> Reply:
    """Return a reply that can be stored and scored: half surrogate pairs become U+FFFD, NaN and infinities no reply."""
    if isinstance(reply, Completion):
        text = _HALVES.sub("\N{REPLACEMENT CHARACTER}", reply.text)
        return reply if text == reply.text else replace(reply, text=text)
    if isinstance(reply, LogProb) and not math.isfinite(reply.logprob):
        return NoReply(reason=f"the model gave {reply.logprob} for a logarithm of a probability")
    return reply
