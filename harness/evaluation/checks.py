"""Estimates and checks of an arm: what was measured, why some was not, and what the gates say of it."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from harness.evaluation.prepare import gate_place
from harness.evaluation.respond import passed_over
from harness.gates.attainable import require_attainable
from harness.gates.check import check_gate
from harness.stats.assess import estimate
from harness.stats.kinds import kind_of
from harness.stats.proportion import effective_clusters
from harness.types import Check, Estimate, Gate, NotApplicable, Unscored

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.contracts import Metric
    from harness.evaluation.prepare import PreparedSuite
    from harness.stats.table import MetricTable

_NAMES = 4
_REASONS = 3
_JUDGE = {
    "the judge gave no probability": "; next: let it write its verdicts, with --set critics.judge.writes=true",
    "the judge": "; next: let a stronger model judge, with --judge REF",
}
"""The next step by what a reason says, the most particular first."""


def estimates(
    metrics: Sequence[Metric], tables: Mapping[str, MetricTable], *, seed: int, alpha: float = 0.05
) -> tuple[Estimate, ...]:
    """Return every metric's estimate, in the suite's order; intervals are two-sided at 1 - 2 alpha."""
    return tuple(estimate(tables[metric.name], confidence=1 - 2 * alpha, seed=seed) for metric in metrics)


def checks(
    gates: Sequence[Gate],
    tables: Mapping[str, MetricTable],
    baselines: Mapping[str, Mapping[str, MetricTable]],
    *,
    seed: int,
    device: str = "",
) -> tuple[Check, ...]:
    """Return every gate's verdict.

    Args:
        gates: to check.
        tables: the candidate's, by metric.
        baselines: the tables of what comparisons compare with, by what the gates call it.
        seed: of resampling.
        device: on which the candidate's model ran, such as `cuda:0`; empty where it is not known, and all gates hold.
    """

    def rows(name: str | None, gate: Gate) -> MetricTable | None:
        return None if name is None else baselines[name][gate.metric]

    return tuple(
        _elsewhere(gate, tables[gate.metric], device, seed)
        or check_gate(gate, tables[gate.metric], rows(gate.to, gate), rows(gate.anchor, gate), seed=seed)
        for gate in gates
    )


def _elsewhere(gate: Gate, table: MetricTable, device: str, seed: int) -> Check | None:
    """Return the check of a gate that does not hold on this device, or None where it does."""
    kind = device.partition(":")[0]
    if not gate.devices or not kind or kind in gate.devices:
        return None
    text = f"not applicable: it holds on {' and '.join(gate.devices)}, and this ran on {device}"
    found = estimate(table, confidence=1 - 2 * gate.alpha, seed=seed)
    return Check(gate=gate, status="not_applicable", sentence=text, estimate=found)


def require_attainable_gates(prepared: PreparedSuite) -> None:
    """Refuse gates that even perfect data could not pass at this many samples.

    Raises:
        InputError: naming the gate and the number of samples it needs.
    """
    gated = {gate.metric for gate in prepared.gates}
    counted = _countable([metric for metric in prepared.metrics if metric.name in gated], prepared)
    for index, gate in zip(prepared.gate_origins, prepared.gates, strict=True):
        metric, found = counted[gate.metric]
        require_attainable(
            gate, metric, found.samples, clusters=math.floor(effective_clusters(np.array(found.sizes))),
            **gate_place(prepared.suite, index, own=prepared.own_gates),
        )  # fmt: skip


def counted(prepared: PreparedSuite) -> dict[str, int]:
    """Return how many samples can count for each metric that gates are on."""
    gated = {gate.metric for gate in prepared.gates}
    found = _countable([metric for metric in prepared.metrics if metric.name in gated], prepared)
    return {name: countable.samples for name, (_, countable) in found.items()}


@dataclass(kw_only=True)
class _Countable:
    """How many samples can count for a metric."""

    samples: int = 0
    alone: int = 0
    """Those without a cluster."""
    clusters: Counter[str] = field(default_factory=Counter)
    """Samples of each."""

    @property
    def sizes(self) -> list[float]:
        """Return the number of samples in each cluster."""
        return [1.0] * self.alone + [float(count) for count in self.clusters.values()]

    def add(self, cluster: str | None) -> None:
        self.samples += 1
        if cluster is None:
            self.alone += 1
        else:
            self.clusters[cluster] += 1


def _countable(metrics: Sequence[Metric], prepared: PreparedSuite) -> dict[str, tuple[Metric, _Countable]]:
    """Count the samples that can count for each metric: those it does not call not applicable unseen."""
    counted = {metric.name: (metric, _Countable()) for metric in metrics}
    if not counted:
        return counted
    for sample in prepared.samples:
        for metric, found in counted.values():
            if not kind_of(metric).per_sample or not passed_over(metric, sample, prepared.suite.ask):
                found.add(sample.cluster)
    return counted


def gap_notes(tables: Mapping[str, MetricTable], estimates: Iterable[Estimate]) -> tuple[str, ...]:
    """Return a sentence for each set of metrics that lack numbers for the same reasons, in the order of the metrics.

    Args:
        tables: by metric.
        estimates: of these tables; only the rows of those that lack numbers are read.
    """
    unscored: dict[str, list[str]] = defaultdict(list)
    unasked: dict[int, dict[str, str]] = defaultdict(dict)
    for found in estimates:
        table = tables.get(found.metric)
        if table is None:
            continue
        if found.unscored:
            some = "all" if found.unscored == found.n else f"{found.unscored} of {found.n}"
            told = f"{some} samples are unscored: {_reasons(table.rows, Unscored)}"
            unscored[told].append(found.metric)
        elif found.n == 0 and len(table.rows):
            unasked[len(table.rows)][found.metric] = _reasons(table.rows, NotApplicable)
    notes = [
        f"{_names(names)}: {told}{next((step for what, step in _JUDGE.items() if what in told), '')}"
        for told, names in unscored.items()
    ]
    for count, reasons in unasked.items():
        reason = f": {next(iter(reasons.values()))}" if len(set(reasons.values())) == 1 else ""
        notes.append(f"{_names(list(reasons))}: applies to none of the {count} samples{reason}")
    return tuple(notes)


def _reasons(rows: Iterable[object], kind: type[Unscored | NotApplicable]) -> str:
    counted = Counter(row.reason for row in rows if isinstance(row, kind))
    if len(counted) == 1:
        return next(iter(counted))
    parts = [f"{reason} ({count})" for reason, count in counted.most_common(_REASONS)]
    return "; ".join(parts) + ("; …" if len(counted) > _REASONS else "")


def _names(names: Sequence[str]) -> str:
    more = len(names) - _NAMES
    return ", ".join(names[:_NAMES]) + (f" and {more} more" if more > 0 else "")
