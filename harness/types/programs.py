"""Programs: whatever asks models, as a generator that yields what it asks and is sent the replies."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from harness.types.asking import Candidate, Reply, Request

ROLES = ("policy", "judge", "reviser", "teacher", "attacker", "user", "reward", "labeller")
"""Who can be asked. `policy` is what is judged, `user` a simulated person, `labeller` whom metrics ask about
replies; the others are bound by name."""

T = TypeVar("T")


@dataclass(frozen=True)
class Asks:
    """What a program asks in one round: requests, each to a role. `+` joins two, to ask several roles at once."""

    questions: tuple[tuple[str, Request], ...]

    def __add__(self, other: Asks) -> Asks:
        """Return both; the replies come in this order."""
        return Asks(self.questions + other.questions)


Replies = tuple[Reply, ...]
"""One for each question of a round, in order. None carries its timing: a program is pure in its replies."""
Program = Generator[Asks, Replies, T]
"""Yields `ask(...)`, is sent the replies, and returns its result. It reads no clock and no randomness of its own, so
that a run that was killed replays it from the cache."""


def ask(role: str, *requests: Request) -> Asks:
    """Ask a role some requests: `first, second = yield ask("judge", one, other)`."""
    return Asks(tuple((role, request) for request in requests))


@dataclass(frozen=True, kw_only=True)
class RoleRef:
    """What somebody wrote to bind a role."""

    model: str | None = None
    """Reference of a model; None is the base of the candidate."""
    adapters: tuple[str, ...] = ()
    """References of adapters on it, in order."""
    system: str | None = None
    """A system prompt."""
    by: str = ""
    """Who bound it, such as `--judge` or `harness.yaml`."""
    default: bool = False
    """Whether it only stands in where a suite or a recipe binds nobody."""


@dataclass(frozen=True, kw_only=True)
class BoundRole:
    """Who plays a role in a run."""

    candidate: Candidate
    by: str
    """Who bound it; `default` where nobody did."""
    fingerprint: str = ""
    """SHA-256 of all that decides its replies."""
