"""How far a run's number format moved its gates' metrics, as text: for the terminal and for the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.stats.kinds import kind_of
from harness.tables import number

if TYPE_CHECKING:
    from harness.types import Estimate, PrecisionCheck, PrecisionShift, RunRecord

PRECISION_COLUMNS = ("metric", "as run", "in float32", "shift, between", "changed")


def dtype_of(run: RunRecord) -> str:
    """Return the number format that a run was computed in; empty where that is nobody's to know or of no matter."""
    found = run.environment.get("dtype", "")
    return "" if found in {"none", "unknown"} else found


def precision_line(drift: PrecisionCheck) -> str:
    """Say in one sentence what was compared, or why nothing was."""
    if drift.reason:
        return f"{drift.dtype} against float32 was not checked: {drift.reason}"
    took = f"{drift.model_calls} of {drift.requests} requests asked, {drift.seconds:.1f} s"
    return f"{drift.dtype} against float32, {drift.samples} samples once more ({took})"


def precision_rows(run: RunRecord) -> list[tuple[str, ...]]:
    """Return one row of `PRECISION_COLUMNS` for each shift that was measured."""
    known = {estimate.metric: estimate for estimate in run.estimates}
    return [_row(found, known[found.metric]) for found in (run.drift.shifts if run.drift is not None else ())]


def _row(found: PrecisionShift, estimate: Estimate) -> tuple[str, ...]:
    name = found.metric if found.to is None else f"{found.metric}, difference to {found.to}"
    ends = [
        end if value is None else number(value, estimate).removesuffix(" %")
        for value, end in ((found.low, "-∞"), (found.high, "∞"))
    ]
    unit = " points" if kind_of(estimate).shares else ""
    return (
        name, number(found.value, estimate), number(found.reference, estimate), f"[{', '.join(ends)}]{unit}",
        f"{found.changed} of {found.n}" + (f", {found.unscored} unscored" if found.unscored else ""),
    )  # fmt: skip
