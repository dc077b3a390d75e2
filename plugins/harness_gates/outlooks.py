"""What the kinds share: how many samples would decide, how far the truth must be, and how a check says so."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from harness.api import InputError
from harness.api.gates import GateKind, Outlook, Scatter
from harness.api.stats import (
    POWER,
    clopper_pearson,
    expected_reach,
    halve,
    metric_kind,
    quantile_sum,
    score_range,
    smallest,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.api import Gate, Metric
    from harness.api.stats import Spread


def outlook_of_run(
    gate: Gate, spread: Spread | None, found: tuple[float, float, float], n: int, scores: tuple[float, float],
    line: float,
) -> Outlook:  # fmt: skip
    """Return what an interval's spread tells, or of what has none the interval's width.

    Args:
        gate: at whose level the interval is.
        spread: of bounded scores.
        found: the value and both ends of its interval.
        n: samples.
        scores: least and greatest possible score.
        line: of the gate.
    """
    value, low, high = found
    if spread is None:
        error = (high - low) / quantile_sum(gate.alpha, 1 - gate.alpha)
        return Outlook(value=value, counted=False, error=error, n=n)
    # Above the line it is the lower bound that has to clear it.
    away, side = (value - scores[0], 0) if value > line else (scores[1] - value, 1)
    kurtosis = n / max(1.0, spread.effective_count)
    return Outlook(
        value=value,
        counted=False,
        error=spread.error,
        n=n,
        worst=away * n / spread.effective_n[side],
        kurtosis=kurtosis,
    )


def by_spread(kind: GateKind, gate: Gate, metric: Metric, n: int, scatter: Scatter, power: float) -> float | None:
    """Return what can be detected where standard errors decide."""
    if scatter.spread is None:
        raise InputError(f"what can be detected in {metric.name} depends on its spread", hint="give the spread")
    worst, error = kind.worst_distance(gate, metric) * scatter.unseen, scatter.spread / math.sqrt(n)
    reach = expected_reach(error, worst / n, gate.alpha, n / scatter.kurtosis)
    distance = reach + error * quantile_sum(0.5, power)
    return distance if distance <= kind.room(gate, metric) else None


def exact_range(metric: Metric) -> tuple[float, float] | None:
    """Return the range that exact bounds of perfect data go by; None where only a bootstrap tells."""
    kind = metric_kind(metric)
    return kind.bounds(metric) if kind.shares else score_range(metric)


@lru_cache(maxsize=1024)  # a sentence says it of every inconclusive check, and an audit makes thousands
def fewest_within(share: float, alpha: float, *, strict: bool = False) -> int | None:
    """Return the fewest samples without one event whose exact bound is at most `share`, or below it."""

    def clears(n: int) -> bool:
        most = clopper_pearson(0, n, alpha).high or 0.0
        return most < share if strict else most <= share

    return smallest(clears)


def farthest(good: float, line: float, enough: Callable[[float], bool], steps: int = 50) -> float | None:
    """Return how far from `line` the truth must be, by halving between it and `good`; None where that is too near."""
    return abs(line - halve(good, line, enough, steps)[0]) if enough(good) else None


def unscored_text(unscored: int, n: int, *, bounded: bool, pairs: bool = False) -> str:
    """Return what the unscored samples, or pairs of them, do to the gate; empty where there are none."""
    if not unscored:
        return ""
    return f", with {unscored} of {n} {'pairs ' if pairs else ''}unscored " + (
        "taken as the worst" if bounded else "that could be anything"
    )


def would_decide(needed: int | None, n: int, at: str) -> str:
    """Return how many samples would decide; `n` were not enough."""
    if needed is None:
        return f"no practical number of samples would decide {at}"
    # An approximation can fall below what was not enough.
    return f"about {max(needed, n + 1):,} samples would decide {at} with {100 * POWER:.0f} % power"


def too_small(needed: int | None, n: int, ideal: str) -> str:
    """Return that so few samples could not decide at all; empty where they could."""
    if needed is None or n >= needed:
        return ""
    return f"{n} samples could not pass even with {ideal}, at least {needed} are needed"
