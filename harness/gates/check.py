"""Checks a gate on a run: passed, failed or inconclusive, with interval and p from the metric's one procedure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.gates.compared import check_comparison
from harness.gates.sentences import amount, bounds_text, limit_advice, limit_text, unscored_text
from harness.gates.valid import COMPARES, require_valid
from harness.stats import Assessment, MetricTable, assess, estimate
from harness.stats.bootstrap import RESAMPLES
from harness.stats.worst_case import bounds_of
from harness.types import Check

if TYPE_CHECKING:
    from harness.contracts import Metric
    from harness.types import Estimate, Gate, Status


def check_gate(
    gate: Gate, candidate: MetricTable, baseline: MetricTable | None = None, anchor: MetricTable | None = None,
    *, seed: int = 0, resamples: int = RESAMPLES,
) -> Check:  # fmt: skip
    """Check a gate on a run.

    `passed` needs evidence: the bound at the gate's level, whatever the unscored samples were, must clear the limit.
    `failed` is evidence of the opposite: the other bound is past the limit. All else is `inconclusive`.

    Args:
        gate: the condition; `gate.metric` is the tables' metric.
        candidate: the metric's rows on the candidate's run.
        baseline: on the baseline's run, for gates that compare.
        anchor: on the anchor's run, for gates that have one.
        seed: of the resampling.
        resamples: how many, where the procedure resamples.

    Raises:
        InputError: for a gate that makes no sense for the metric, a comparison without a baseline, or runs whose
            samples differ.
    """
    require_valid(gate, candidate.metric)
    if gate.kind == "max_unscored":
        return _unscored(gate, candidate, seed, resamples)
    if gate.kind not in COMPARES:
        return _limit(gate, candidate, seed, resamples)
    if baseline is None:
        raise InputError(
            f"the gate {gate.kind} on {gate.metric} compares with {gate.to or 'promoted'}, but there is no run of it",
            hint="give the baseline with --baseline",
        )
    if gate.anchor is not None and anchor is None:
        raise InputError(
            f"the gate {gate.kind} on {gate.metric} has the anchor {gate.anchor}, but there is no run of it",
            hint="run the suite again",
        )
    return check_comparison(
        gate, candidate, baseline, anchor if gate.anchor is not None else None, seed=seed, resamples=resamples
    )


def _unscored(gate: Gate, table: MetricTable, seed: int, resamples: int) -> Check:
    """A share of this very run, not of a population: it has no interval."""
    limit = gate.limit or 0.0
    found = estimate(table, confidence=1 - 2 * gate.alpha, seed=seed, resamples=resamples)
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


def _limit(gate: Gate, table: MetricTable, seed: int, resamples: int) -> Check:
    metric, limit = table.metric, gate.limit or 0.0
    found = assess(table, alpha=gate.alpha, null=limit, seed=seed, resamples=resamples, corrected=gate.corrected)
    labelled = (
        assess(table, alpha=gate.alpha, seed=seed, resamples=resamples).estimate if gate.corrected else found.estimate
    )
    point = gate.evidence == "point"
    low, high = found.worst_values if point else (found.worst.low, found.worst.high)
    status: Status = "inconclusive"
    if not found.obstacle or (point and found.estimate.value is not None):
        if gate.kind == "max":
            status = _three_way(passes=high is not None and high <= limit, fails=low is not None and low > limit)
        else:
            status = _three_way(passes=low is not None and low >= limit, fails=high is not None and high < limit)
    text = _limit_text(gate, metric, found, status, labelled, clustered=table.clustered)
    return Check(
        gate=gate, status=status, sentence=f"{status}: {text}", estimate=labelled,
        corrected=found.estimate if gate.corrected else None,
        low=None if point else found.worst.low, high=None if point else found.worst.high,
        p=None if point else found.worst.p_below if gate.kind == "max" else found.worst.p_above,
        method="point value, no interval" if point else found.worst.method,
    )  # fmt: skip


def _limit_text(
    gate: Gate, metric: Metric, found: Assessment, status: Status, labelled: Estimate, *, clustered: bool
) -> str:
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
    if gate.corrected:
        missing = f", corrected for its labeller's errors ({amount(metric, labelled.value)} as labelled)" + missing
    text += f"{missing}, {side}" if missing or status == "passed" else f" {side}"
    if status == "inconclusive" and (advice := limit_advice(gate, metric, found, labelled, clustered=clustered)):
        text += f"; {advice}"
    return text


def _three_way(*, passes: bool, fails: bool) -> Status:
    return "passed" if passes else "failed" if fails else "inconclusive"
