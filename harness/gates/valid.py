"""Whether a gate makes sense for its metric: asked before a run, so that no model works for a gate that cannot hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import InputError, unknown_name
from harness.gates.kinds import correction_of, kind_of
from harness.stats.kinds import kind_of as metric_kind
from harness.stats.misclassified import calibration_problem

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.contracts import Metric
    from harness.types import Gate


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
    kind = kind_of(gate)
    refused = None if kind.of_the_run else _unfit(gate, metric)
    if refused is None and gate.corrected:
        refused = _correction_problem(gate, metric)
    if refused is None and gate.correction:
        refused = correction_of(gate).problem(gate, metric)
    if refused is None and gate.cap is not None:
        point = "a cap is for bounds alone", "remove it"
        refused = point if gate.evidence == "point" else kind.cap_problem(gate, metric)
    return refused or kind.problem(gate, metric)


def _unfit(gate: Gate, metric: Metric) -> tuple[str, str] | None:
    """Return why this kind of gate cannot be on this metric, or None."""
    if not metric.gates:
        return f"{metric.name} informs and does not gate{metric.informs}", "remove the gate, or use max_unscored"
    if not metric_kind(metric).per_sample and gate.evidence == "bound":
        return (
            f"{metric.name} is measured once per run and has no interval, so no bound of it can clear anything",
            "add `evidence: point` to the gate, or remove the gate",
        )
    return None


def _correction_problem(gate: Gate, metric: Metric) -> tuple[str, str] | None:
    if not kind_of(gate).correctable or gate.evidence == "point":
        return "corrected is for bounds of min and max alone", "remove it"
    if not metric_kind(metric).shares or (metric.calibration is None and not metric.calibration_stored):
        hint = "give the metric its labeller's calibration in `measure`, see docs/metrics.md, or remove `corrected`"
        return f"how often the labeller of {metric.name} is right is not known, so that nothing can be corrected", hint
    if metric.calibration is not None and (problem := calibration_problem(metric.calibration)):
        return f"{metric.name} cannot be corrected: {problem}", "label more by hand, or remove `corrected`"
    return None
