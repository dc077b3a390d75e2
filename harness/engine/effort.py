"""How far a batch of requests has come, by work and not by number: long ones come first, and a bar should know that.

The work of a request is guessed from its size alone: characters of what is scored behind a context, a share of the
context for each of those that stand behind it, and for a completion what it may generate, which costs far more a token.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from harness.types import Generate, LogLikelihood, RollingLogLikelihood

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.types import Message, Request

CHARACTERS = 4
"""Of a token, about."""
_STEP = 8
"""A generated token costs about as much as so many that are read."""


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
