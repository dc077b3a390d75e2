"""Whether a gate makes sense for its metric: asked before a run, so that no model works for a gate that cannot hold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.errors import InputError, unknown_name
from harness.stats.misclassified import calibration_problem
from harness.stats.worst_case import bounds_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.contracts import Metric
    from harness.types import Gate

COMPARES = frozenset({"non_inferior", "superior", "equivalent"})
"""The kinds of gate that need a baseline's run."""


def find_metric(
    name: str, metrics: Iterable[Metric], *, file: Path | str | None = None, line: int | None = None,
    key: str | None = None,
) -> Metric:  # fmt: skip
    """Return the metric that a gate names.

    Raises:
        InputError: when the suite measures no such metric, with the nearest name that it does measure.
    """
    known = {metric.name: metric for metric in metrics}
    if name not in known:
        raise unknown_name("measured metric", name, known, file=file, line=line, key=key)
    return known[name]


def require_valid(
    gate: Gate, metric: Metric, *, file: Path | str | None = None, line: int | None = None, key: str | None = None
) -> None:
    """Check that the gate makes sense for the metric.

    Raises:
        InputError: for a metric that does not gate; a comparison of a metric without a direction; a limit or margin
            that is not a number, or outside what the metric can be; a bound on what has no interval.
    """
    problem = _problem(gate, metric)
    if problem is not None:
        cause, hint = problem
        raise InputError(cause, file=file, line=line, key=key, hint=hint)


def _problem(gate: Gate, metric: Metric) -> tuple[str, str] | None:
    """Return cause and hint of what is wrong, or None."""
    if not 0.0 < gate.alpha < 0.5:
        return f"alpha is {gate.alpha:g}, but must lie between 0 and 0.5", "use 0.05"
    if gate.kind == "max_unscored":
        return _limit_problem(gate, metric, (0.0, 1.0))
    if refused := _unfit(gate, metric) or (_correction_problem(gate, metric) if gate.corrected else None):
        return refused
    if gate.kind in {"min", "max"}:
        return _limit_problem(gate, metric, bounds_of(metric))
    if gate.kind == "superior":
        return None
    return _margin_problem(gate.margin, "margin", metric) or (_anchor_problem(gate, metric) if gate.anchor else None)


def _unfit(gate: Gate, metric: Metric) -> tuple[str, str] | None:
    """Return why this kind of gate cannot be on this metric, or None."""
    if not metric.gates:
        why = " until its critics are calibrated" if metric.constitution or metric.principles else ""
        return f"{metric.name} informs and does not gate{why}", "remove the gate, or use max_unscored"
    if metric.kind == "run" and gate.evidence == "bound":
        return (
            f"{metric.name} is measured once per run and has no interval, so no bound of it can clear anything",
            "add `evidence: point` to the gate, or remove the gate",
        )
    if gate.kind in {"non_inferior", "superior"} and metric.direction == "neither":
        return (
            f"{metric.name} has no better direction, so that {gate.kind} has no meaning",
            "use min, max or equivalent",
        )
    return None


def _correction_problem(gate: Gate, metric: Metric) -> tuple[str, str] | None:
    if gate.kind not in {"min", "max"} or gate.evidence == "point":
        return "corrected is for bounds of min and max alone", "remove it"
    if metric.kind != "proportion" or metric.calibration is None:
        hint = "give the metric its labeller's calibration in `measure`, see docs/metrics.md, or remove `corrected`"
        return f"how often the labeller of {metric.name} is right is not known, so that nothing can be corrected", hint
    if problem := calibration_problem(metric.calibration):
        return f"{metric.name} cannot be corrected: {problem}", "label more by hand, or remove `corrected`"
    return None


def _limit_problem(gate: Gate, metric: Metric, bounds: tuple[float, float] | None) -> tuple[str, str] | None:
    limit = gate.limit
    if limit is None or not math.isfinite(limit):
        return f"the limit of {gate.kind} is {limit}, which is not a number", "give a number"
    if bounds is not None and not bounds[0] <= limit <= bounds[1]:
        what = "a share of the samples" if gate.kind == "max_unscored" else metric.name
        hint = "give a number within that range"
        if bounds == (0.0, 1.0) and 1.0 < limit <= 100.0:
            hint = f"shares are written as fractions: {limit / 100:g} for {limit:g} %"
        return f"the limit {limit:g} is outside what {what} can be, {bounds[0]:g} to {bounds[1]:g}", hint
    if bounds is not None and limit == (bounds[0] if gate.kind == "min" else bounds[1]):
        return f"no data could fail {gate.kind} {limit:g}, so that the gate would say nothing", "tighten or remove it"
    return None


def _anchor_problem(gate: Gate, metric: Metric) -> tuple[str, str] | None:
    if found := _margin_problem(gate.total_margin, "total margin", metric):
        return found
    if (gate.total_margin or 0.0) < (gate.margin or 0.0):
        return (
            f"the total margin {gate.total_margin:g} is smaller than the margin {gate.margin:g} of a single step",
            "give what several steps may lose together",
        )
    return None


def _margin_problem(margin: float | None, name: str, metric: Metric) -> tuple[str, str] | None:
    bounds = bounds_of(metric)
    if margin is None or not math.isfinite(margin) or margin <= 0.0:
        return f"the {name} is {margin}, but must be a number above 0", "give the largest loss that counts as none"
    if bounds is not None and margin >= bounds[1] - bounds[0]:
        hint = "give a margin that a bad candidate could miss"
        if bounds == (0.0, 1.0) and 1.0 < margin <= 100.0:
            hint = f"shares are written as fractions: {margin / 100:g} for {margin:g} points"
        return f"the {name} {margin:g} is as large as {metric.name} can differ at all", hint
    return None
