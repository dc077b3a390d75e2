"""Spending limits: how much a command may ask of models before it ends, with everything kept that was answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from harness.errors import SpendingLimitError
from harness.types import Completion, Generate, RollingLogLikelihood

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.types import Reply, Request

T = TypeVar("T")
_CHARACTERS = 4
"""Of a token, about: where a model does not count them."""


@dataclass(kw_only=True)
class Spending:
    """Counts what a command asks of models, whichever they are; what the cache answers costs nothing.

    Args:
        max_requests: to models.
        max_tokens: read and written, as the model counts them, else a token for four characters.
        max_minutes: from the first question on.
    """

    max_requests: int | None = None
    max_tokens: int | None = None
    max_minutes: float | None = None
    clock: Callable[[], float] = monotonic
    requests: int = 0
    tokens: int = 0
    _begun: float | None = field(default=None, repr=False)

    def affordable(self, requests: Sequence[T]) -> Sequence[T]:
        """Return as many of the requests, from the first on, as may still be sent.

        Raises:
            SpendingLimitError: when a limit is reached already.
        """
        if self._begun is None:
            self._begun = self.clock()
        self._check(requests_too=True)
        left = None if self.max_requests is None else self.max_requests - self.requests
        return requests if left is None else requests[:left]

    def answered(self, request: Request, reply: Reply) -> None:
        """Count a reply.

        Raises:
            SpendingLimitError: when it was the last that a limit of tokens or minutes allows.
        """
        self.requests += 1
        self.tokens += tokens(request, reply)
        self._check(requests_too=False)

    def end(self) -> SpendingLimitError:
        """Return the error that ends a command whose requests are spent."""
        return self._error(f"--max-requests {self.max_requests}")

    def _check(self, *, requests_too: bool) -> None:
        if requests_too and self.max_requests is not None and self.requests >= self.max_requests:
            raise self.end()
        if self.max_tokens is not None and self.tokens >= self.max_tokens:
            raise self._error(f"--max-tokens {self.max_tokens}")
        begun = self.clock() if self._begun is None else self._begun
        if self.max_minutes is not None and self.clock() - begun >= self.max_minutes * 60:
            raise self._error(f"--max-minutes {self.max_minutes:g}")

    def _error(self, limit: str) -> SpendingLimitError:
        return SpendingLimitError(
            f"stopped at {limit}, after {self.requests:,} requests and about {self.tokens:,} tokens: no run was "
            "written, every reply is kept, and the same command goes on from here"
        )


def tokens(request: Request, reply: Reply) -> int:
    """Return the tokens read and written for a reply, as far as they are counted, else by their characters."""
    if isinstance(request, RollingLogLikelihood):
        return max(1, len(request.text) // _CHARACTERS)
    read = sum(len(message.content) for message in request.messages) // _CHARACTERS
    if isinstance(request, Generate):
        if not isinstance(reply, Completion):
            return read
        read = read if reply.prompt_tokens is None else reply.prompt_tokens
        written = len(reply.text) // _CHARACTERS if reply.completion_tokens is None else reply.completion_tokens
        return read + written
    return read + max(1, len(request.continuation) // _CHARACTERS)
