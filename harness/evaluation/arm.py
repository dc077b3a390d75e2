"""One candidate through the whole pass on one prepared suite: replies, findings, verdicts, rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from harness.evaluation.checks import estimates
from harness.evaluation.classify import classify
from harness.evaluation.gaps import gap_notes
from harness.evaluation.judge import critic_fingerprints, judge
from harness.evaluation.measure import Columns, candidate_fingerprint, observe, time_run
from harness.evaluation.phases import Phase
from harness.evaluation.respond import respond, windows
from harness.types import Completion, RunFacts

if TYPE_CHECKING:
    from harness.contracts import Progress
    from harness.engine.core import ModelCore
    from harness.engine.reply_writer import ReplyCache
    from harness.evaluation.pool import ModelPool
    from harness.evaluation.prepare import PreparedSuite
    from harness.evaluation.respond import Window
    from harness.stats.table import MetricTable
    from harness.store.sample_writer import SampleWriter
    from harness.types import Candidate, Estimate, SampleRecord


@dataclass(frozen=True, kw_only=True)
class Identity:
    """By what two runs are the same run."""

    candidate: str
    judge: str | None
    suite: str
    samples: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What one candidate did on one suite, before gates."""

    identity: Identity
    candidate: Candidate
    judge: Candidate | None
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
    """Distinct ones within each window of the pass."""
    model_calls: int
    seconds: float


def identify(prepared: PreparedSuite, candidate: Candidate, judge_candidate: Candidate, pool: ModelPool) -> Identity:
    """Return the arm's identity without loading a model.

    Raises:
        InputError: when weights or adapters are absent or do not fit.
    """
    own = candidate_fingerprint(pool.core(candidate.model).fingerprint(candidate), candidate)
    judged = None
    if prepared.critics:
        fingerprint = pool.core(judge_candidate.model).fingerprint(judge_candidate)
        judged = candidate_fingerprint(fingerprint, judge_candidate)
    return Identity(
        candidate=own,
        judge=judged,
        suite=prepared.fingerprint(),
        samples=prepared.samples.fingerprint,
        seed=prepared.suite.ask.seed,
    )


def evaluate(
    prepared: PreparedSuite,
    candidate: Candidate,
    judge_candidate: Candidate,
    pool: ModelPool,
    *,
    cache: ReplyCache | None,
    progress: Progress,
    writer: SampleWriter,
    seed: int,
    name: str,
) -> Arm:
    """Run the pass for one candidate, a window of samples at a time; only the metrics' rows stay in memory.

    Args:
        prepared: the suite.
        candidate: who answers.
        judge_candidate: who judges.
        pool: the loaded models.
        cache: where findings are kept.
        progress: where bars are drawn.
        writer: takes a record of each sample.
        seed: of the resampling.
        name: of the arm, for the bars.
    """
    begin = monotonic()
    identity = identify(prepared, candidate, judge_candidate, pool)
    core = pool.core(candidate.model)
    judge_core = pool.core(judge_candidate.model) if prepared.critics else None
    before = _counts(core, judge_core)

    status = {entry.name: entry.fingerprint for entry in prepared.classifier_status}
    critics = critic_fingerprints(prepared.critics, status, identity.judge)
    columns = Columns(prepared.metrics)
    with ExitStack() as stack:
        phases = [stack.enter_context(Phase(progress, len(prepared.samples))) for _ in range(3)]
        for window in windows(prepared.samples, prepared.metrics, candidate, prepared.suite.ask):
            records = _through(
                window, prepared, core=core, candidate=candidate, judge_core=judge_core,
                judge_candidate=judge_candidate, critics=critics, cache=cache, phases=phases, name=name,
            )  # fmt: skip
            writer.write(records)
            for record, plan in zip(records, window.plans, strict=True):
                columns.add(record, plan)
    timed, facts = time_run(core, candidate, prepared.samples, prepared.metrics, prepared.suite.ask)
    after = _counts(core, judge_core)
    stream = prepared.samples
    found = {**columns.tables(stream.ids, stream.content_hashes, stream.clusters), **timed}
    estimated = estimates(prepared.metrics, found, seed=seed)
    return Arm(
        identity=identity, candidate=candidate, judge=judge_candidate if prepared.critics else None, writer=writer,
        tables=found, estimates=estimated, facts=facts, critics=critics,
        backend={**_told(core, candidate), **core.model.facts()},
        notes=(*core.model.notes(), *gap_notes(found, estimated)),
        requests=after[0] - before[0], model_calls=after[1] - before[1],
        seconds=monotonic() - begin,
    )  # fmt: skip


def _through(
    window: Window,
    prepared: PreparedSuite,
    *,
    core: ModelCore,
    candidate: Candidate,
    judge_core: ModelCore | None,
    judge_candidate: Candidate,
    critics: Mapping[str, str],
    cache: ReplyCache | None,
    phases: Sequence[Phase],
    name: str,
) -> list[SampleRecord]:
    """Take one window through the whole pass: replies, findings, verdicts, rows."""
    answering, classifying, judging = phases
    with answering.part(len(window.samples)):
        replies = respond(core, candidate, window, label=f"{prepared.suite.id}: {name} answers", progress=answering)
    completions = [
        next((reply for _, reply in said.by_request if isinstance(reply, Completion)), None) for said in replies
    ]
    texts = [None if reply is None else reply.text for reply in completions]
    with classifying.part(len(window.samples)):
        findings = classify(prepared.classifiers, prepared.classifier_status, texts, cache=cache, progress=classifying)
    verdicts = judge(
        judge_core, judge_candidate, window.samples, completions, findings, prepared.principles, prepared.critics,
        critics, label=f"{prepared.suite.id}: judge reads {name}", phase=judging,
    )  # fmt: skip
    return observe(window.samples, replies, findings, verdicts, prepared.metrics)


def _told(core: ModelCore, candidate: Candidate) -> dict[str, str]:
    """Return what the replies were computed in, also where all of them came from the cache and nothing was loaded."""
    fingerprint = core.fingerprint(candidate)
    return {name: fingerprint[name] for name in ("device", "dtype") if name in fingerprint}


def _counts(*cores: ModelCore | None) -> tuple[int, int]:
    counts = [core.counts for core in {id(core): core for core in cores if core is not None}.values()]
    return sum(count.requests for count in counts), sum(count.model_calls for count in counts)
