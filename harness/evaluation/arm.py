"""One candidate through the whole pass on one prepared suite: replies, findings, verdicts, rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING

from harness.engine.programs import batches, run, together
from harness.evaluation.checks import estimates, gap_notes
from harness.evaluation.measure import Columns, Member, observe, time_run
from harness.evaluation.phases import Phase
from harness.evaluation.respond import Interview, all_said
from harness.evaluation.rewriting import Rewrites
from harness.types import Pace, RunFacts

if TYPE_CHECKING:
    from harness.engine.core import ModelCore
    from harness.evaluation.panel import Found
    from harness.evaluation.prepare import PreparedSuite
    from harness.evaluation.respond import Gathered
    from harness.evaluation.roles import Asking
    from harness.stats.table import MetricTable
    from harness.store.sample_writer import SampleWriter
    from harness.types import BoundRole, Candidate, Estimate, Program, Sample, SampleRecord, Verdict


@dataclass(frozen=True, kw_only=True)
class Identity:
    """By what two runs are the same run."""

    candidate: str
    judge: str | None
    """Of the judge, or of all roles besides the candidate where there are others; None where none is asked."""
    suite: str
    samples: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What one candidate did on one suite, before gates."""

    identity: Identity
    candidate: Candidate
    roles: Mapping[str, BoundRole]
    """Who else was asked."""
    writer: SampleWriter
    """Holds a record of each sample, in order."""
    tables: Mapping[str, MetricTable]
    """By metric, those of kind `run` included."""
    estimates: tuple[Estimate, ...]
    """In the suite's order; they take seconds where there are many samples, so that they are made once."""
    facts: RunFacts | None
    critics: Mapping[str, str]
    backend: Mapping[str, str]
    notes: tuple[str, ...]
    """What the model says of the way in which it was run, and why metrics lack numbers."""
    requests: int
    """Distinct ones within each batch of the pass."""
    model_calls: int
    pace: Mapping[str, Pace]
    """By base: see `RunRecord`."""
    seconds: float


def identify(prepared: PreparedSuite, asking: Asking) -> Identity:
    """Return the arm's identity without loading a model.

    Raises:
        InputError: when weights or adapters are absent or do not fit, or nobody plays a role.
    """
    return Identity(
        candidate=asking.pool.fingerprint(asking.roles.policy),
        judge=asking.fingerprint(prepared.roles),
        suite=prepared.fingerprint(),
        samples=prepared.samples.fingerprint,
        seed=prepared.suite.ask.seed,
    )


def evaluate(prepared: PreparedSuite, asking: Asking, *, writer: SampleWriter, seed: int, name: str) -> Arm:
    """Run the pass for one candidate, a batch of samples at a time; only the metrics' rows stay in memory.

    Args:
        prepared: the suite.
        asking: who answers, and who plays the other roles.
        writer: takes a record of each sample.
        seed: of the resampling.
        name: of the arm, for the bars.
    """
    begin = monotonic()
    candidate, pool, stream = asking.roles.policy, asking.pool, prepared.samples
    core = pool.core(candidate.model)
    before = pool.counts()
    columns = Columns(prepared.metrics)
    for records, gathered in through(prepared, stream, asking, name=name):
        columns.add(records, gathered)
        writer.write(records)
    timed, facts = time_run(core, candidate, stream, prepared.metrics, prepared.suite.ask)
    spent = {base: counts.minus(before.get(base)) for base, counts in pool.counts().items()}
    found = {**columns.tables(stream.ids, stream.content_hashes, stream.clusters), **timed}
    estimated = estimates(prepared.metrics, found, seed=seed)
    asked = {
        role: replace(bound, fingerprint=pool.fingerprint(bound.candidate))
        for role, bound in asking.roles.others.items()
    }
    return Arm(
        identity=identify(prepared, asking), candidate=candidate, roles=asked, writer=writer,
        tables=found, estimates=estimated, facts=facts, critics=prepared.panel.fingerprints(asking),
        backend={**_told(core, candidate), **core.model.facts()},
        notes=(*core.model.notes(), *gap_notes(found, estimated)),
        requests=sum(counts.requests for counts in spent.values()),
        model_calls=sum(counts.model_calls for counts in spent.values()),
        pace={
            base: Pace(effort=counts.effort, seconds=counts.seconds) for base, counts in spent.items() if counts.effort
        },
        seconds=monotonic() - begin,
    )  # fmt: skip


def through(
    prepared: PreparedSuite, samples: Sequence[Sample], asking: Asking, *, name: str
) -> Iterator[tuple[list[SampleRecord], list[Mapping[str, Gathered]]]]:
    """Take samples through the pass, a batch at a time: replies, findings, verdicts, rows.

    Args:
        prepared: the suite.
        samples: that are asked about.
        asking: who is asked.
        name: of the arm, for the bars.

    Yields:
        The records of each batch, and what its metrics gathered.
    """
    suite, panel = prepared.suite, prepared.panel
    interview = Interview(
        metrics=prepared.metrics,
        candidate=asking.roles.policy,
        decoding=suite.ask,
        conversation=suite.conversation,
        tools=prepared.tools,
    )
    rewrites = Rewrites.of(prepared.metrics, panel, replace(asking, label=f"{suite.id}: {name} is revised"))
    readable = iter(samples)
    kept: deque[Sample] = deque()

    def programs() -> Iterator[Program[Mapping[str, Gathered]]]:
        for sample in readable:
            kept.append(sample)
            yield interview.gather(sample)

    with ExitStack() as stack:
        answering, classifying, judging = (
            stack.enter_context(Phase(asking.pool.progress, len(samples))) for _ in range(3)
        )
        answers = replace(asking, label=f"{suite.id}: {name} answers", progress=answering)
        judges = replace(asking, label=f"{suite.id}: judge reads {name}", progress=judging)
        for lives in batches(programs()):
            size = len(lives)
            batch = [kept.popleft() for _ in lives]
            with answering.part(size):
                gathered = run(together(lives), answers.answer)
            said = [all_said(own.values()) for own in gathered]
            responses = [interview.responses(*one) for one in zip(batch, said, strict=True)]
            flat = [response for own in responses for response in own]
            found: Found = {}
            if panel.classifier_status:
                with classifying.part(size):
                    found = panel.classify(flat, replace(asking, progress=classifying))
            verdicts: list[tuple[Verdict, ...]] = [()] * len(flat)
            if panel.principles:
                verdicts = panel.verdicts(flat, judges, found=found, part=judging.share(size))
            written = rewrites.versions(flat, verdicts) if rewrites.rewriters else [{}] * len(flat)
            each, versions = iter(verdicts), iter(written)
            members = [
                Member(
                    sample=sample, gathered=own, said=replies,
                    verdicts=tuple(verdict for _ in answered for verdict in next(each)),
                    versions=tuple(next(versions) for _ in answered),
                )
                for sample, own, replies, answered in zip(batch, gathered, said, responses, strict=True)
            ]  # fmt: skip
            yield observe(members, found, panel.silent(), prepared.metrics), gathered


def _told(core: ModelCore, candidate: Candidate) -> dict[str, str]:
    """Return what the replies were computed in, also where all of them came from the cache and nothing was loaded."""
    fingerprint = core.fingerprint(candidate)
    return {name: fingerprint[name] for name in ("device", "dtype") if name in fingerprint}
