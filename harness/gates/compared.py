"""Gates that compare with another run: not worse, better, or the same within a margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.gates.sentences import amount, bounds_text, change, comparison_advice, points_text, unscored_text
from harness.stats import Comparison, MetricTable, compare, estimate
from harness.stats.worst_case import bounds_of
from harness.types import AnchorCheck, Check

if TYPE_CHECKING:
    from harness.contracts import Metric
    from harness.types import Gate, Status


@dataclass(frozen=True, kw_only=True)
class _Part:
    """The verdict against one arm."""

    name: str
    margin: float
    found: Comparison
    status: Status
    p: float | None


def check_comparison(
    gate: Gate, candidate: MetricTable, baseline: MetricTable, anchor: MetricTable | None, *, seed: int, resamples: int
) -> Check:
    """Check a gate that compares; where it has an anchor, both comparisons must pass (an intersection–union test).

    Args:
        gate: of a kind that compares.
        candidate: the metric's rows on the candidate's run.
        baseline: on the run of `gate.to`.
        anchor: on the run of `gate.anchor`; None where the gate has none.
        seed: of the resampling.
        resamples: how many, where the procedure resamples.
    """
    first = _against(gate, gate.to or "promoted", gate.margin or 0.0, candidate, baseline, seed, resamples)
    parts = [first]
    if anchor is not None:
        parts.append(_against(gate, gate.anchor or "", gate.total_margin or 0.0, candidate, anchor, seed, resamples))
    statuses = {part.status for part in parts}
    status: Status = "failed" if "failed" in statuses else "passed" if statuses == {"passed"} else "inconclusive"
    level, point = 1 - 2 * gate.alpha, gate.evidence == "point"
    known = [part.p for part in parts if part.p is not None]
    sentence = f"{status}: " + "; ".join(_text(gate, candidate, part, alone=part is first) for part in parts)
    if point:
        sentence += " (point values, no interval)"
    found = first.found
    return Check(
        gate=gate, status=status, sentence=sentence,
        estimate=estimate(candidate, confidence=level, seed=seed, resamples=resamples),
        baseline=estimate(baseline, confidence=level, seed=seed, resamples=resamples),
        difference=found.difference,
        low=None if point else found.low, high=None if point else found.high,
        p=max(known) if len(known) == len(parts) and not point else None,
        method="point values, no interval" if point else found.method,
        anchor=None if anchor is None else _anchor(parts[1], anchor, level, seed, resamples, point=point),
    )  # fmt: skip


def _anchor(part: _Part, anchor: MetricTable, level: float, seed: int, resamples: int, *, point: bool) -> AnchorCheck:
    found = part.found
    return AnchorCheck(
        status=part.status, difference=found.difference,
        baseline=estimate(anchor, confidence=level, seed=seed, resamples=resamples),
        low=None if point else found.low, high=None if point else found.high, p=None if point else part.p,
        method="point values, no interval" if point else found.method,
    )  # fmt: skip


def _against(
    gate: Gate, name: str, margin: float, candidate: MetricTable, baseline: MetricTable, seed: int, resamples: int
) -> _Part:
    if gate.kind == "equivalent":
        return _equivalent(gate, name, candidate, baseline, seed, resamples)
    higher = candidate.metric.direction == "higher"
    allowed = margin if gate.kind == "non_inferior" else 0.0
    null = -allowed if higher else allowed
    found = compare(candidate, baseline, alpha=gate.alpha, null=null, seed=seed, resamples=resamples)
    low, high = _ends(gate, found)
    status: Status = "inconclusive"
    if _decidable(gate, found):
        above, below = low is not None and low > null, high is not None and high < null
        passes, fails = (above, below) if higher else (below, above)
        status = "passed" if passes else "failed" if fails else "inconclusive"
    return _Part(name=name, margin=allowed, found=found, status=status, p=found.p_above if higher else found.p_below)


def _equivalent(
    gate: Gate, name: str, candidate: MetricTable, baseline: MetricTable, seed: int, resamples: int
) -> _Part:
    """Two one-sided tests at level alpha each: D. J. Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15
    (1987) 657–680. Both reject exactly where the (1 − 2 alpha) interval lies within ± margin; p is the larger one.
    """
    margin = gate.margin or 0.0
    above = compare(candidate, baseline, alpha=gate.alpha, null=-margin, seed=seed, resamples=resamples)
    below = compare(candidate, baseline, alpha=gate.alpha, null=margin, seed=seed, resamples=resamples)
    low, high = _ends(gate, below)
    status: Status = "inconclusive"
    if _decidable(gate, below):
        inside = low is not None and high is not None and -margin < low and high < margin
        outside = (low is not None and low > margin) or (high is not None and high < -margin)
        status = "passed" if inside else "failed" if outside else "inconclusive"
    p = None if above.p_above is None or below.p_below is None else max(above.p_above, below.p_below)
    return _Part(name=name, margin=margin, found=below, status=status, p=p)


def _ends(gate: Gate, found: Comparison) -> tuple[float | None, float | None]:
    return found.worst if gate.evidence == "point" else (found.low, found.high)


def _decidable(gate: Gate, found: Comparison) -> bool:
    return not found.obstacle or (gate.evidence == "point" and found.difference is not None)


def _text(gate: Gate, candidate: MetricTable, part: _Part, *, alone: bool) -> str:
    """Say what was found against one arm; after the first, only what is new."""
    metric, found = candidate.metric, part.found
    if found.difference is None:
        return f"{gate.metric} cannot be compared with {part.name}: {found.obstacle}"
    values = f"against {amount(metric, found.baseline)} of {part.name}: {change(metric, found.difference)}"
    text = f"{gate.metric} is {amount(metric, found.candidate)} {values}" if alone else values
    if gate.evidence == "bound":
        text += f" {bounds_text(metric, found.low, found.high)}"
    text += unscored_text(found.unscored, found.n, bounded=bounds_of(metric) is not None, pairs=True)
    text += f", {_condition(gate, metric, part, alone=alone)}"
    if gate.evidence == "bound" and part.status == "inconclusive":
        advice = comparison_advice(gate, metric, found, part.margin, clustered=candidate.clustered)
        text += f"; {advice}" if advice else ""
    return text


def _condition(gate: Gate, metric: Metric, part: _Part, *, alone: bool) -> str:
    if gate.kind == "superior":
        return {"passed": "which is better", "failed": "which is worse"}.get(part.status, "where it should be better")
    side = "within" if part.status == "passed" else "against"
    if gate.kind == "equivalent":
        return f"{side} a margin of ±{points_text(metric, part.margin)}"
    return f"{side} a {'' if alone else 'total '}margin of {points_text(metric, part.margin)}"
