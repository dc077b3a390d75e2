"""Estimates and checks of an arm: what was measured, and what the gates say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.evaluation.measure import row_of
from harness.evaluation.prepare import gate_place
from harness.evaluation.respond import requests_of
from harness.evaluation.samples import cluster_of
from harness.gates.attainable import require_attainable
from harness.gates.check import check_gate
from harness.stats.estimate import estimate
from harness.types import Check, Estimate, Gate, NoReply, NotApplicable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.contracts import Metric
    from harness.evaluation.prepare import PreparedSuite
    from harness.stats.table import MetricTable
    from harness.types import Sample


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
) -> tuple[Check, ...]:
    """Return every gate's verdict.

    Args:
        gates: to check.
        tables: the candidate's, by metric.
        baselines: the tables of what comparisons compare with, by what the gates call it.
        seed: of resampling.
    """

    def rows(name: str | None, gate: Gate) -> MetricTable | None:
        return None if name is None else baselines[name][gate.metric]

    return tuple(
        check_gate(gate, tables[gate.metric], rows(gate.to, gate), rows(gate.anchor, gate), seed=seed) for gate in gates
    )


def require_attainable_gates(prepared: PreparedSuite) -> None:
    """Refuse gates that even perfect data could not pass at this many samples.

    Raises:
        InputError: naming the gate and the number of samples it needs.
    """
    by_name = {metric.name: metric for metric in prepared.metrics}
    for index, gate in enumerate(prepared.gates):
        metric = by_name[gate.metric]
        counted = countable(metric, prepared)
        require_attainable(
            gate, metric, len(counted), clusters=len({cluster_of(sample) for sample in counted}),
            **gate_place(prepared.suite, index, own=prepared.own_gates),
        )  # fmt: skip


def countable(metric: Metric, prepared: PreparedSuite) -> list[Sample]:
    """Return the samples that can count for a metric: those it does not call not applicable unseen."""
    if metric.kind == "run":
        return list(prepared.samples)
    counted = []
    for sample in prepared.samples:
        silent = tuple(NoReply(reason="not asked yet") for _ in requests_of(metric, sample, prepared.suite.ask))
        if not isinstance(row_of(metric, sample, silent, {}, ()), NotApplicable):
            counted.append(sample)
    return counted
