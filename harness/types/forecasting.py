"""What a model says beforehand of the work that requests are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Workload:
    """The work of answering some requests on this machine."""

    tokens: int
    """Tokens of prompts and scored texts that go through the model; what requests share is counted once."""
    generate_expected: int
    """Tokens to be generated, if replies are about as long as they are expected to be."""
    generate_most: int
    """Tokens to be generated, if every reply runs to its limit."""
    seconds_expected: float | None
    """Without `start_seconds`; None where nothing tells."""
    seconds_most: float | None
    start_seconds: float = 0.0
    """Loading the model, once in a run."""
    memory: int | None = None
    """Bytes at the peak: of the process, or on the device; None where nothing tells."""
    basis: str = ""
    """What the figures rest on, in a few words."""

    def plus(self, other: Workload) -> Workload:
        """Return both together, done after each other by one loaded model."""
        return Workload(
            tokens=self.tokens + other.tokens, generate_expected=self.generate_expected + other.generate_expected,
            generate_most=self.generate_most + other.generate_most,
            seconds_expected=_sum(self.seconds_expected, other.seconds_expected),
            seconds_most=_sum(self.seconds_most, other.seconds_most),
            start_seconds=max(self.start_seconds, other.start_seconds),
            memory=None if self.memory is None or other.memory is None else max(self.memory, other.memory),
            basis="; ".join(dict.fromkeys(basis for basis in (self.basis, other.basis) if basis)),
        )  # fmt: skip


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
