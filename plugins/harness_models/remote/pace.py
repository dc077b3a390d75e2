"""The pace that all requests to one server share: how many at once, and since when nobody may ask.

A server that says "too many" means all of us, so that one such answer makes every request wait, and halves how many go
at once; each answered request gives a little back (additive increase, multiplicative decrease, as TCP does it: Chiu and
Jain, Computer Networks and ISDN Systems 17, 1989).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness_models.remote.limits import Limits

_SPREAD = 0.1
"""Requests that waited together come back spread over this share of their wait."""


class Pace:
    """Lets requests go, of one event loop.

    Args:
        most: requests at once while the server does not mind.
        limits: how long to wait.

    Attributes:
        pauses: pauses since the last answer; a server that never answers only makes it grow.
    """

    def __init__(self, most: int, limits: Limits) -> None:
        self.pauses = 0
        self._most = most
        self._room = float(most)
        self._limits = limits
        self._under_way = 0
        self._slowed = -1.0
        self._resume = 0.0
        self._waiting: list[asyncio.Future[None]] = []
        self._random = random.Random()  # noqa: S311 - jitter

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[float]:
        """Wait for a turn, and hold it for the length of the block; gives when it began, in the loop's seconds."""
        loop = asyncio.get_running_loop()
        while True:
            pause = self._resume - loop.time()
            if pause > 0:
                await asyncio.sleep(pause * (1 + _SPREAD * self._random.random()))
            elif self._under_way >= int(self._room):
                place = loop.create_future()
                self._waiting.append(place)
                try:
                    await place
                finally:
                    if place in self._waiting:
                        self._waiting.remove(place)
            else:
                break
        self._under_way += 1
        try:
            yield loop.time()
        finally:
            self._under_way -= 1
            self._call()

    def answered(self) -> None:
        """Take note of an answer: the server keeps up."""
        self.pauses = 0
        if self._room < self._most:
            self._room = min(self._most, self._room + 1 / self._room)
            self._call()

    def slow(self, began: float) -> bool:
        """Let fewer go at once; tell whether this was news, and not one more answer to the same crowd."""
        if began <= self._slowed:
            return False
        self._slowed = asyncio.get_running_loop().time()
        self._room = max(1.0, self._room / 2)
        return True

    def pause(self, began: float, asked: float | None, wait: float) -> None:
        """Let nobody go for a while.

        Args:
            began: when the attempt began that the server put off.
            asked: seconds of its Retry-After, if it gave any.
            wait: seconds otherwise.
        """
        news = self.slow(began)
        self.pauses += news
        if asked is None and not news:
            return
        seconds = wait if asked is None else min(asked, 2 * self._limits.longest_wait)
        self._resume = max(self._resume, asyncio.get_running_loop().time() + seconds)

    def share(self) -> float:
        """Return a random number in [0, 1), for jitter."""
        return self._random.random()

    def _call(self) -> None:
        free = int(self._room) - self._under_way
        while self._waiting and free > 0:
            place = self._waiting.pop(0)
            if not place.done():  # it may have been called off
                place.set_result(None)
                free -= 1
