"""Worker processes that never outlive the process that started them, however it ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from threading import Thread
from typing import TYPE_CHECKING, Any

from harness.api import BrokenRunError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


@contextmanager
def workers(count: int, begin: Callable[..., None], *arguments: object) -> Iterator[ProcessPoolExecutor]:
    """Run worker processes for the length of a block.

    However the block is left, by an error or Ctrl-C too, they have ended when it is, and work that waits is dropped.
    They end by themselves when this process is killed: each holds the far end of a pipe that is open as long as this
    process lives, and leaves when it closes.

    Args:
        count: processes.
        begin: called in each before any work; must be importable.
        arguments: of `begin`.

    Raises:
        BrokenRunError: when a worker was ended from outside.
    """
    context = get_context("spawn")
    far, near = context.Pipe(duplex=False)
    try:
        with ProcessPoolExecutor(
            count, mp_context=context, initializer=_start, initargs=(far, begin, arguments)
        ) as pool:
            try:
                yield pool
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                near.close()  # the workers leave what they are at: nobody waits for it any more
                raise
    except BrokenProcessPool as error:
        raise BrokenRunError(
            "a process of the audit was ended from outside, perhaps for want of memory; run the audit again, with "
            "--jobs 1 where memory is short"
        ) from error
    finally:
        near.close()
        far.close()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep Ctrl-C from the processes that are started in the block: a terminal sends it to all, and only one answers.

    Blocked signals stay blocked in a new process from its first instruction on. Here they arrive when the block ends.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(far: Connection, begin: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Prepare a worker: it ends with the process that started it, also while it still prepares."""
    Thread(target=_end_with, args=(far,), daemon=True).start()
    begin(*arguments)


def _end_with(far: Connection) -> None:
    far.poll(None)  # nothing is ever sent: it returns when the other end is closed
    os._exit(1)
