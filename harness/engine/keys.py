"""What a reply is remembered by: the model's fingerprint and the request, never rendered tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.hashing import sha256_json
from harness.types import Generate, LogLikelihood

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.types import Message, Request

FORMAT = 2
"""Raised whenever a stored reply would no longer mean the same, or must not be believed: those of format 1 may come
from a base that an adapter's file had overwritten."""

REPLY_FORMAT = "reply format"
"""Under what name a run's environment says the format of the replies that it rests on; none says 1."""


def _turns(messages: tuple[Message, ...]) -> list[list[str]]:
    return [[message.role, message.content] for message in messages]


def request_content(request: Request) -> list[Any]:
    """Return all of a request that decides its reply, as JSON values.

    The seed and the draw of a greedy request are left out: they decide nothing.
    """
    if isinstance(request, Generate):
        decoding = request.decoding
        sampled = [decoding.seed, request.draw] if decoding.temperature > 0 else []
        return [
            "generate",
            _turns(request.messages),
            decoding.max_new_tokens,
            decoding.temperature,
            decoding.top_p if sampled else 1.0,
            list(decoding.stop),
            sampled,
        ]
    if isinstance(request, LogLikelihood):
        return ["log_likelihood", _turns(request.messages), request.continuation]
    return ["rolling_log_likelihood", request.text, *([] if request.stride is None else [request.stride])]


def reply_key(fingerprint: Mapping[str, str], request: Request) -> str:
    """Return the cache key of a reply, 64 hexadecimal digits."""
    return sha256_json([FORMAT, dict(fingerprint), request_content(request)])


def finding_key(fingerprint: str, text: str) -> str:
    """Return the cache key of a classifier's findings on a text."""
    return sha256_json([FORMAT, "findings", fingerprint, text.encode("utf-8", "backslashreplace").decode("utf-8")])
