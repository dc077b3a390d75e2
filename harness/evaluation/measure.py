"""Rows, tables and estimates from replies, findings and verdicts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.evaluation.reducing import Draws, undrawn_columns
from harness.evaluation.respond import Interview
from harness.evaluation.roles import with_system
from harness.hashing import sha256_json
from harness.plugin_code import plugin_code
from harness.stats.kinds import kind_of
from harness.stats.rows import Rows
from harness.stats.table import MetricTable
from harness.types import Completion, NotApplicable, Row, RunFacts, SampleRecord, Timing, Unscored

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.contracts import Metric
    from harness.engine.core import ModelCore
    from harness.evaluation.respond import Gathered
    from harness.types import Candidate, Decoding, Findings, Reply, Request, Sample, Verdict, Version


@dataclass(frozen=True, kw_only=True)
class Member:
    """What is known of one sample of a batch."""

    sample: Sample
    """As the source gave it."""
    gathered: Mapping[str, Gathered]
    """By metric."""
    said: Mapping[Request, Reply]
    verdicts: tuple[Verdict, ...]
    """On all completions."""
    versions: tuple[Mapping[str, tuple[Version, ...]], ...]
    """Of each completion, by who rewrote."""


def observe(
    batch: Iterable[Member],
    found: Mapping[str, Mapping[str, Findings]],
    silent: Mapping[str, Findings],
    metrics: Sequence[Metric],
) -> list[SampleRecord]:
    """Return the samples' records, each with its row for each metric that looks at samples.

    Args:
        batch: what is known of each sample.
        found: findings by text and classifier. A metric gets those on its own first completion.
        silent: the findings where there is no text.
        metrics: in the suite's order.
    """

    def findings(text: str | None) -> Mapping[str, Findings]:
        return silent if text is None else found.get(text, silent)

    records: list[SampleRecord] = []
    for member in batch:
        first = _text(member.said.values())
        on_first = findings(first)
        rows: dict[str, Row | Unscored | NotApplicable] = {}
        for metric in metrics:
            if kind_of(metric).per_sample:
                own = member.gathered[metric.name]
                text = _text(own.replies)
                shown = on_first if text is None else findings(text)
                rows[metric.name] = row_of(metric, own.sample, own.replies, shown, member.verdicts)
                if metric.rewriter is not None and not isinstance(rows[metric.name], NotApplicable):
                    rows[metric.name] = compared(
                        metric, own.sample, [one[metric.rewriter.name] for one in member.versions]
                    )
        records.append(
            SampleRecord(
                sample=member.sample, replies=tuple(member.said.items()), findings=on_first, verdicts=member.verdicts,
                rows=rows,
                rewritten={name: tuple(one[name] for one in member.versions) for name in (member.versions or ({},))[0]},
            )
        )  # fmt: skip
    return records


def _text(replies: Iterable[Reply]) -> str | None:
    return next((reply.text for reply in replies if isinstance(reply, Completion)), None)


class Columns:
    """What stays in memory of the samples of a run: each metric's rows, packed.

    Args:
        metrics: those of kind `run` are passed over.

    Metrics of kind `corpus` are the exception: they are about all texts at once, so that their samples and replies
    stay.
    """

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = [metric for metric in metrics if kind_of(metric).per_sample]
        self._rows = {metric.name: Rows() for metric in self._metrics}
        self._texts: dict[str, list[tuple[Sample, tuple[Reply, ...]]]] = {
            metric.name: [] for metric in self._metrics if kind_of(metric).reads_records
        }
        self._rewriters = {metric.name: metric.rewriter.name for metric in self._metrics if metric.rewriter is not None}
        self._draws = {metric.name: Draws(metric) for metric in self._metrics if metric.epochs_reducer}
        self._said = hashlib.sha256()

    def add(self, records: Iterable[SampleRecord], gathered: Iterable[Mapping[str, Gathered]]) -> None:
        """Keep the samples' rows.

        Args:
            records: with a row for each metric.
            gathered: of each, by metric: what a `corpus` metric looks at.
        """
        for record, own in zip(records, gathered, strict=True):
            self._said.update(said_in(record))
            for name, rows in self._rows.items():
                row: Row | Unscored | NotApplicable | None = record.rows[name]
                if name in self._draws and row is not None:
                    row = self._draws[name].add(record.sample, row)
                if row is not None:
                    rows.append(row)
            for name, texts in self._texts.items():
                rewriter = self._rewriters.get(name)
                texts.append((record.sample, own[name].replies if rewriter is None else _rewritten(record, rewriter)))

    def tables(
        self, ids: tuple[str, ...], content_hashes: tuple[str, ...], clusters: tuple[str | None, ...]
    ) -> dict[str, MetricTable]:
        """Return each metric's table, from the rows and what identifies their samples, which are one for all draws."""
        for name, draws in self._draws.items():
            if (last := draws.end()) is not None:
                self._rows[name].append(last)
        each = (ids, content_hashes, clusters)
        once = undrawn_columns(*each) if self._draws else each
        columns = {name: once if name in self._draws else each for name in self._rows}
        return {
            metric.name: MetricTable(
                metric=metric, ids=columns[metric.name][0], content_hashes=columns[metric.name][1],
                clusters=columns[metric.name][2], rows=self._rows[metric.name],
                records=tuple(self._texts[metric.name]) if kind_of(metric).reads_records else None,
                population=self._said.hexdigest(),
            )
            for metric in self._metrics
        }  # fmt: skip


def _rewritten(record: SampleRecord, rewriter: str) -> tuple[Reply, ...]:
    """Return the last version of each completion that was rewritten."""
    return tuple(
        Completion(text=versions[-1].text, prompt_tokens=None, completion_tokens=None, finish="stop")
        for versions in record.rewritten.get(rewriter, ())
        if len(versions) > 1
    )


def said_in(record: SampleRecord) -> bytes:
    """Return SHA-256 of a sample and all that was said to it, as people read it: no times, no probabilities."""
    texts = [reply.text if isinstance(reply, Completion) else None for _, reply in record.replies]
    return bytes.fromhex(sha256_json([record.sample.id, record.sample.content_hash, texts]))


def tables(
    records: Iterable[SampleRecord], metrics: Sequence[Metric], candidate: Candidate, ask: Decoding
) -> dict[str, MetricTable]:
    """Return the table of each metric that looks at samples, from stored records that are read once.

    Args:
        records: of one run, in its order.
        metrics: whose rows the records hold.
        candidate: of the run; with `ask` it tells which replies a `corpus` metric looks at.
        ask: the suite's decoding.
    """
    columns = Columns(metrics)
    readers = [metric for metric in metrics if kind_of(metric).reads_records]
    interview = Interview(metrics=readers, candidate=candidate, decoding=ask)
    ids: list[str] = []
    content_hashes: list[str] = []
    clusters: list[str | None] = []
    for record in records:
        columns.add([record], [interview.recall(record.sample, dict(record.replies)) if readers else {}])
        ids.append(record.sample.id)
        content_hashes.append(record.sample.content_hash)
        clusters.append(record.sample.cluster)
    return columns.tables(tuple(ids), tuple(content_hashes), tuple(clusters))


def time_run(
    core: ModelCore, candidate: Candidate, samples: Sequence[Sample], metrics: Sequence[Metric], ask: Decoding
) -> tuple[dict[str, MetricTable], RunFacts | None]:
    """Send what the metrics of kind `run` want timed, and return their tables of one row."""
    timed = [metric for metric in metrics if not kind_of(metric).per_sample]
    if not timed:
        return {}, None
    wanted = {
        metric.name: tuple(with_system(r, candidate.system) for r in metric.timed_requests(samples, ask))
        for metric in timed
    }
    distinct = list(dict.fromkeys(request for requests in wanted.values() for request in requests))
    replies = core.time(candidate, distinct, label="time")
    timings: list[tuple[Completion, Timing]] = [
        (reply, reply.timing) for reply in replies if isinstance(reply, Completion) and reply.timing is not None
    ]
    facts = RunFacts(
        timings=tuple(timings),
        peak_memory=core.model.peak_memory() or _peak_resident(),
        generated_tokens=sum(reply.completion_tokens or 0 for reply, _ in timings),
        seconds=sum(timing.total for _, timing in timings),
    )
    if len(timings) < len(distinct):
        reason = f"{len(distinct) - len(timings)} of {len(distinct)} timed requests gave no timed reply"
        return {metric.name: MetricTable.of_run(metric, Unscored(reason=reason)) for metric in timed}, facts
    return {metric.name: MetricTable.of_run(metric, metric.measure(facts)) for metric in timed}, facts


def _peak_resident() -> int:
    """Return the peak resident set of this process, in bytes."""
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def row_of(
    metric: Metric,
    sample: Sample,
    replies: tuple[Reply, ...],
    findings: Mapping[str, Findings],
    verdicts: tuple[Verdict, ...],
) -> Row | Unscored | NotApplicable:
    """Return a metric's row for one sample.

    Raises:
        PluginError: when the metric raises, or its row is not what its kind asks for.
    """
    with plugin_code(f"the metric {metric.name!r} on the sample {sample.id!r}", metric):
        given = metric.observe(sample, replies, findings, verdicts)
    return kind_of(metric).check_row(metric, sample.id, given)


def compared(
    metric: Metric, sample: Sample, versions: Sequence[tuple[Version, ...]]
) -> Row | Unscored | NotApplicable:  # fmt: skip
    """Return a metric's row from all versions of a sample's completions; Unscored where there is none.

    Raises:
        PluginError: when the metric raises, or its row is not what its kind asks for.
    """
    said = tuple(one for one in versions if one)
    if not said:
        return Unscored(reason="there is no reply to rewrite")
    with plugin_code(f"the metric {metric.name!r} on the sample {sample.id!r}", metric):
        given = metric.compare(sample, said)
    return kind_of(metric).check_row(metric, sample.id, given)
