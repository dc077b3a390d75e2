"""What so many samples can do for a gate: whether it could pass at all, and what it can detect. Asked before a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.gates.kind import Scatter
from harness.gates.kinds import kind_of
from harness.gates.valid import require_valid
from harness.stats.kinds import kind_of as metric_kind
from harness.stats.power import POWER
from harness.stats.proportion import FEWEST_CLUSTERS

if TYPE_CHECKING:
    from pathlib import Path

    from harness.contracts import Metric
    from harness.types import Gate


def samples_needed(gate: Gate, metric: Metric) -> int | None:
    """Return the fewest independent samples with which perfect data could pass the gate; None where none suffice.

    Perfect data are: for `max` not one event, for `min` nothing but events; for `non_inferior` and `equivalent` a
    candidate that gives the baseline's result on every sample; for `superior` one that is better on every sample.
    """
    return kind_of(gate).fewest(gate, metric)


def detectable(
    gate: Gate, metric: Metric, n: int, scatter: Scatter | None = None, *, power: float = POWER
) -> float | None:
    """Return how far the truth must be on the good side of the gate's line for the gate to pass `power` of the time.

    The line is the limit for `min` and `max`, a loss of `margin` for `non_inferior`, no difference for `superior`,
    and for `equivalent` the margin, either way. So a
    gate `max 0.30` with 0.08 detectable passes four times in five where the true rate is 0.22.

    Args:
        gate: the condition, with evidence `bound`.
        metric: what it is on.
        n: samples in the denominator, independent.
        scatter: how far they lie apart.
        power: wanted, in (0, 1).

    Returns:
        The distance in the metric's unit; None where no truth passes so often.

    Raises:
        InputError: for gates that make no sense, and where the samples' spread is needed and not given.
    """
    require_valid(gate, metric)
    if gate.evidence == "point" or n <= 0:
        return None
    return kind_of(gate).detectable(gate, metric, n, scatter or Scatter(), power)


def require_attainable(
    gate: Gate, metric: Metric, n: int, *, clusters: int | None = None, file: Path | str | None = None,
    line: int | None = None, key: str | None = None,
) -> None:  # fmt: skip
    """Check that some outcome of `n` samples could pass the gate.

    Args:
        gate: the condition.
        metric: what it is on.
        n: samples that can enter the metric's denominator.
        clusters: how many effective clusters they come in; None where every sample stands alone.
        file: where the gate is written, for the error.
        line: its line.
        key: its key.

    Raises:
        InputError: for a gate that makes no sense (see `require_valid`), or that could not pass; it names the n needed.
    """
    require_valid(gate, metric, file=file, line=line, key=key)
    name = describe(gate)
    if n <= 0:
        raise InputError(
            f"no sample can enter {metric.name}, so that its gate {name} cannot pass", file=file, line=line, key=key,
            hint="remove the gate or add samples",
        )  # fmt: skip
    kind = kind_of(gate)
    needed = kind.least(gate, metric)
    if needed is None:
        raise InputError(
            f"no number of samples can show that {metric.name} clears {name}", file=file, line=line, key=key,
            hint="label more by hand, so that the labeller is known better, or widen the limit" if gate.corrected
            else "move the limit inside the metric's range, or add `evidence: point`",
        )  # fmt: skip
    clustered = (
        clusters is not None and clusters < n and not kind_of(gate).of_the_run and metric_kind(metric).per_sample
    )
    have, what = (clusters, "clusters") if clustered and clusters is not None else (n, "samples")
    needed = max(needed, FEWEST_CLUSTERS) if clustered else needed
    if have < needed:
        raise InputError(
            f"the gate {name} on {metric.name} could not pass even with {kind.best or kind.ideal}: it needs at least "
            f"{needed} {what} and there are {have}", file=file, line=line, key=key,
            hint="add samples, raise --limit, widen the gate, or look without deciding: harness run --no-gates",
        )  # fmt: skip


def describe(gate: Gate) -> str:
    """Return the gate's condition as its file says it, such as `max 0.05`."""
    return kind_of(gate).describe(gate) + ("" if gate.cap is None else f" with cap {gate.cap:g}")
