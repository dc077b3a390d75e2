"""The respond phase: what metrics ask the candidate about a sample and make of the replies, and how turns go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.contracts import Metric
from harness.engine.programs import Live, guarded, run, together
from harness.evaluation.conversing import GoOn, going_on, talk
from harness.evaluation.roles import with_system
from harness.hashing import sha256_text
from harness.plugin_code import check_requests, plugin_code
from harness.stats.kinds import kind_of
from harness.types import (
    Asks,
    Completion,
    Generate,
    LogLikelihood,
    Message,
    NoReply,
    NotApplicable,
    Program,
    Replies,
    Reply,
    Request,
    Response,
    RollingLogLikelihood,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.evaluation.tools import Toolbox
    from harness.reading.conversation import ConversationSection
    from harness.types import Candidate, Decoding, Sample

_REQUESTS = (Generate, LogLikelihood, RollingLogLikelihood)
_SILENT = NoReply(reason="not asked yet")


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """What a metric's program brought in about one sample."""

    sample: Sample
    """Its messages are the conversation as it went, up to the last reply."""
    replies: Replies
    """What `observe` is handed."""
    said: Mapping[Request, Reply]
    """All that the candidate was asked and answered, in order."""


@dataclass(frozen=True, kw_only=True)
class Interview:
    """How metrics ask a candidate about samples."""

    metrics: Sequence[Metric]
    candidate: Candidate
    decoding: Decoding
    conversation: ConversationSection | None = None
    """How conversations go on in samples without turns of their own."""
    tools: Toolbox | None = None
    """What answers the candidate's calls."""

    def gather(self, sample: Sample) -> Program[dict[str, Gathered]]:
        """Run all metrics' programs on a sample side by side; returns what they brought in, by metric."""
        talks = sample.turns or self.conversation is not None or self.tools is not None
        go_on = going_on(sample, self._opening(sample), self.conversation, self.tools) if talks else None
        if go_on is not None:
            gathered = yield from together([Live(self._one(metric, sample, go_on)) for metric in self.metrics])
            return {metric.name: own for metric, own in zip(self.metrics, gathered, strict=True)}
        own = [metric for metric in self.metrics if not asks_once(metric)]
        if not own:
            return (yield from self._at_once(sample))
        lives: list[Live[Any]] = [Live(self._one(metric, sample, None)) for metric in own]
        once, *more = yield from together([Live(self._at_once(sample)), *lives])
        found = once | {metric.name: gathered for metric, gathered in zip(own, more, strict=True)}
        return {metric.name: found[metric.name] for metric in self.metrics}

    def _at_once(self, sample: Sample) -> Program[dict[str, Gathered]]:
        """Ask for all metrics that ask once: as their programs would, and many times as quick."""
        decoding = self._decoding(sample)
        asked: dict[str, tuple[Request, ...]] = {}
        for metric in self.metrics:
            if asks_once(metric):
                requests = _requests(metric, sample, decoding)
                system = self.candidate.system
                asked[metric.name] = requests if system is None else tuple(with_system(r, system) for r in requests)
        distinct = tuple(dict.fromkeys(request for requests in asked.values() for request in requests))
        replies = (yield Asks(tuple(("policy", request) for request in distinct))) if distinct else ()
        said = dict(zip(distinct, replies, strict=True))
        return {
            name: Gathered(sample=sample, replies=tuple(said[request] for request in requests), said=said)
            for name, requests in asked.items()
        }

    def recall(self, sample: Sample, stored: Mapping[Request, Reply]) -> dict[str, Gathered]:
        """Return what `gather` brought in when these replies were stored."""
        going_on = {
            request.messages[:-1]: request.messages[-1].content for request in stored if isinstance(request, Generate)
        }

        def recorded(request: Generate, _: int) -> Program[str | NoReply | None]:
            yield from ()
            return going_on.get(request.messages)

        lives = [Live(self._one(metric, sample, recorded)) for metric in self.metrics]
        gone = NoReply(reason="it is not among the stored replies")
        gathered = run(together(lives), lambda _, requests: [stored.get(request, gone) for request in requests])
        return {metric.name: own for metric, own in zip(self.metrics, gathered, strict=True)}

    def responses(self, sample: Sample, said: Mapping[Request, Reply]) -> list[Response]:
        """Return all completions that were asked for, each in its conversation; one without any where none was."""
        own = sample.messages
        found: list[Response] = []
        for request, reply in said.items():
            if not isinstance(request, Generate):
                continue
            messages = request.messages
            if messages[:1] == self._system and own[:1] != self._system:
                messages = messages[1:]
            found.append(
                Response(
                    sample=sample if messages == own else replace(sample, messages=messages),
                    completion=reply if isinstance(reply, Completion) else None, index=len(found),
                )
            )  # fmt: skip
        return found or [Response(sample=sample, completion=None)]

    def _opening(self, sample: Sample) -> tuple[Message, ...]:
        """Return what a request that opens the sample's conversation holds."""
        opened = with_system(Generate(messages=sample.messages, decoding=self.decoding), self.candidate.system)
        return opened.messages if isinstance(opened, Generate) else sample.messages

    @property
    def _system(self) -> tuple[Message, ...]:
        system = self.candidate.system
        return () if system is None else (Message(role="system", content=system),)

    def _decoding(self, sample: Sample) -> Decoding:
        """Return how a sample is answered: each draw of one sample has a seed of its own."""
        decoding = self.candidate.decoding or self.decoding
        if not sample.draw:
            return decoding
        return replace(decoding, seed=int(sha256_text(f"{decoding.seed} {sample.draw}")[:8], 16))

    def _one(self, metric: Metric, sample: Sample, go_on: GoOn | None) -> Program[Gathered]:
        decoding = self._decoding(sample)
        live = Live(
            guarded(
                lambda: metric.gather(sample, decoding), f"the metric {metric.name!r} on the sample {sample.id!r}",
                metric, roles=("policy", *metric.roles),
            )
        )  # fmt: skip
        said: dict[Request, Reply] = {}
        went = sample
        while live.asks is not None:
            asked = [
                (role, with_system(request, self.candidate.system) if role == "policy" else request)
                for role, request in live.asks.questions
            ]
            if go_on is None:
                replies = yield Asks(tuple(asked))
                talks = [[(request, reply)] for (_, request), reply in zip(asked, replies, strict=True)]
            else:
                opening = self._opening(sample)
                talks = yield from together([Live(talk(*question, opening, go_on)) for question in asked])
            for (role, _), own in zip(asked, talks, strict=True):
                if role == "policy":
                    said.update(own)
                    if went is sample and len(own) > 1:
                        went = self.responses(sample, dict(own[-1:]))[0].sample
            live.send(tuple(own[-1][1] for own in talks))
        return Gathered(sample=went, replies=live.result, said=said)


def silence(metric: Metric, sample: Sample, decoding: Decoding) -> Replies:
    """Return what a metric would be handed if nobody answered.

    Raises:
        PluginError: when the metric breaks its contract.
    """
    if asks_once(metric):
        return (_SILENT,) * len(_requests(metric, sample, decoding))
    what = f"the metric {metric.name!r} on the sample {sample.id!r}"
    program = guarded(lambda: metric.gather(sample, decoding), what, metric, roles=("policy", *metric.roles))
    return run(program, lambda _, requests: [_SILENT] * len(requests))


def passed_over(metric: Metric, sample: Sample, ask: Decoding) -> bool:
    """Tell whether a metric calls a sample not applicable, whatever the candidate would say."""
    silent = silence(metric, sample, ask)
    with plugin_code(f"the metric {metric.name!r} on the sample {sample.id!r}", metric):
        given = metric.observe(sample, silent, {}, ())
    return isinstance(kind_of(metric).check_row(metric, sample.id, given), NotApplicable)


def _requests(metric: Metric, sample: Sample, decoding: Decoding) -> tuple[Request, ...]:
    what = f"the metric {metric.name!r} on the sample {sample.id!r}"
    with plugin_code(what, metric):
        given: object = metric.requests(sample, decoding)
    if isinstance(given, tuple) and all(isinstance(request, _REQUESTS) for request in given):
        return given
    return check_requests(given, f"the metric {metric.name!r}", metric)


def asks_once(metric: Metric) -> bool:
    """Tell whether a metric has no program of its own."""
    return type(metric).gather is Metric.gather


def all_said(gathered: Iterable[Gathered]) -> Mapping[Request, Reply]:
    """Return the distinct requests of several metrics with their replies, in order."""
    parts = list({id(own.said): own.said for own in gathered}.values())  # what asks once shares one
    return parts[0] if len(parts) == 1 else {request: reply for part in parts for request, reply in part.items()}
