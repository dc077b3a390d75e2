"""A request on its way through the open queue: its events, its reply, and the way to give it up."""

from __future__ import annotations

from queue import SimpleQueue
from threading import Event as Signal
from typing import TYPE_CHECKING

from harness.api import Event, HarnessError, NoReply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.api import Reply

CANCELLED = NoReply(reason="cancelled before it was answered")


class QueueFullError(HarnessError):
    """As many requests wait as the queue holds; the caller may try again later."""


class Handle:
    """One submitted request. Any thread may read it or cancel it."""

    def __init__(self) -> None:
        self._events: SimpleQueue[Event | BaseException] = SimpleQueue()
        self._done = Signal()
        self._reply: Reply | None = None
        self._error: BaseException | None = None
        self._cancelled = Signal()

    @property
    def done(self) -> bool:
        """Whether the reply, or what went wrong, is known."""
        return self._done.is_set()

    @property
    def cancelled(self) -> bool:
        """Whether somebody gave it up."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Give the request up: its row is freed before the next step, and its reply is a NoReply that says so."""
        self._cancelled.set()

    def events(self) -> Iterator[Event]:
        """Yield the pieces of text as they come, and last the event with the whole reply. For one reader.

        Raises:
            Exception: what went wrong with the request.
        """
        while True:
            event = self._events.get()
            if isinstance(event, BaseException):
                raise event
            yield event
            if event.reply is not None:
                return

    def wait(self) -> None:
        """Wait until it is answered, given up or failed."""
        self._done.wait()

    def result(self, timeout: float | None = None) -> Reply:
        """Wait for the reply.

        Args:
            timeout: seconds; None waits as long as it takes.

        Raises:
            TimeoutError: when it is not there by then.
            Exception: what went wrong with the request.
        """
        if not self._done.wait(timeout):
            raise TimeoutError(f"no reply within {timeout:g} seconds")
        if self._error is not None:
            raise self._error
        assert self._reply is not None  # noqa: S101 - for the type checker
        return self._reply

    def push(self, text: str) -> None:
        """Hand on a piece of text."""
        self._events.put(Event(text=text))

    def finish(self, reply: Reply) -> None:
        """Hand on the reply; what comes later is left out."""
        if not self.done:
            self._reply = reply
            self._events.put(Event(reply=reply))
            self._done.set()

    def fail(self, error: BaseException) -> None:
        """Hand on what went wrong."""
        if not self.done:
            self._error = error
            self._events.put(error)
            self._done.set()
