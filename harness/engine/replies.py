"""What is remembered of replies: the keys that they are found by, and the writer that keeps them as they arrive.

A reply's key is of the model's fingerprint and the request, never of rendered tokens. It is written beside the model's
work, so that a killed run loses next to nothing.
"""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, Self

from harness.hashing import sha256_json
from harness.types import Generate, LogLikelihood

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from harness.types import Message, Request

FORMAT = 2
"""Raised whenever a stored reply would no longer mean the same, or must not be believed: those of format 1 may come
from a base that an adapter's file had overwritten."""

_TOGETHER = 512
"""Most replies of one transaction."""
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


class ReplyCache(Protocol):
    """What the core needs of a cache; `harness.store.cache.Cache` is one."""

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return what is known of the keys."""
        ...

    def put_many(self, items: Mapping[str, bytes]) -> None:
        """Remember the items, all or none; may be called from any thread."""
        ...

    def forget(self, keys: Sequence[str]) -> None:
        """Forget what is remembered under the keys."""
        ...


class ReplyWriter:
    """Takes replies at once, and commits them in a thread of its own: whatever has arrived while the last commit ran.

    A context manager: when the block has ended, by an exception too, all that was taken is committed.

    Args:
        cache: where replies go; None keeps none.
    """

    def __init__(self, cache: ReplyCache | None) -> None:
        self._cache = cache
        self._queue: SimpleQueue[tuple[str, bytes] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def write(self, key: str, value: bytes) -> None:
        """Take one reply.

        Raises:
            BrokenRunError: when an earlier one could not be written, such as to a full disk.
        """
        if self._error is not None:
            raise self._error
        if self._cache is None:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._commit, args=(self._cache,), name="cache", daemon=True)
            self._thread.start()
        self._queue.put((key, value))

    def __enter__(self) -> Self:
        """Begin; the thread starts with the first reply."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit the rest."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        if self._error is not None and error is None:
            raise self._error

    def _commit(self, cache: ReplyCache) -> None:
        ended = False
        while not ended:
            item = self._queue.get()
            batch: dict[str, bytes] = {}
            while item is not None:
                batch[item[0]] = item[1]
                if len(batch) == _TOGETHER:
                    break
                try:
                    item = self._queue.get_nowait()
                except Empty:
                    break
            ended = item is None
            if batch and self._error is None:
                try:
                    cache.put_many(batch)
                except Exception as error:  # noqa: BLE001 - whatever it is, the thread that delivers raises it
                    self._error = error
