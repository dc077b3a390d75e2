"""Some samples of a run once more in float32, one request at a time, through the same phases as the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.engine.alone import AloneCore
from harness.evaluation.classify import classify
from harness.evaluation.judge import critic_fingerprints, judge
from harness.evaluation.measure import row_of
from harness.evaluation.phases import Phase
from harness.evaluation.respond import requests_of, with_system
from harness.stats.kinds import kind_of
from harness.stats.table import MetricTable
from harness.types import Completion, Generate

if TYPE_CHECKING:
    from harness.contracts import Metric, Progress
    from harness.engine.alone import Answers
    from harness.engine.core import ModelCore
    from harness.engine.reply_writer import ReplyCache
    from harness.evaluation.pool import ModelPool
    from harness.evaluation.prepare import PreparedSuite
    from harness.types import Candidate, Findings, Reply, Request, Sample, Verdict

_EXACT = frozenset({"float32", "float64", "none"})
"""Number formats that there is nothing to check against."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a candidate is asked in float32."""

    candidate: Candidate
    """In float32 where it can be; else as it is."""
    core: ModelCore
    """As it runs: for what is float32 already."""
    dtype: str | None
    """The number format to be checked; None where there is nothing to check."""
    alone: AloneCore | None
    """In float32; None where there is nothing to check, or no way."""

    @classmethod
    def of(cls, candidate: Candidate, pool: ModelPool, cache: ReplyCache | None, progress: Progress) -> Way:
        core = pool.core(candidate.model)
        dtype = core.fingerprint(candidate).get("dtype", "none")
        if not core.model.verifiable or dtype in _EXACT:
            return cls(candidate=candidate, core=core, dtype=None, alone=None)
        reference = core.model.reference()
        if reference is None:
            return cls(candidate=candidate, core=core, dtype=dtype, alone=None)
        alone = AloneCore(pool.core(reference), cache, progress)
        return cls(candidate=replace(candidate, model=reference), core=core, dtype=dtype, alone=alone)

    @property
    def answers(self) -> Answers:
        """Who is asked: in float32 and alone where that can be, else as the run asks."""
        return self.core if self.alone is None else self.alone


def reads_verdicts(metric: Metric) -> bool:
    """Tell whether a metric depends on the judge's replies."""
    return metric.constitution is not None or bool(metric.principles)


def in_float32(
    prepared: PreparedSuite,
    way: Way,
    judging: Way | None,
    wanted: Mapping[str, Sequence[str]],
    *,
    cache: ReplyCache | None,
    progress: Progress,
    label: str,
) -> dict[str, MetricTable]:
    """Return the tables of metrics on some samples, with replies and verdicts computed in float32.

    Args:
        prepared: the suite.
        way: how the candidate is asked in float32.
        judging: how the judge is; None where no critic asks one.
        wanted: ids of samples by metric.
        cache: where findings are kept.
        progress: where bars are drawn.
        label: of the arm, for the bars.

    Returns:
        By metric, in the order of the wanted ids. A metric that nothing inexact went into is left out.
    """
    metrics = [
        metric for metric in prepared.metrics
        if metric.name in wanted
        and (way.alone is not None or (reads_verdicts(metric) and judging is not None and judging.alone is not None))
    ]  # fmt: skip
    if not metrics:
        return {}
    chosen = {sample for metric in metrics for sample in wanted[metric.name]}
    samples = {sample.id: sample for sample in prepared.samples if sample.id in chosen}
    here = f"{prepared.suite.id}: {label} in float32, one at a time"
    asked = {name: _asked(prepared, way.candidate, metrics, wanted, sample) for name, sample in samples.items()}
    flat = list(dict.fromkeys(request for own in asked.values() for requests in own.values() for request in requests))
    answers = dict(zip(flat, way.answers.answer(way.candidate, flat, label=here, progress=progress), strict=True))
    completions = [
        next((reply for r in _distinct(asked[name]) if isinstance(reply := answers[r], Completion)), None)
        for name in samples
    ]
    findings = classify(
        prepared.classifiers, prepared.classifier_status,
        [None if reply is None else reply.text for reply in completions], cache=cache, progress=progress,
    )  # fmt: skip
    verdicts: Sequence[tuple[Verdict, ...]] = [()] * len(samples)
    if judging is not None and any(reads_verdicts(metric) for metric in metrics):
        status = {entry.name: entry.fingerprint for entry in prepared.classifier_status}
        with Phase(progress, len(samples)) as phase:
            verdicts = judge(
                judging.answers, judging.candidate, list(samples.values()), completions, findings, prepared.principles,
                prepared.critics, critic_fingerprints(prepared.critics, status, None), label=f"{here}, judged",
                phase=phase,
            )  # fmt: skip
    known = {
        name: (asked[name], found, judged) for name, found, judged in zip(samples, findings, verdicts, strict=True)
    }
    return {
        metric.name: _table(metric, [samples[name] for name in wanted[metric.name]], known, answers)
        for metric in metrics
    }


def _asked(
    prepared: PreparedSuite,
    candidate: Candidate,
    metrics: Sequence[Metric],
    wanted: Mapping[str, Sequence[str]],
    sample: Sample,
) -> dict[str, tuple[Request, ...]]:
    """Return what the wanted metrics ask about a sample, and under the names of others the completions they read.

    Classifiers and judge read a sample's first completion, whichever metric asked for it.
    """
    decoding = candidate.decoding or prepared.suite.ask
    own = {metric.name for metric in metrics if sample.id in wanted[metric.name]}
    reads = any(metric.classifiers or reads_verdicts(metric) for metric in metrics)
    asked: dict[str, tuple[Request, ...]] = {}
    for metric in prepared.metrics:
        requests = tuple(with_system(r, candidate.system) for r in requests_of(metric, sample, decoding))
        if metric.name not in own:
            requests = tuple(r for r in requests if reads and isinstance(r, Generate))
        asked[metric.name] = requests
    return asked


def _distinct(asked: Mapping[str, tuple[Request, ...]]) -> list[Request]:
    return list(dict.fromkeys(request for requests in asked.values() for request in requests))


def _table(
    metric: Metric,
    samples: Sequence[Sample],
    known: Mapping[str, tuple[Mapping[str, tuple[Request, ...]], Mapping[str, Findings], tuple[Verdict, ...]]],
    answers: Mapping[Request, Reply],
) -> MetricTable:
    rows, records = [], []
    for sample in samples:
        asked, found, judged = known[sample.id]
        replies = tuple(answers[request] for request in asked[metric.name])
        rows.append(row_of(metric, sample, replies, found, judged))
        records.append((sample, replies))
    return MetricTable(
        metric=metric, ids=tuple(sample.id for sample in samples),
        content_hashes=tuple(sample.content_hash for sample in samples),
        clusters=tuple(sample.cluster for sample in samples), rows=tuple(rows),
        records=tuple(records) if kind_of(metric).reads_records else None,
    )  # fmt: skip
