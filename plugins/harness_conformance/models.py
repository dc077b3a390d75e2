"""The contract of a model, checked: for the tests of those who write a backend."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness_conformance.contract import Where, faults, loaded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.api import LogProb, Reply, Request

_NEAR = 1e-3
"""By how much a log-probability may change with what shares its batch: sums in another order."""


def assert_model(reference: str, *, plugins: Where = (), offline: bool = False) -> None:
    """Ask a model a few short questions of each kind that it supports, and check what it promises.

    A fingerprint of texts that is the same twice; one reply to each request, of the right kind; log-probabilities of at
    most 0 over at least one token; no more new tokens than were allowed; and replies that do not depend on what shares
    their batch or on its order.

    Args:
        reference: as for --model, such as `parrot:hello`.
        plugins: as for -p; paths are relative to the current folder.
        offline: open no socket.

    Raises:
        ContractError: with everything that does not hold.
        InputError: for a reference or plugin that is not there.
        BrokenRunError: when the model raises, or delivers what is no reply.
    """
    __tracebackhide__ = True
    from harness.api import Candidate, NoProgress, RunContext
    from harness.api.asking import ModelPool
    from harness.api.checking import ModelCore, keep_libraries_offline
    from harness.api.weights import weights_dir
    from harness.api.workspace import resolve_base

    if offline:
        keep_libraries_offline()
    registries = loaded(plugins).registries
    base = resolve_base(reference, registries)
    candidate = Candidate(model=base)
    context = RunContext(offline=offline, weights=weights_dir())
    with ModelPool(registries, context, None, NoProgress()) as pool:
        core: ModelCore = pool.core(base)
        problems = []
        if core.fingerprint(candidate) != ModelCore(core.model, None, NoProgress()).fingerprint(candidate):
            problems.append("its fingerprint is another one at each call")
        requests = [request for request in _requests() if request.type in core.model.supports]
        together = core.answer(candidate, requests, label="together")
        backwards = core.answer(candidate, requests[::-1], label="backwards")[::-1]
        unbatched = [core.answer(candidate, [request], label="unbatched")[0] for request in requests]
        for request, *replies in zip(requests, together, backwards, unbatched, strict=True):
            problems += [f"{request.type}: {problem}" for problem in _problems(request, replies)]
    with faults(reference) as found:
        found.extend(problems)


def _requests() -> Iterator[Request]:
    from harness.api import Decoding, Generate, LogLikelihood, Message, RollingLogLikelihood

    for text in ("Say hello.", "Which is larger, the sun or the moon? Answer in one word.", "Zähle bis drei."):
        messages = (Message(role="user", content=text),)
        yield Generate(messages=messages, decoding=Decoding(max_new_tokens=8))
        yield LogLikelihood(messages=messages, continuation="Yes")
        yield LogLikelihood(messages=messages, continuation="a longer answer")
        yield RollingLogLikelihood(text=text)


def _problems(request: Request, replies: Sequence[Reply]) -> Iterator[str]:
    from harness.api import Completion, Generate, LogProb, NoReply

    for reply in replies:
        if isinstance(reply, NoReply):
            yield f"no reply ({reply.reason})"
            return
        if isinstance(reply, LogProb) and (reply.logprob > 0 or reply.tokens < 1):
            yield f"a log-probability of {reply.logprob:g} over {reply.tokens} tokens; it is at most 0, over at least 1"
        if isinstance(reply, Completion) and isinstance(request, Generate):
            most = request.decoding.max_new_tokens
            if reply.completion_tokens is not None and reply.completion_tokens > most:
                yield f"{reply.completion_tokens} new tokens, and max_new_tokens was {most}"
    first = replies[0]
    for other, how in zip(replies[1:], ("in another order", "alone"), strict=True):
        if isinstance(first, Completion) and isinstance(other, Completion) and first.text != other.text:
            yield f"the reply is another one when it is asked {how}: {first.text!r}, {other.text!r}"
        if isinstance(first, LogProb) and isinstance(other, LogProb) and not _near(first, other):
            yield f"log p is another one when it is asked {how}: {first.logprob:g}, {other.logprob:g}"


def _near(one: LogProb, other: LogProb) -> bool:
    return math.isclose(one.logprob, other.logprob, rel_tol=_NEAR, abs_tol=_NEAR)
