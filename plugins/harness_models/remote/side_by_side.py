"""Runs coroutines on an event loop of its own, a bounded number at a time, for a caller that is not asynchronous.

The loop has a thread of its own, so that it works where the caller's thread has a loop already, such as a notebook;
so that slow work on results, such as writing them to disk, holds no connection up; and so that connections outlive one
call.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")
Job = Callable[[], Awaitable[T]]
_APART = 0.001
"""Seconds between the first jobs, so that they do not come, and come back, as one crowd."""
_PATIENCE = 5.0
"""Seconds to wait for called-off work to end."""
_GLANCE = 0.2
"""Seconds after which a waiting thread looks up: a Ctrl-C that arrives just before it sleeps would not wake it."""


class SideBySide:
    """An event loop in a thread; close it after use."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai", daemon=True)
        self._thread.start()

    def run(self, work: Awaitable[T]) -> T:
        """Run one coroutine to its end."""
        return asyncio.run_coroutine_threadsafe(_awaited(work), self._loop).result()

    def each(self, jobs: Iterable[Job[T]], at_once: int) -> Generator[T, None, None]:
        """Run jobs, at most `at_once` at a time, and give each result as it arrives, to the thread that asks.

        Jobs are taken one by one, as room becomes free. The first exception calls off the rest, and is raised after the
        results that came before it. Closing the generator calls off the rest too.
        """
        results: SimpleQueue[tuple[T] | None] = SimpleQueue()
        all_jobs = iter(jobs)

        async def work(number: int) -> None:
            await asyncio.sleep(number * _APART)
            for job in all_jobs:
                results.put((await job(),))

        async def crew() -> None:
            async with asyncio.TaskGroup() as group:
                for number in range(at_once):
                    group.create_task(work(number))

        whole = asyncio.run_coroutine_threadsafe(crew(), self._loop)
        whole.add_done_callback(lambda _: results.put(None))
        try:
            while (result := _next(results)) is not None:
                yield result[0]
            _reraise(whole.exception())
        finally:
            whole.cancel()

    def close(self) -> None:
        """Call off whatever still runs, and end the thread."""
        if self._loop.is_closed():
            return

        async def end() -> None:
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(end(), self._loop).result(_PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        if not self._thread.is_alive():
            self._loop.close()


def _next(results: SimpleQueue[T]) -> T:
    while True:
        with suppress(Empty):
            return results.get(timeout=_GLANCE)


async def _awaited(work: Awaitable[T]) -> T:
    return await work


def _reraise(error: BaseException | None) -> None:
    """Raise what one worker raised, out of the group that it comes in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if error is not None:
        raise error
