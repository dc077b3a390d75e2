"""What a number format other than float32 does to a gate's verdict.

A run in bfloat16 says what the model does in bfloat16. How far a gate's metric is from its value in float32 is measured
on some samples (`shift.py`), and the verdict must hold wherever within its bounds the shift lies: with the interval
[l, h] of the run and the shift [a, b], run minus float32, the interval in float32 is within [l - b, h - a]. Both are
bounds at the gate's level, and each is taken at its worst, which is more careful than either alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.api.gates import bounds_text, change
from harness.api.stats import clopper_pearson, gate_kind, metric_kind

if TYPE_CHECKING:
    from harness.api import Check, Gate, Metric, PrecisionCheck, PrecisionShift

Range = tuple[float | None, float | None]
LookedAt = Mapping[str | None, Range]
"""What a verdict rests on, by what the gate compares with; None is the metric's own value."""


def can_shift(gate: Gate, metric: Metric) -> bool:
    """Tell whether rounding can move what the gate looks at: not a count of this very run, nor its times and memory."""
    kind = gate_kind(gate)
    return not kind.of_the_run and not kind.of_texts and metric_kind(metric).per_sample


def compared_with(gate: Gate) -> tuple[str | None, ...]:
    """Return what a gate looks at: the metric's own value (None), or differences to one or two other runs."""
    return tuple(to for to, _ in gate_kind(gate).arms(gate)) or (None,)


def find_shift(precision: PrecisionCheck, gate: Gate, to: str | None) -> PrecisionShift | None:
    """Return the measured shift of what a gate looks at, at its level or a stricter one; None where there is none."""
    fitting = [
        found for found in precision.shifts
        if found.metric == gate.metric and found.to == to and found.alpha <= gate.alpha * (1 + 1e-9)
    ]  # fmt: skip
    return max(fitting, key=lambda found: found.alpha, default=None)


def with_precision(check: Check, metric: Metric, precision: PrecisionCheck, looked_at: LookedAt) -> Check:
    """Return a gate's verdict as it stands once the precision check is taken into account.

    A verdict that the shift's bounds could overturn becomes `inconclusive`; so does one whose shift could not be
    bounded. Where a person asked for no check, the verdict stays and its sentence says that nothing was checked.

    Args:
        check: the gate's verdict on the run as it was computed.
        metric: the gate's.
        precision: what was measured.
        looked_at: the intervals that the verdict rests on, or the values where the gate goes by points.
    """
    if check.status not in {"passed", "failed"} or not can_shift(check.gate, metric):
        return check
    against = f"{precision.dtype} against float32"
    if precision.asked == 0:
        return replace(check, sentence=f"{check.sentence}; the shift of {against} was not checked")
    sides = []
    for to, seen in looked_at.items():
        found = find_shift(precision, check.gate, to)
        if found is None:
            why = precision.reason or "it was not measured for this gate, so run the suite again with it"
            return _open(check, f"the shift of {against} is not known: {why}")
        sides += _sides(check, metric, _corrected(found, check.gate, metric), seen)
    if not sides:
        return _open(check, f"what {precision.dtype} moves cannot be told from its bounds")
    # What passed must hold on every side; for what failed one side is enough.
    side = (min if check.status == "passed" else max)(sides, key=lambda side: side.room)
    text = f"{against} moves it by {_bounds(metric, side.shift)} ({_changed(side.shift)})"
    if side.holds:
        return replace(check, sentence=f"{check.sentence}; {text}, within the slack")
    return _open(check, f"{text}, against a slack of {_room(metric, side)}: {_advice(check, side)}")


def _open(check: Check, why: str) -> Check:
    text = check.sentence.removeprefix(f"{check.status}: ")
    return replace(check, status="inconclusive", sentence=f"inconclusive: {text}, but {why}")


@dataclass(frozen=True, kw_only=True)
class _Side:
    """One end of an interval, and the line of the gate that it is on the right side of."""

    shift: PrecisionShift
    above: bool
    """Whether the verdict rests on the end's being above the line."""
    slack: float
    """How far it is beyond the line; 0 where it is not."""

    @property
    def movement(self) -> float:
        """How far rounding may have carried the value to this side, at least 0; infinite where nothing bounds it."""
        end = self.shift.high if self.above else self.shift.low
        return math.inf if end is None else max(0.0, end if self.above else -end)

    @property
    def room(self) -> float:
        """What is left of the slack."""
        return self.slack - self.movement

    @property
    def holds(self) -> bool:
        """Strictly, as comparisons ask for; a shift that can only have harmed the verdict needs no slack."""
        return self.room > 0.0 or self.movement == 0.0


def _corrected(found: PrecisionShift, gate: Gate, metric: Metric) -> PrecisionShift:
    """Return the shift of the rate that is corrected for the labeller's errors, where the gate is about that.

    The corrected rate is, but for a constant, the labelled one over the labeller's sensitivity + specificity - 1 (Rogan
    and Gladen 1978); both are taken at their lower bounds.
    """
    if not gate.corrected or metric.calibration is None:
        return found
    lower = [
        clopper_pearson(right, of, gate.alpha).low or 0.0
        for right, of in (metric.calibration.sensitivity, metric.calibration.specificity)
    ]
    sharpness = sum(lower) - 1.0
    if sharpness <= 0.0 or found.low is None or found.high is None:
        return replace(found, low=None, high=None)
    value, reference = (None if one is None else one / sharpness for one in (found.value, found.reference))
    return replace(found, low=found.low / sharpness, high=found.high / sharpness, value=value, reference=reference)


def _sides(check: Check, metric: Metric, shift: PrecisionShift, seen: Range) -> list[_Side]:
    low = -math.inf if seen[0] is None else seen[0]
    high = math.inf if seen[1] is None else seen[1]
    region = gate_kind(check.gate).region(check.gate, metric, shift.to)
    least, greatest = region.least, region.greatest
    if check.status == "passed":
        found = [(True, low - least), (False, greatest - high)]
        return [
            _Side(shift=shift, above=above, slack=max(slack, 0.0))
            for above, slack in found
            if math.isfinite(least if above else greatest)
        ]
    found = [(True, low - greatest), (False, least - high)]
    # Only an end that is beyond its line made the gate fail.
    return [_Side(shift=shift, above=above, slack=slack) for above, slack in found if slack > 0.0]


def _room(metric: Metric, side: _Side) -> str:
    return change(metric, side.slack).removeprefix("+")


def _bounds(metric: Metric, found: PrecisionShift) -> str:
    if found.low is None and found.high is None:
        return "an amount that the data do not bound"
    text = bounds_text(metric, found.low, found.high)
    return f"{text} points" if metric_kind(metric).shares else f"{text} {metric.unit}".rstrip()


def _changed(found: PrecisionShift) -> str:
    if not found.n:  # the models behind this metric were in float32 from the start
        return "all that it rests on was computed in float32"
    text = f"{found.changed} of {found.n} samples changed"
    return f"{text}, {found.unscored} unscored in one of the two" if found.unscored else text


def _advice(check: Check, side: _Side) -> str:
    """Return what to do: more samples where there are enough of them, and float32 in any case."""
    needed = _samples(side)
    if needed is None or check.estimate is None or needed > check.estimate.n:
        return "run with --dtype float32"
    return f"repeat with --precision-check {needed}, or run with --dtype float32"


def _samples(side: _Side) -> int | None:
    """Return about how many samples would bound the movement by the slack; None where none would."""
    found = side.shift
    if found.value is None or found.reference is None or not math.isfinite(side.movement):
        return None
    harm = (found.value - found.reference) * (1 if side.above else -1)
    if side.slack <= max(harm, 0.0) or not found.n:
        return None
    if not found.changed:
        # Without a change the bound is a multiple of 1 - alpha^(1/n): the exact bound of no events in n.
        share = side.slack * (1.0 - found.alpha ** (1.0 / found.n)) / side.movement
        needed = 1.0 if share >= 1.0 else math.log(found.alpha) / math.log1p(-share)
    else:
        needed = found.n * ((side.movement - harm) / (side.slack - harm)) ** 2
    return max(math.floor(needed) + 1, found.n + 1)
