"""The respond phase: what the metrics ask of the candidate, asked once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.plugin_code import check_requests, plugin_code
from harness.types import Generate, LogLikelihood, Message, Reply, Request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.contracts import Metric
    from harness.engine.core import ModelCore
    from harness.types import Candidate, Decoding, Sample


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


def plan_requests(
    samples: Sequence[Sample], metrics: Sequence[Metric], candidate: Candidate, ask: Decoding
) -> list[dict[str, tuple[Request, ...]]]:
    """Return, for each sample, the requests by metric."""
    decoding = candidate.decoding or ask
    return [
        {
            metric.name: tuple(
                with_system(request, candidate.system) for request in requests_of(metric, sample, decoding)
            )
            for metric in metrics
        }
        for sample in samples
    ]


def respond(
    core: ModelCore, candidate: Candidate, planned: Sequence[Mapping[str, tuple[Request, ...]]], *, label: str
) -> list[SampleReplies]:
    """Ask everything in one go, and hand each sample its replies."""
    flat: dict[Request, None] = {}
    for plan in planned:
        for requests in plan.values():
            flat.update(dict.fromkeys(requests))
    asked = list(flat)
    answers = dict(zip(asked, core.answer(candidate, asked, label=label), strict=True))
    results = []
    for plan in planned:
        own = dict.fromkeys(request for requests in plan.values() for request in requests)
        results.append(
            SampleReplies(
                by_request=tuple((request, answers[request]) for request in own),
                by_metric={name: tuple(answers[request] for request in requests) for name, requests in plan.items()},
            )
        )
    return results
