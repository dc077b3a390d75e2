"""The scheduler of programs: all live ones advance in lock step, and what they ask in a round is asked together."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Generic, TypeVar

from harness.errors import unknown_name
from harness.plugin_code import PluginError, broken, check_requests, plugin_code
from harness.types import ROLES, Asks, NoReply, Program, Replies, Reply, Request, RollingLogLikelihood

T = TypeVar("T")
Answer = Callable[[str, Sequence[Request]], Sequence[Reply]]
"""Asks a role distinct requests; replies in their order."""

MOST_ROUNDS = 100
"""A program that still asks after so many rounds asks for ever."""
BATCH_REQUESTS = 4096
"""Requests of a batch: enough that the model's last one of each, which is not full, costs a percent or two."""
BATCH_CHARACTERS = 8_000_000
"""Characters of a batch's requests: where texts are long, fewer of them stand in memory."""


def guarded(make: Callable[[], Program[T]], what: str, code: object, *, roles: Sequence[str] = ROLES) -> Program[T]:
    """Return a plugin's program with its mistakes turned into sentences.

    Args:
        make: calls the plugin, which gives the program.
        what: the subject of the sentences, such as `the critic 'c' on the sample 's1'`.
        code: the plugin's object, for its file.
        roles: whom it may ask.

    Raises:
        PluginError: when it is no generator, raises, yields something else than `ask(...)`, asks a role that it may
            not, or goes on for `MOST_ROUNDS`.
    """
    with plugin_code(what, code):
        program = make()
    if not isinstance(program, Generator):
        raise broken(what, program, "write a generator, which asks by `yield ask(role, request, ...)`", code)
    replies: Replies | None = None
    for _ in range(MOST_ROUNDS):
        with plugin_code(what, code):
            try:
                asks = program.send(replies)  # type: ignore[arg-type] # a generator begins with None
            except StopIteration as end:
                result: T = end.value
                return result
        if not isinstance(asks, Asks):
            raise broken(what, asks, 'yield ask("judge", request, ...), or what several of them add up to', code)
        check_requests([request for _, request in asks.questions], what, code)
        for role, _ in asks.questions:
            if role not in ROLES:
                wrong = unknown_name("role", role, ROLES)
                raise PluginError(f"{what}: {wrong.cause}; {wrong.hint}")
            if role not in roles:
                raise PluginError(
                    f"{what} asks the role {role!r}, which its `roles` do not name; mend the plugin: add {role!r} there"
                )
        replies = tuple(untimed(reply) for reply in (yield asks))
    program.close()
    raise PluginError(f"{what} asks and asks: stopped after {MOST_ROUNDS} rounds; mend the plugin")


class Live(Generic[T]):
    """A program on its way.

    Attributes:
        asks: what it waits for; None once it has returned.
        result: what it returned.
    """

    result: T

    def __init__(self, program: Program[T]) -> None:
        self._program = program
        self.asks: Asks | None = None
        self.send(None)

    def send(self, replies: Replies | None) -> None:
        """Go on with the replies to what it asks."""
        try:
            self.asks = self._program.send(replies)  # type: ignore[arg-type]
        except StopIteration as end:
            self.asks, self.result = None, end.value

    def close(self) -> None:
        """Give up."""
        with suppress(Exception):  # what it does then is no reason any more
            self._program.close()


def together(lives: Sequence[Live[T]]) -> Program[list[T]]:
    """Advance programs in lock step, as one program; returns their results in order."""
    try:
        while waiting := [(live, live.asks) for live in lives if live.asks is not None]:
            replies = yield Asks(tuple(question for _, asks in waiting for question in asks.questions))
            place = 0
            for live, asks in waiting:
                end = place + len(asks.questions)
                live.send(replies[place:end])
                place = end
    finally:
        for live in lives:
            live.close()
    return [live.result for live in lives]


def run(program: Program[T], answer: Answer) -> T:
    """Run a program to its end. Equal requests of a round to one role are asked once."""
    live = Live(program)
    try:
        while live.asks is not None:
            live.send(_answered(live.asks, answer))
    finally:
        live.close()
    return live.result


def _answered(asks: Asks, answer: Answer) -> Replies:
    distinct: dict[str, dict[Request, None]] = {}
    for role, request in asks.questions:
        distinct.setdefault(role, {})[request] = None
    known = {
        (role, request): reply
        for role, requests in distinct.items()
        for request, reply in zip(requests, answer(role, list(requests)), strict=True)
    }
    return tuple(known[question] for question in asks.questions)


def untimed(reply: Reply) -> Reply:
    """Return a reply as the cache would give it."""
    return reply if isinstance(reply, NoReply) or reply.timing is None else replace(reply, timing=None)


class Batch:
    """How much a batch holds so far."""

    def __init__(self) -> None:
        self._requests = self._characters = 0

    def add(self, requests: Iterable[Request]) -> bool:
        """Count the requests of one more member, and tell whether the batch should end here."""
        before = self._requests
        for request in requests:
            self._requests += 1
            self._characters += _length(request)
        self._requests += self._requests == before  # what asks nothing takes memory too
        return self._requests >= BATCH_REQUESTS or self._characters >= BATCH_CHARACTERS


def _length(request: Request) -> int:
    if isinstance(request, RollingLogLikelihood):
        return len(request.text)
    return sum(len(message.content) for message in request.messages)


def batches(programs: Iterable[Program[T]]) -> Iterator[list[Live[T]]]:
    """Start programs, and cut them into batches by what they ask first; only one batch stands in memory."""
    lives: list[Live[T]] = []
    batch = Batch()
    for program in programs:
        lives.append(Live(program))
        asks = lives[-1].asks
        if batch.add(() if asks is None else (request for _, request in dict.fromkeys(asks.questions))):
            yield lives
            lives, batch = [], Batch()
    if lives:
        yield lives


def run_all(programs: Iterable[Program[T]], answer: Answer) -> list[T]:
    """Run programs side by side, a batch at a time; returns their results in order."""
    found: list[T] = []
    for lives in batches(programs):
        found += run(together(lives), answer)
    return found
