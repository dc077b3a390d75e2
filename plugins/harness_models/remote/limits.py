"""How patient the client of a remote server is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Attempts as counts, everything else in seconds."""

    attempts: int = 5
    """Attempts of one request that may fail by a fault of the server or the network."""
    put_off: int = 8
    """Attempts of one request that the server may put off (429, or any answer with Retry-After)."""
    timeouts: int = 2
    """Attempts that may run out of time."""
    connect: float = 10.0
    first_wait: float = 1.0
    """Before the first retry; doubles with each, with jitter."""
    longest_wait: float = 60.0
    """Of a wait that doubles; a Retry-After is honoured up to twice this."""


def wait_after(failures: int, limits: Limits, share: float) -> float:
    """Return the seconds before the next attempt.

    Args:
        failures: how many there were, from 1.
        limits: which wait is the first, and which the longest.
        share: a random number in [0, 1), so that requests that failed together do not come back together.
    """
    longest = min(limits.longest_wait, limits.first_wait * 2.0 ** min(failures - 1, 30))
    return longest * (0.5 + share / 2)
