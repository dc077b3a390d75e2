"""What a check says to a person: numbers as people read them, and the next step where nothing was decided."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.gates.attainable import samples_needed
from harness.gates.detectable import worst_distance
from harness.stats.misclassified import corrected_samples
from harness.stats.power import (
    POWER,
    equivalence_samples,
    error_behind,
    mcnemar_samples,
    mean_samples,
    pair_variance,
    paired_samples,
    proportion_samples,
)
from harness.stats.worst_case import score_range

if TYPE_CHECKING:
    from harness.contracts import Metric
    from harness.stats import Assessment, Comparison
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
        scores = score_range(metric) or (estimate.value, estimate.value)
        below, above = estimate.value - scores[0], scores[1] - estimate.value
        kurtosis = _kurtosis(estimate.n, found.worst.carriers)
        unseen = below / estimate.n, above / estimate.n
        error = error_behind(estimate.high - estimate.low, unseen, gate.alpha, estimate.n / kurtosis)
        worst = below if estimate.value > limit else above
        needed = mean_samples(error, estimate.n, estimate.value - limit, gate.alpha, worst=worst, kurtosis=kurtosis)
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
    worst = worst_distance(gate, metric)
    kurtosis = _kurtosis(found.n, found.carriers)
    error = error_behind(found.high - found.low, (worst / found.n,) * 2, gate.alpha, found.n / kurtosis)
    proportions = found.gains is not None and found.losses is not None and not clustered
    gains, losses = (found.gains or 0) / found.n, (found.losses or 0) / found.n
    if gate.kind == "equivalent":
        variance = pair_variance(gains, losses) if proportions else found.n * error**2
        needed = equivalence_samples(variance, found.difference, margin, gate.alpha, worst=worst, kurtosis=kurtosis)
    elif proportions and gate.kind == "superior":
        needed = mcnemar_samples(gains, losses, gate.alpha)
    elif proportions:
        needed = paired_samples(gains, losses, distance, gate.alpha)
    else:
        needed = mean_samples(error, found.n, distance, gate.alpha, worst=worst, kurtosis=kurtosis)
    return _would_decide(needed, found.n, "at this difference")


def _kurtosis(n: int, carried_by: float | None) -> float:
    return n / carried_by if carried_by else 3.0


def _clears(low: float | None, high: float | None, limit: float) -> bool:
    return (high is not None and high <= limit) or (low is not None and low > limit)


def _too_small(gate: Gate, metric: Metric, n: int) -> str:
    needed = samples_needed(gate, metric)
    if needed is None or n >= needed:
        return ""
    return f"{n} samples could not pass even with perfect data, at least {needed} are needed"


def _would_decide(needed: int | None, n: int, at: str) -> str:
    if needed is None:
        return f"no practical number of samples would decide {at}"
    # An approximation can fall below what was not enough.
    return f"about {max(needed, n + 1):,} samples would decide {at} with {100 * POWER:.0f} % power"
