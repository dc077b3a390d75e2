"""Checks a gate on a run: passed, failed or inconclusive, with interval and p from the metric's one procedure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.errors import InputError
from harness.gates.sentences import (
    amount,
    bounds_text,
    change,
    comparison_advice,
    limit_advice,
    limit_text,
    unscored_text,
)
from harness.gates.valid import COMPARES, require_valid
from harness.stats import Assessment, Comparison, MetricTable, assess, compare, estimate
from harness.stats.worst_case import bounds_of
from harness.types import Check

if TYPE_CHECKING:
    from harness.contracts import Metric
    from harness.types import Gate, Status


def check_gate(gate: Gate, candidate: MetricTable, baseline: MetricTable | None = None, *, seed: int = 0) -> Check:
    """Check a gate on a run.

    `passed` needs evidence: the bound at the gate's level, whatever the unscored samples were, must clear the limit.
    `failed` is evidence of the opposite: the other bound is past the limit. All else is `inconclusive`.

    Args:
        gate: the condition; `gate.metric` is the tables' metric.
        candidate: the metric's rows on the candidate's run.
        baseline: on the baseline's run, for gates that compare.
        seed: of the resampling.

    Raises:
        InputError: for a gate that makes no sense for the metric, a comparison without a baseline, or runs whose
            samples differ.
    """
    require_valid(gate, candidate.metric)
    if gate.kind == "max_unscored":
        return _unscored(gate, candidate, seed)
    if gate.kind not in COMPARES:
        return _limit(gate, candidate, seed)
    if baseline is None:
        raise InputError(
            f"the gate {gate.kind} on {gate.metric} compares with {gate.to or 'promoted'}, but there is no run of it",
            hint="give the baseline with --baseline",
        )
    return _comparison(gate, candidate, baseline, seed)


def _unscored(gate: Gate, table: MetricTable, seed: int) -> Check:
    """A share of this very run, not of a population: it has no interval."""
    limit = gate.limit or 0.0
    found = estimate(table, confidence=1 - 2 * gate.alpha, seed=seed)
    status: Status = "inconclusive"
    text = f"no sample is in the denominator of {gate.metric}"
    if table.n:
        share = table.unscored / table.n
        status = "passed" if share <= limit else "failed"
        side = "within" if status == "passed" else "against"
        text = (
            f"{table.unscored} of {table.n} samples of {gate.metric} are unscored ({100 * share:.1f} %), "
            f"{side} a limit of {100 * limit:g} %"
        )
    return Check(gate=gate, status=status, sentence=f"{status}: {text}", estimate=found, method="count")


def _limit(gate: Gate, table: MetricTable, seed: int) -> Check:
    metric, limit = table.metric, gate.limit or 0.0
    found = assess(table, alpha=gate.alpha, null=limit, seed=seed)
    point = gate.evidence == "point"
    low, high = found.worst_values if point else (found.worst.low, found.worst.high)
    status: Status = "inconclusive"
    if not found.obstacle or (point and found.estimate.value is not None):
        if gate.kind == "max":
            status = _three_way(passes=high is not None and high <= limit, fails=low is not None and low > limit)
        else:
            status = _three_way(passes=low is not None and low >= limit, fails=high is not None and high < limit)
    text = _limit_text(gate, metric, found, status, clustered=_clustered(table))
    return Check(
        gate=gate, status=status, sentence=f"{status}: {text}", estimate=found.estimate,
        low=None if point else found.worst.low, high=None if point else found.worst.high,
        p=None if point else found.worst.p_below if gate.kind == "max" else found.worst.p_above,
        method="point value, no interval" if point else found.worst.method,
    )  # fmt: skip


def _limit_text(gate: Gate, metric: Metric, found: Assessment, status: Status, *, clustered: bool) -> str:
    value, limit = found.estimate, limit_text(metric, gate.limit or 0.0)
    if value.value is None:
        return f"{gate.metric} has no value: {found.obstacle}"
    what = "limit" if gate.kind == "max" else "minimum"
    side = (
        f"{'within' if gate.kind == 'max' else 'above'} the {what} of" if status == "passed" else f"against a {what} of"
    )
    side += f" {limit}"
    missing = unscored_text(value.unscored, value.n, bounded=bounds_of(metric) is not None)
    if gate.evidence == "point":
        return f"{gate.metric} is {amount(metric, value.value)}{missing}, {side} (point value, no interval)"
    text = f"{gate.metric} is {amount(metric, value.value)} {bounds_text(metric, found.worst.low, found.worst.high)}"
    text += f"{missing}, {side}" if missing or status == "passed" else f" {side}"
    if status == "inconclusive" and (advice := limit_advice(gate, metric, found, clustered=clustered)):
        text += f"; {advice}"
    return text


def _comparison(gate: Gate, candidate: MetricTable, baseline: MetricTable, seed: int) -> Check:
    metric = candidate.metric
    higher = metric.direction == "higher"
    margin = (gate.margin or 0.0) if gate.kind == "non_inferior" else 0.0
    null = -margin if higher else margin
    found = compare(candidate, baseline, alpha=gate.alpha, null=null, seed=seed)
    point = gate.evidence == "point"
    low, high = found.worst if point else (found.low, found.high)
    status: Status = "inconclusive"
    if not found.obstacle or (point and found.difference is not None):
        above, below = low is not None and low > null, high is not None and high < null
        status = _three_way(passes=above if higher else below, fails=below if higher else above)
    text = _comparison_text(gate, metric, found, status, clustered=_clustered(candidate))
    level = 1 - 2 * gate.alpha
    return Check(
        gate=gate, status=status, sentence=f"{status}: {text}",
        estimate=estimate(candidate, confidence=level, seed=seed),
        baseline=estimate(baseline, confidence=level, seed=seed),
        difference=found.difference,
        low=None if point else found.low, high=None if point else found.high,
        p=None if point else found.p_above if higher else found.p_below,
        method="point values, no interval" if point else found.method,
    )  # fmt: skip


def _comparison_text(gate: Gate, metric: Metric, found: Comparison, status: Status, *, clustered: bool) -> str:
    to = gate.to or "promoted"
    if found.difference is None:
        return f"{gate.metric} cannot be compared with {to}: {found.obstacle}"
    text = (
        f"{gate.metric} is {amount(metric, found.candidate)} against {amount(metric, found.baseline)} of {to}: "
        f"{change(metric, found.difference)}"
    )
    if gate.evidence == "bound":
        text += f" {bounds_text(metric, found.low, found.high)}"
    text += unscored_text(found.unscored, found.n, bounded=bounds_of(metric) is not None)
    if gate.kind == "superior":
        text += {"passed": ", which is better", "failed": ", which is worse"}.get(status, ", where it should be better")
    else:
        loss = limit_text(metric, gate.margin or 0.0).replace(" %", " points")
        text += f", {'within' if status == 'passed' else 'against'} a margin of {loss}"
    if gate.evidence == "point":
        return f"{text} (point values, no interval)"
    if status == "inconclusive" and (advice := comparison_advice(gate, metric, found, clustered=clustered)):
        text += f"; {advice}"
    return text


def _three_way(*, passes: bool, fails: bool) -> Status:
    return "passed" if passes else "failed" if fails else "inconclusive"


def _clustered(table: MetricTable) -> bool:
    groups = table.groups(table.applicable)
    return len(np.unique(groups)) < len(groups)
