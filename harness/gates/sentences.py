"""What a check says to a person: numbers as people read them, and the next step where nothing was decided."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.gates.attainable import ideal, samples_needed
from harness.gates.detectable import worst_distance
from harness.stats.misclassified import corrected_samples
from harness.stats.power import (
    POWER,
    equivalence_samples,
    mcnemar_samples,
    mean_samples,
    paired_equivalence_samples,
    paired_samples,
    proportion_samples,
    quantile_sum,
)
from harness.stats.worst_case import score_range

if TYPE_CHECKING:
    from harness.contracts import Metric
    from harness.stats import Assessment, Comparison
    from harness.stats.interval import Spread
    from harness.types import Estimate, Gate


def number(value: float) -> str:
    """Return a number with three significant digits, and with separators from 1,000 on."""
    if value != 0 and abs(value) < 1e-4:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def _alike(low: float, high: float) -> tuple[str, str]:
    """Return both ends of an interval with as many decimals as its width deserves: two digits of it."""
    width = high - low
    if width <= 0 or width < 1e-4:
        return number(low), number(high)
    decimals = max(0, 1 - math.floor(math.log10(width)))
    return f"{low:,.{decimals}f}", f"{high:,.{decimals}f}"


def _scaled(metric: Metric, value: float) -> str:
    """Return the number without its unit; shares as percent with one decimal."""
    return f"{100 * value:.1f}" if metric.kind == "proportion" else number(value)


def _unit(metric: Metric) -> str:
    if metric.kind == "proportion":
        return " %"
    return f" {metric.unit}" if metric.unit else ""


def amount(metric: Metric, value: float | None) -> str:
    """Return a value with its unit; shares as percent."""
    return "unknown" if value is None else f"{_scaled(metric, value)}{_unit(metric)}"


def limit_text(metric: Metric, value: float) -> str:
    """Return a limit with its unit, without decimals that nobody wrote."""
    return f"{100 * value:g} %" if metric.kind == "proportion" else f"{value:,.10g}{_unit(metric)}"


def points_text(metric: Metric, value: float) -> str:
    """Return a margin with its unit, without decimals that nobody wrote; of shares in points."""
    return limit_text(metric, value).replace(" %", " points")


def change(metric: Metric, value: float | None) -> str:
    """Return a difference with its sign; of shares in percentage points."""
    if value is None:
        return "unknown"
    text = _scaled(metric, value)
    sign = "" if text.startswith("-") else "+"
    return f"{sign}{text} points" if metric.kind == "proportion" else f"{sign}{text}{_unit(metric)}"


def bounds_text(metric: Metric, low: float | None, high: float | None) -> str:
    """Return an interval in brackets; an open end where nothing bounds it."""
    if low is None and high is None:
        return "without bounds"
    if metric.kind != "proportion" and low is not None and high is not None:
        return f"[{', '.join(_alike(low, high))}]"
    ends = [("-∞" if low is None else _scaled(metric, low)), ("∞" if high is None else _scaled(metric, high))]
    return f"[{', '.join(ends)}]"


def unscored_text(unscored: int, n: int, *, bounded: bool, pairs: bool = False) -> str:
    """Return what the unscored samples, or pairs of them, do to the gate; empty where there are none."""
    if not unscored:
        return ""
    return f", with {unscored} of {n} {'pairs ' if pairs else ''}unscored " + (
        "taken as the worst" if bounded else "that could be anything"
    )


def limit_advice(gate: Gate, metric: Metric, found: Assessment, labelled: Estimate, *, clustered: bool) -> str:
    """Return how many samples would decide about a limit, or what else would."""
    estimate, limit = found.estimate, gate.limit
    if found.obstacle:
        return found.obstacle
    if advice := _too_small(gate, metric, estimate.n):
        return advice
    if estimate.value is None or limit is None:
        return ""
    if _clears(estimate.low, estimate.high, limit) and estimate.unscored:
        return "the unscored samples alone keep it open: see why they could not be scored"
    if estimate.low is None or estimate.high is None:
        return estimate.note
    note = ""
    if gate.corrected and metric.calibration is not None and labelled.value is not None and not clustered:
        needed = corrected_samples(labelled.value, limit, metric.calibration, gate.alpha)
        note = (
            "" if needed else "; labelling more replies by hand would, since it tells how often the labeller is right"
        )
    elif metric.kind == "proportion" and not clustered:
        needed = proportion_samples(estimate.value, limit, gate.alpha)
    else:
        width, scores = estimate.high - estimate.low, score_range(metric) or (estimate.value, estimate.value)
        known = _Known.of(gate, found.worst.spread, width, estimate.n, estimate.value, limit, scores)
        needed = mean_samples(
            known.error, estimate.n, estimate.value - limit, gate.alpha, worst=known.worst, kurtosis=known.kurtosis
        )
    return _would_decide(needed, estimate.n, "at this rate" if metric.kind == "proportion" else "at this value") + note


def comparison_advice(gate: Gate, metric: Metric, found: Comparison, margin: float, *, clustered: bool) -> str:
    """Return how many samples would decide about a difference, or what else would."""
    if found.obstacle:
        return found.obstacle
    if advice := _too_small(gate, metric, found.n):
        return advice
    if found.difference is None:
        return ""
    if found.unscored:
        return "see why the unscored ones could not be scored"
    if found.low is None or found.high is None:
        return found.note
    distance = found.difference - found.null
    reach = worst_distance(gate, metric)
    known = _Known.of(
        gate, found.spread, found.high - found.low, found.n, found.difference, found.null, (-reach, reach)
    )
    proportions = found.gains is not None and found.losses is not None and not clustered
    gains, losses = (found.gains or 0) / found.n, (found.losses or 0) / found.n
    if gate.kind == "equivalent" and proportions:
        needed = paired_equivalence_samples(gains, losses, margin, gate.alpha)
    elif gate.kind == "equivalent":
        variance = found.n * known.error**2
        needed = equivalence_samples(
            variance, found.difference, margin, gate.alpha, worst=known.worst, kurtosis=known.kurtosis
        )
    elif proportions and gate.kind == "superior":
        needed = mcnemar_samples(gains, losses, gate.alpha)
    elif proportions:
        needed = paired_samples(gains, losses, distance, gate.alpha)
    else:
        needed = mean_samples(known.error, found.n, distance, gate.alpha, worst=known.worst, kurtosis=known.kurtosis)
    return _would_decide(needed, found.n, "at this difference")


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What a run tells of a mean, or of a difference, for how many samples would decide about it."""

    error: float
    worst: float
    kurtosis: float

    @classmethod
    def of(
        cls, gate: Gate, spread: Spread | None, width: float, n: int, value: float, line: float,
        scores: tuple[float, float],
    ) -> _Known:  # fmt: skip
        """Return it from an interval's spread, or of what has none from the interval's width."""
        if spread is None:
            return cls(error=width / quantile_sum(gate.alpha, 1 - gate.alpha), worst=0.0, kurtosis=3.0)
        # Above the line it is the lower bound that has to clear it.
        away, worth = (value - scores[0], spread.worth[0]) if value > line else (scores[1] - value, spread.worth[1])
        return cls(error=spread.error, worst=away * n / worth, kurtosis=n / max(1.0, spread.carriers))


def _clears(low: float | None, high: float | None, limit: float) -> bool:
    return (high is not None and high <= limit) or (low is not None and low > limit)


def _too_small(gate: Gate, metric: Metric, n: int) -> str:
    needed = samples_needed(gate, metric)
    if needed is None or n >= needed:
        return ""
    return f"{n} samples could not pass even with {ideal(gate)}, at least {needed} are needed"


def _would_decide(needed: int | None, n: int, at: str) -> str:
    if needed is None:
        return f"no practical number of samples would decide {at}"
    # An approximation can fall below what was not enough.
    return f"about {max(needed, n + 1):,} samples would decide {at} with {100 * POWER:.0f} % power"
