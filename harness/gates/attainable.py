"""Whether a gate could pass at all with so many samples: asked before the run."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.gates.valid import COMPARES, require_valid
from harness.stats.few import FEWEST_DIFFERENT
from harness.stats.misclassified import corrected_interval
from harness.stats.paired import paired_difference
from harness.stats.power import smallest
from harness.stats.proportion import FEWEST_CLUSTERS, clopper_pearson
from harness.stats.worst_case import score_range

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.contracts import Metric
    from harness.types import Calibration, Gate


def samples_needed(gate: Gate, metric: Metric) -> int | None:
    """Return the fewest independent samples with which perfect data could pass the gate; None where none suffice.

    Perfect data are: for `max` not one event, for `min` nothing but events; for `non_inferior` and `equivalent` a
    candidate that gives the baseline's result on every sample; for `superior` one that is better on every sample.
    """
    if gate.kind == "max_unscored" or gate.evidence == "point":
        return 1
    if metric.kind == "proportion":
        known = metric.calibration if gate.corrected else None
        return _proportion(gate) if known is None else _corrected(gate, known)
    if metric.kind == "corpus":
        return 2
    return _mean(gate, metric)


def _mean(gate: Gate, metric: Metric) -> int | None:
    """Return the fewest for a mean or ratio: those of a bootstrap, and of the bound on what was not seen.

    Where every score is as good as can be, that bound is Clopper and Pearson's of no event.
    """
    bounds = score_range(metric)
    if bounds is None:
        return FEWEST_DIFFERENT + 1
    if gate.kind in COMPARES:
        # No change at all, or the largest gain everywhere, which is half of a difference's reach.
        share = 0.5 if gate.kind == "superior" else (gate.margin or 0.0) / (bounds[1] - bounds[0])
        return smallest(_clears_share(share, gate.alpha, strict=True))
    limit = gate.limit or 0.0
    best, worst = bounds if gate.kind == "max" else bounds[::-1]
    if limit in bounds:
        return 1 if limit == worst else None
    return smallest(_clears_share((limit - best) / (worst - best), gate.alpha))


def _clears_share(limit: float, alpha: float, *, strict: bool = False) -> Callable[[int], bool]:
    def clears(n: int) -> bool:
        most = clopper_pearson(0, n, alpha).high or 0.0
        return most < limit if strict else most <= limit

    return clears


def _corrected(gate: Gate, calibration: Calibration) -> int | None:
    limit = gate.limit or 0.0
    if gate.kind == "max":
        return smallest(lambda n: (corrected_interval(0, n, calibration, gate.alpha).high or 0.0) <= limit)
    return smallest(lambda n: (corrected_interval(n, n, calibration, gate.alpha).low or 0.0) >= limit)


@lru_cache(maxsize=1024)  # a sentence says it of every inconclusive check, and an audit makes thousands
def _proportion(gate: Gate) -> int | None:
    if gate.kind == "superior":
        # Exact McNemar with nothing but gains: p is 1/2 to the power of n.
        return math.ceil(math.log(gate.alpha) / math.log(0.5) - 1e-12)
    if gate.kind in {"non_inferior", "equivalent"}:
        margin = gate.margin or 0.0
        return smallest(lambda n: (paired_difference(0, 0, n, gate.alpha).high or 0.0) < margin)
    limit = gate.limit or 0.0
    share = limit if gate.kind == "max" else 1.0 - limit
    if share >= 1.0:
        return 1
    return smallest(_clears_share(share, gate.alpha)) if share > 0.0 else None


def require_attainable(
    gate: Gate, metric: Metric, n: int, *, clusters: int | None = None, file: Path | str | None = None,
    line: int | None = None, key: str | None = None,
) -> None:  # fmt: skip
    """Check that perfect data of `n` samples could pass the gate.

    Args:
        gate: the condition.
        metric: what it is on.
        n: samples that can enter the metric's denominator.
        clusters: how many clusters they come in; None where every sample stands alone.
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
    needed = samples_needed(gate, metric)
    if needed is None:
        raise InputError(
            f"no number of samples can show that {metric.name} clears {name}", file=file, line=line, key=key,
            hint="label more by hand, so that the labeller is known better, or widen the limit" if gate.corrected
            else "move the limit inside the metric's range, or add `evidence: point`",
        )  # fmt: skip
    clustered = clusters is not None and clusters < n and gate.kind != "max_unscored" and metric.kind != "run"
    have, what = (clusters, "clusters") if clustered and clusters is not None else (n, "samples")
    needed = max(needed, FEWEST_CLUSTERS) if clustered else needed
    if have < needed:
        raise InputError(
            f"the gate {name} on {metric.name} could not pass even with {ideal(gate)}: it needs at least "
            f"{needed} {what} and there are {have}", file=file, line=line, key=key,
            hint="add samples, raise --limit, widen the gate, or look without deciding: harness run --no-gates",
        )  # fmt: skip


def ideal(gate: Gate) -> str:
    """Return what `samples_needed` takes for the best that could come out."""
    same = gate.kind in {"non_inferior", "equivalent"}
    return "a candidate that gives the baseline's result on every sample" if same else "perfect data"


def describe(gate: Gate) -> str:
    """Return the gate's condition as its file says it, such as `max 0.05`."""
    if gate.kind == "non_inferior":
        anchored = "" if gate.anchor is None else f", to {gate.anchor} by {gate.total_margin:g} in total"
        return f"non_inferior to {gate.to or 'promoted'} by margin {gate.margin:g}{anchored}"
    if gate.kind == "equivalent":
        return f"equivalent to {gate.to or 'promoted'} within {gate.margin:g}"
    if gate.kind == "superior":
        return f"superior to {gate.to or 'promoted'}"
    return f"{gate.kind} {gate.limit:g}{' corrected' if gate.corrected else ''}"
