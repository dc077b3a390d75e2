"""Records turned into what is drawn: gates, metrics, principles. No Streamlit here; pages and export share it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.gates.kinds import kind_of
from harness.stats.kinds import kind_of as metric_kind
from harness.tables import describe_gate, headline, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.types import Check, Constitution, Estimate, Principle, RunRecord

MARKS = {"passed": "✓", "failed": "✗", "inconclusive": "?", "ungated": "–", "not_applicable": "–", "broken": "!"}
"""A mark beside every status, so that colour never carries it alone."""
INFORMS = "Informs, does not gate: its critics are not calibrated."
GATED = "A gate rests on it."


@dataclass(frozen=True, kw_only=True)
class GateFigure:
    """One gate as a sentence and as an interval beside its threshold."""

    title: str
    status: str
    sentence: str
    """Without the status before it."""
    axis: str
    """What the numbers are, with their unit."""
    value: float | None
    low: float | None
    high: float | None
    passing: tuple[float | None, float | None]
    """Where the gate passes; None for an end of the axis."""
    candidate: str
    """The candidate's value, written out."""
    baseline: str | None
    compares: bool
    """Whether the numbers are differences from the baseline."""
    method: str
    p: float | None
    bounded: bool
    """Whether the numbers are shares, which lie between 0 and 100."""

    @property
    def ends(self) -> tuple[float, float]:
        """Ends of an axis that holds everything drawn."""
        zero = 0.0 if self.compares else None
        low, high = domain(self.value, self.low, self.high, *self.passing, zero, pad=0.18)
        return (max(0.0, low), min(100.0, high)) if self.bounded else (low, high)


def gate_figure(check: Check) -> GateFigure:
    """Return what is drawn of a check; shares are in percent, and their differences in points."""
    kind, found = kind_of(check.gate), check.corrected or check.estimate
    drawn = kind.drawn(check)
    scale = 100.0 if drawn.percent else 1.0

    def scaled(value: float | None) -> float | None:
        return None if value is None or not math.isfinite(value) else value * scale

    own = "—" if found is None else number(found.value, found) if check.corrected else headline(found)
    return GateFigure(
        title=describe_gate(check), status=check.status, sentence=check.sentence.removeprefix(f"{check.status}: "),
        axis=f"{drawn.axis} ({drawn.unit})" if drawn.unit else drawn.axis, value=scaled(drawn.value),
        low=scaled(check.low), high=scaled(check.high),
        passing=(scaled(drawn.region.least), scaled(drawn.region.greatest)),
        candidate=own if drawn.own is None else drawn.own,
        baseline=None if check.baseline is None else headline(check.baseline),
        compares=kind.compares, method=check.method, p=check.p, bounded=drawn.percent and not kind.compares,
    )  # fmt: skip


def domain(*values: float | None, pad: float = 0.12) -> tuple[float, float]:
    """Return the ends of an axis that holds all the values, with some air."""
    known = [value for value in values if value is not None]
    if not known:
        return (0.0, 1.0)
    low, high = min(known), max(known)
    air = (high - low or abs(high) or 1.0) * pad
    return (low - air, high + air)


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    """One metric of a run beside the baseline's."""

    estimate: Estimate
    baseline: Estimate | None
    gated: bool
    scale: tuple[float, float]
    """Ends of the axis on which both are drawn."""


def metric_rows(run: RunRecord, baseline: RunRecord | None) -> tuple[MetricRow, ...]:
    """Return a run's metrics, those that gates rest on first."""
    gated = {check.gate.metric for check in run.checks}
    others = {} if baseline is None else {estimate.metric: estimate for estimate in baseline.estimates}
    rows = []
    for found in run.estimates:
        other = others.get(found.metric)
        both = [found] if other is None else [found, other]
        values = [value for one in both for value in (one.value, one.low, one.high)]
        scale = (0.0, 1.0) if metric_kind(found).shares else domain(*values)
        rows.append(MetricRow(estimate=found, baseline=other, gated=found.metric in gated, scale=scale))
    return tuple(sorted(rows, key=lambda row: not row.gated))


@dataclass(frozen=True, kw_only=True)
class PrincipleFigure:
    """How far a run's replies follow one principle."""

    principle: Principle
    constitution: str
    estimate: Estimate | None
    """None where the suite has no metric of its adherence."""
    baseline: Estimate | None
    gated: bool

    @property
    def standing(self) -> str:
        """Say whether anything is decided by it."""
        return GATED if self.gated else INFORMS


def principle_figures(
    run: RunRecord, judged: Sequence[Constitution], baseline: RunRecord | None
) -> tuple[PrincipleFigure, ...]:
    """Return one figure for each principle that judged the run, in the constitutions' order."""
    gated = {check.gate.metric for check in run.checks}
    found = []
    seen = set()
    for constitution in judged:
        for principle in constitution.principles:
            if principle.id in seen:
                continue
            seen.add(principle.id)
            estimate = _adherence(run, principle.id)
            found.append(
                PrincipleFigure(
                    principle=principle, constitution=constitution.id, estimate=estimate,
                    baseline=None if baseline is None else _adherence(baseline, principle.id),
                    gated=estimate is not None and estimate.metric in gated,
                )
            )  # fmt: skip
    return tuple(found)


def _adherence(run: RunRecord, principle: str) -> Estimate | None:
    """Return the estimate of `PREFIX.PRINCIPLE`, as the metric adherence names it."""
    return next((found for found in run.estimates if found.metric.partition(".")[2] == principle), None)


def key_metrics(run: RunRecord, most: int = 3) -> tuple[Estimate, ...]:
    """Return the few estimates that say most about a run: those of its gates, then the first others."""
    gated = [check.gate.metric for check in run.checks]
    ordered = sorted(
        (found for found in run.estimates if metric_kind(found).per_sample or found.metric in gated),
        key=lambda found: gated.index(found.metric) if found.metric in gated else len(gated),
    )
    return tuple(ordered[:most])


def when(created: str) -> str:
    """Write an ISO time as people read it: `2026-11-20 06:40 UTC`."""
    return f"{created[:10]} {created[11:16]} UTC" if len(created) >= 16 else created
