"""The verdict of a gate that goes by other evidence than its metric's own interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from harness.stats import estimate
from harness.types import AnchorCheck, Check, worst_status

if TYPE_CHECKING:
    from harness.gates.kind import Arms, GateKind
    from harness.types import Estimate, Gate, Status


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the evidence says of a value or of a difference, in the metric's unit."""

    sentence: str
    """With the value and its interval, or with what stands in the way."""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    status: Status = "inconclusive"


def check_value(gate: Gate, arms: Arms, found: Finding, method: str) -> Check:
    """Return the verdict on a value."""
    own = _own(gate, arms)
    return Check(
        gate=gate, status=found.status, sentence=f"{found.status}: {found.sentence}", estimate=own, low=found.low,
        high=found.high, p=found.p, method=method,
    )  # fmt: skip


def check_differences(
    gate: Gate, kind: GateKind, arms: Arms, look: Callable[[str, float], Finding], method: str
) -> Check:
    """Return the verdict on a candidate beside others: the worst of what is found against each.

    Args:
        gate: that compares.
        kind: its kind.
        arms: the tables.
        look: returns what is found against an arm, with the margin there.
        method: by which.
    """
    parts = [(to, look(to, margin)) for to, margin in kind.arms(gate)]
    status = cast("Status", worst_status(found.status for _, found in parts))
    kept = [
        AnchorCheck(
            status=found.status, baseline=estimate(arms.others[to], confidence=1 - 2 * gate.alpha, seed=arms.seed),
            difference=found.value, low=found.low, high=found.high, p=found.p, method=method,
        )
        for to, found in parts
    ]  # fmt: skip
    known = [found.p for _, found in parts if found.p is not None]
    return Check(
        gate=gate, status=status, sentence=f"{status}: {'; '.join(found.sentence for _, found in parts)}",
        estimate=_own(gate, arms), baseline=kept[0].baseline, difference=kept[0].difference, low=kept[0].low,
        high=kept[0].high, method=method, p=max(known) if len(known) == len(parts) else None,
        anchor=kept[1] if len(kept) > 1 else None,
    )  # fmt: skip


def _own(gate: Gate, arms: Arms) -> Estimate:
    return estimate(arms.candidate, confidence=1 - 2 * gate.alpha, seed=arms.seed, resamples=arms.resamples)
