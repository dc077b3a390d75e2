"""Writes replies to the cache as they arrive, beside the model's work, so that a killed run loses next to nothing."""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

_TOGETHER = 512
"""Most replies of one transaction."""


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
