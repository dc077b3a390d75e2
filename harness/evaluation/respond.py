"""The respond phase: what the metrics ask of the candidate, asked once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.plugin_code import check_requests, plugin_code
from harness.types import Generate, LogLikelihood, Message, Reply, Request, RollingLogLikelihood

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from harness.contracts import Metric, Progress
    from harness.engine.core import ModelCore
    from harness.types import Candidate, Decoding, Sample


WINDOW_REQUESTS = 4096
"""Requests of a window: enough that the last batch of each, which is not full, costs a percent or two."""
WINDOW_CHARACTERS = 8_000_000
"""Characters of a window's requests: where texts are long, fewer of them stand in memory."""


@dataclass(frozen=True, kw_only=True)
class SampleReplies:
    """What the candidate said about one sample."""

    by_request: tuple[tuple[Request, Reply], ...]
    """Distinct requests in the order in which metrics made them."""
    by_metric: Mapping[str, tuple[Reply, ...]]
    """By metric, in the order of the metric's own requests."""


def with_system(request: Request, system: str | None) -> Request:
    """Put the candidate's system prompt in front of a request's messages, where they have none of their own."""
    if system is None or not isinstance(request, Generate | LogLikelihood):
        return request
    if request.messages and request.messages[0].role == "system":
        return request
    from dataclasses import replace

    return replace(request, messages=(Message(role="system", content=system), *request.messages))


def requests_of(metric: Metric, sample: Sample, ask: Decoding) -> tuple[Request, ...]:
    """Return what a metric asks about a sample.

    Raises:
        PluginError: when the metric raises, or gives something else than requests.
    """
    with plugin_code(f"the metric {metric.name!r}, asked for its requests on the sample {sample.id!r},", metric):
        given = metric.requests(sample, ask)
    return check_requests(given, f"the metric {metric.name!r}", metric)


def plan_sample(
    sample: Sample, metrics: Sequence[Metric], candidate: Candidate, ask: Decoding
) -> dict[str, tuple[Request, ...]]:
    """Return what the metrics ask the candidate about one sample, by metric."""
    decoding = candidate.decoding or ask
    return {
        metric.name: tuple(with_system(request, candidate.system) for request in requests_of(metric, sample, decoding))
        for metric in metrics
    }


def plan_requests(
    samples: Iterable[Sample], metrics: Sequence[Metric], candidate: Candidate, ask: Decoding
) -> list[dict[str, tuple[Request, ...]]]:
    """Return, for each sample, the requests by metric."""
    return [plan_sample(sample, metrics, candidate, ask) for sample in samples]


@dataclass(kw_only=True)
class Load:
    """How much a window holds so far."""

    requests: int = 0
    characters: int = 0

    def add(self, requests: Iterable[Request]) -> None:
        """Count the requests of one sample; a sample without any takes memory too."""
        before = self.requests
        for request in requests:
            self.requests += 1
            self.characters += _length(request)
        self.requests += self.requests == before

    @property
    def full(self) -> bool:
        """Whether the window should end here."""
        return self.requests >= WINDOW_REQUESTS or self.characters >= WINDOW_CHARACTERS


def _length(request: Request) -> int:
    if isinstance(request, RollingLogLikelihood):
        return len(request.text)
    return sum(len(message.content) for message in request.messages)


@dataclass(frozen=True, kw_only=True)
class Window:
    """Samples that go through the pass together, each with its requests by metric."""

    samples: tuple[Sample, ...]
    plans: tuple[Mapping[str, tuple[Request, ...]], ...]


def windows(
    samples: Iterable[Sample], metrics: Sequence[Metric], candidate: Candidate, ask: Decoding
) -> Iterator[Window]:
    """Cut a stream of samples into windows of some thousand requests, and of not too long a text.

    A window is what a model may sort, batch and share prefixes within; only one of them stands in memory.
    """
    taken: list[Sample] = []
    plans: list[Mapping[str, tuple[Request, ...]]] = []
    load = Load()
    for sample in samples:
        plan = plan_sample(sample, metrics, candidate, ask)
        taken.append(sample)
        plans.append(plan)
        load.add(dict.fromkeys(request for own in plan.values() for request in own))
        if load.full:
            yield Window(samples=tuple(taken), plans=tuple(plans))
            taken, plans, load = [], [], Load()
    if taken:
        yield Window(samples=tuple(taken), plans=tuple(plans))


def respond(
    core: ModelCore, candidate: Candidate, window: Window, *, label: str, progress: Progress
) -> list[SampleReplies]:
    """Ask everything of a window in one go, and hand each sample its replies."""
    asked = list(dict.fromkeys(r for plan in window.plans for requests in plan.values() for r in requests))
    answers = dict(zip(asked, core.answer(candidate, asked, label=label, progress=progress), strict=True))
    results = []
    for plan in window.plans:
        own = dict.fromkeys(request for requests in plan.values() for request in requests)
        results.append(
            SampleReplies(
                by_request=tuple((request, answers[request]) for request in own),
                by_metric={name: tuple(answers[request] for request in requests) for name, requests in plan.items()},
            )
        )
    return results
