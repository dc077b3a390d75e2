"""Which of a run's samples are worth reading: the worst by a metric, with what was said."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api import (
    InputError,
    LogLikelihood,
    LogProb,
    NoReply,
    NotApplicable,
    SampleRecord,
    Unscored,
    unknown_name,
)
from harness.api.commands import counted, safe_text
from harness.api.stats import metric_kind as kind_of

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable

    from harness.api import Estimate, RunRecord


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A sample with its score on one metric."""

    record: SampleRecord
    metric: str
    value: float | None
    """None where it is unscored."""
    failed: bool
    """Whether it counts against a rate; an unscored sample does. False where the metric is no rate."""
    number: int
    """Its place in the run, from 0."""

    @property
    def score(self) -> str:
        """The score in words."""
        return "unscored" if self.value is None else f"{self.value:.3g}"

    @property
    def reply(self) -> str:
        """What was said, or the continuation that was the most probable."""
        return reply_text(self.record)


def metric_to_show(run: RunRecord, name: str | None) -> Estimate:
    """Return the metric by which a run's samples are ordered: the named one, or the first that a gate rests on.

    Raises:
        InputError: when the run has no such metric, or none that says which of two samples is worse.
    """
    known = {estimate.metric: estimate for estimate in run.estimates}
    if name is not None:
        if name not in known:
            raise unknown_name("metric", name, known)
        if not kind_of(known[name]).per_sample or known[name].direction == "neither":
            raise InputError(f"the metric {name} says of no single sample that it is worse", hint=_choice(run))
        return known[name]
    gated = [check.gate.metric for check in run.checks]
    usable = [estimate for estimate in run.estimates if _orders(estimate)]
    if not usable:
        raise InputError(f"no metric of the run {run.id} says of a sample that it is worse", hint="name --metric NAME")
    return min(usable, key=lambda estimate: estimate.metric not in gated)


def _orders(estimate: Estimate) -> bool:
    return kind_of(estimate).per_sample and estimate.direction != "neither"


def _choice(run: RunRecord) -> str:
    return f"those that do: {', '.join(e.metric for e in run.estimates if _orders(e)) or 'none'}"


def scored(records: Iterable[SampleRecord], estimate: Estimate, others: Counter[str] | None = None) -> Iterable[Shown]:
    """Yield the samples that a metric applies to, with their scores; count the reasons of the others."""
    shares, best = kind_of(estimate).shares, float(estimate.direction == "higher")
    for number, record in enumerate(records):
        row = record.rows.get(estimate.metric)
        if isinstance(row, tuple) and row:
            value = row[0] / row[1] if len(row) == 2 and row[1] else row[0]
            yield Shown(
                record=record, metric=estimate.metric, value=value, failed=shares and value != best, number=number
            )
        elif isinstance(row, Unscored):
            yield Shown(record=record, metric=estimate.metric, value=None, failed=True, number=number)
        elif others is not None:
            others[row.reason if isinstance(row, NotApplicable) else ""] += 1


def hidden_words(hidden: int, run: str) -> str:
    """Say how many samples are hidden, why, and what shows them."""
    decide = "1 more decides and is" if hidden == 1 else f"{hidden} more decide and are"
    return f"{decide} hidden, so that nobody trains on what decides (harness reveal {run} shows and retires them)"


def others_words(others: Counter[str], metric: str) -> str:
    """Say of how many samples a metric says nothing, with the commonest reason."""
    reason = others.most_common(1)[0][0]
    many = len([one for one in others if one]) > 1
    why = f" ({'most often: ' if many else ''}{safe_text(reason, limit=80, one_line=True)})" if reason else ""
    return f"{metric} does not apply to {counted(others.total(), 'other')}{why}"


def worst(samples: Iterable[Shown], estimate: Estimate, count: int | None) -> list[Shown]:
    """Return the worst samples, the worst first; unscored ones stand behind those that have a score."""
    sign = 1.0 if estimate.direction == "higher" else -1.0

    def key(one: Shown) -> tuple[bool, float, int]:
        return (one.value is None, 0.0 if one.value is None else sign * one.value, one.number)

    return sorted(samples, key=key) if count is None else heapq.nsmallest(count, samples, key=key)


def reply_text(record: SampleRecord) -> str:
    """Return what the model said to a sample; of a closed set the continuation that it found the most probable."""
    if record.text is not None:
        return record.text
    chosen = [
        (reply.logprob, request.continuation) for request, reply in record.replies
        if isinstance(request, LogLikelihood) and isinstance(reply, LogProb)
    ]  # fmt: skip
    if chosen:
        return max(chosen)[1]
    lost = next((reply.reason for _, reply in record.replies if isinstance(reply, NoReply)), "")
    return f"(no reply: {lost})" if lost else "(no reply)"
