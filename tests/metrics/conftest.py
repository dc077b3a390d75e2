"""Fixtures of the metrics' tests: samples, replies, and the registered factories."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.contracts import Metric
from harness.plugins import load_plugins
from harness.types import Completion, LogProb, Message, Principle, Sample


def make_sample(prompt: str | None = "What is the capital of France?", **fields: Any) -> Sample:
    messages = () if prompt is None else (Message(role="user", content=prompt),)
    return Sample(**{"id": "s1", "messages": messages, **fields})


def make_completion(text: str, *, tokens: int | None = 5) -> Completion:
    return Completion(text=text, prompt_tokens=3, completion_tokens=tokens, finish="stop")


def make_logprob(value: float, tokens: int = 2) -> LogProb:
    return LogProb(logprob=value, tokens=tokens)


PRINCIPLES = {
    "house": (
        Principle(id="kind", text="Be kind.", weight=0.75, critics=("a", "b")),
        Principle(id="brief", text="Be brief.", weight=0.25, critics=("a",), threshold=0.6),
    )
}


@pytest.fixture(scope="session")
def factories() -> dict[str, Callable[..., Any]]:
    return {entry.name: entry.value for entry in load_plugins(installed=False).registries.metrics}


@pytest.fixture(scope="session")
def measure(factories: dict[str, Callable[..., Any]]) -> Callable[..., dict[str, Metric]]:
    """Make an entry's metrics by name."""

    def make(name: str, /, **options: Any) -> dict[str, Metric]:
        return {metric.name: metric for metric in factories[name](options, PRINCIPLES)}

    return make
