"""Some samples of a run once more in float32, one request at a time, through the same pass as the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.engine.alone import AloneCore
from harness.evaluation.arm import through
from harness.evaluation.roles import Asking
from harness.stats.kinds import kind_of
from harness.stats.table import MetricTable

if TYPE_CHECKING:
    from harness.contracts import Metric
    from harness.engine.core import ModelCore
    from harness.evaluation.pool import ModelPool
    from harness.evaluation.prepare import PreparedSuite
    from harness.types import Candidate, Reply, Request

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
    def of(cls, candidate: Candidate, pool: ModelPool) -> Way:
        core = pool.core(candidate.model)
        dtype = core.fingerprint(candidate).get("dtype", "none")
        if not core.model.verifiable or dtype in _EXACT:
            return cls(candidate=candidate, core=core, dtype=None, alone=None)
        reference = core.model.reference()
        if reference is None:
            return cls(candidate=candidate, core=core, dtype=dtype, alone=None)
        alone = AloneCore(pool.core(reference), pool.cache, pool.progress)
        return cls(candidate=replace(candidate, model=reference), core=core, dtype=dtype, alone=alone)


@dataclass(frozen=True, kw_only=True)
class _Exactly(Asking):
    """Asks in float32 and alone where that can be, else as the run asks."""

    ways: Mapping[str, Way]

    def answer(self, role: str, requests: Sequence[Request]) -> list[Reply]:
        way = self.ways[role]
        answers = way.core if way.alone is None else way.alone
        return answers.answer(way.candidate, requests, label=self.label, progress=self.progress)


def reads_verdicts(metric: Metric) -> bool:
    """Tell whether a metric depends on the judge's replies."""
    return metric.constitution is not None or bool(metric.principles)


def in_float32(
    prepared: PreparedSuite, ways: Mapping[str, Way], wanted: Mapping[str, Sequence[str]], asking: Asking, *, label: str
) -> dict[str, MetricTable]:
    """Return the tables of metrics on some samples, with replies and verdicts computed in float32.

    Args:
        prepared: the suite.
        ways: how each role is asked in float32, the policy among them.
        wanted: ids of samples by metric.
        asking: how the run asks.
        label: of the arm, for the bars.

    Returns:
        By metric, in the order of the wanted ids. A metric that nothing inexact went into is left out.
    """
    others = any(way.alone is not None for role, way in ways.items() if role != "policy")
    metrics = [
        metric for metric in prepared.metrics
        if metric.name in wanted and (ways["policy"].alone is not None or (reads_verdicts(metric) and others))
    ]  # fmt: skip
    if not metrics:
        return {}
    chosen = {sample for metric in metrics for sample in wanted[metric.name]}
    samples = [sample for sample in prepared.samples if sample.id in chosen]
    # Critics judge all replies, whichever metric asked for them.
    asked = prepared.metrics if any(reads_verdicts(metric) for metric in metrics) else tuple(metrics)
    exactly = _Exactly(roles=asking.roles.of(ways["policy"].candidate), pool=asking.pool, ways=ways)
    known = {
        record.sample.id: (record, gathered)
        for records, brought in through(
            replace(prepared, metrics=asked), samples, exactly, name=f"{label} in float32, one at a time"
        )
        for record, gathered in zip(records, brought, strict=True)
    }
    found = {}
    for metric in metrics:
        own = [known[sample] for sample in wanted[metric.name]]
        found[metric.name] = MetricTable(
            metric=metric, ids=tuple(record.sample.id for record, _ in own),
            content_hashes=tuple(record.sample.content_hash for record, _ in own),
            clusters=tuple(record.sample.cluster for record, _ in own),
            rows=tuple(record.rows[metric.name] for record, _ in own),
            records=tuple((record.sample, gathered[metric.name].replies) for record, gathered in own)
            if kind_of(metric).reads_records else None,
        )  # fmt: skip
    return found
