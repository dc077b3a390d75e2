"""Estimates and checks of an arm: what was measured, and what the gates say of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.evaluation.measure import row_of
from harness.evaluation.prepare import gate_place
from harness.evaluation.respond import silence
from harness.gates.attainable import require_attainable
from harness.gates.check import check_gate
from harness.stats.assess import estimate
from harness.stats.kinds import kind_of
from harness.types import Check, Estimate, Gate, NotApplicable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.contracts import Metric
    from harness.evaluation.prepare import PreparedSuite
    from harness.stats.table import MetricTable
    from harness.types import Decoding, Sample


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
            gate, metric, found.samples, clusters=found.alone + len(found.clusters),
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
    clusters: set[str] = field(default_factory=set)

    def add(self, cluster: str | None) -> None:
        self.samples += 1
        if cluster is None:
            self.alone += 1
        else:
            self.clusters.add(cluster)


def _countable(metrics: Sequence[Metric], prepared: PreparedSuite) -> dict[str, tuple[Metric, _Countable]]:
    """Count the samples that can count for each metric: those it does not call not applicable unseen."""
    counted = {metric.name: (metric, _Countable()) for metric in metrics}
    if not counted:
        return counted
    for sample in prepared.samples:
        for metric, found in counted.values():
            if not kind_of(metric).per_sample or not _passed_over(metric, sample, prepared.suite.ask):
                found.add(sample.cluster)
    return counted


def _passed_over(metric: Metric, sample: Sample, ask: Decoding) -> bool:
    return isinstance(row_of(metric, sample, silence(metric, sample, ask), {}, ()), NotApplicable)
