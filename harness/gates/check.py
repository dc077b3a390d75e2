"""Checks a gate on a run: passed, failed or inconclusive, with interval and p from the metric's one procedure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.gates.kind import Arms
from harness.gates.kinds import correction_of, kind_of
from harness.gates.valid import require_valid
from harness.stats.interval import RESAMPLES

if TYPE_CHECKING:
    from harness.stats import MetricTable
    from harness.types import Check, Gate


def check_gate(
    gate: Gate, candidate: MetricTable, baseline: MetricTable | None = None, anchor: MetricTable | None = None,
    *, seed: int = 0, resamples: int = RESAMPLES, advises: bool = True,
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
        advises: whether the sentence says how many samples would decide, which costs more than the verdict.

    Raises:
        InputError: for a gate that makes no sense for the metric, a comparison without a baseline, or runs whose
            samples differ.
    """
    require_valid(gate, candidate.metric)
    kind = kind_of(gate)
    others = {}
    for (to, _), table, word, hint in zip(
        kind.arms(gate), (baseline, anchor), ("compares with", "has the anchor"),
        ("give the baseline with --baseline", "run the suite again"), strict=False,
    ):  # fmt: skip
        if table is None:
            cause = f"the gate {gate.kind} on {gate.metric} {word} {to}, but there is no run of it"
            raise InputError(cause, hint=hint)
        others[to] = table
    arms = Arms(candidate=candidate, others=others, seed=seed, resamples=resamples, advises=advises)
    return correction_of(gate).check(gate, kind, arms) if gate.correction else kind.check(gate, arms)
