"""The drift check: some samples once more in float32, one request at a time, to see how far the gates' metrics move.

Only models that compute in another number format are checked, and only those that can say what they are in float32
(`Model.reference`). The samples are drawn by hash and seed from a metric's own denominator, a cluster's second sample
only when every cluster has one, so that a larger check contains a smaller one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from harness.evaluation.in_float32 import Way, in_float32
from harness.gates.drift import compared_with, drifts, with_drift
from harness.hashing import sha256_text
from harness.stats.assess import assess
from harness.stats.compare import compare
from harness.stats.kinds import kind_of
from harness.stats.shift import shift, shift_of_difference, subset
from harness.stats.table import MetricTable
from harness.types import DriftCheck, DriftShift

if TYPE_CHECKING:
    from harness.evaluation.pool import ModelPool
    from harness.evaluation.prepare import PreparedSuite
    from harness.evaluation.roles import Asking
    from harness.gates.drift import LookedAt, Range
    from harness.types import Candidate, Check

SAMPLES = 32
"""Computed again for each gate's metric where nobody asks for another number."""
_ALPHA = 0.05
"""Level of the shifts that no gate asks for."""
_CANDIDATE = ""
"""The candidate among the arms; no gate can call a baseline so."""
_Target = tuple[str, str | None, float]
"""Metric, baseline (None for the metric's own value) and level."""
Tables = Mapping[str, MetricTable]


@dataclass(frozen=True, kw_only=True)
class DriftArm:
    """One arm of a run, as the check needs it."""

    candidate: Candidate
    tables: Tables


def check_drift(
    prepared: PreparedSuite,
    candidate: DriftArm,
    baselines: Mapping[str, DriftArm],
    asking: Asking,
    *,
    samples: int | None,
    seed: int,
) -> DriftCheck | None:
    """Compute some samples of every gate's metric in float32, and say how far the metric is from that.

    Args:
        prepared: the suite.
        candidate: who is judged, with the tables of its run.
        baselines: what gates compare with, by what they call it.
        asking: how the run asks; models in float32 join its pool.
        samples: for each metric; None for `SAMPLES`, 0 for none. Without gates, a number checks every metric.
        seed: of the draw and the resampling.

    Returns:
        None where everything was computed in float32, where there is no gate that rounding could move, and for models
        whose arithmetic nobody can repeat.
    """
    targets = _targets(prepared, explicit=samples is not None)
    arms = {_CANDIDATE: candidate, **baselines}
    ways = {name: Way.of(arm.candidate, asking.pool) for name, arm in arms.items()}
    others = {role: Way.of(bound.candidate, asking.pool) for role, bound in asking.roles.others.items()}
    used = [*ways.values(), *others.values()]
    formats = list(dict.fromkeys(way.dtype for way in used if way.dtype is not None))
    if not targets or not formats:
        return None
    asked, dtype = SAMPLES if samples is None else samples, " and ".join(formats)
    if asked == 0:
        return DriftCheck(dtype=dtype, asked=0, samples=0, reason="none was asked for")
    blind = list(dict.fromkeys(way.candidate.label for way in used if way.dtype is not None and way.alone is None))
    if blind:
        why = f"{' and '.join(blind)} cannot be computed in float32 here, and --drift-check 0 goes without a check"
        return DriftCheck(dtype=dtype, asked=asked, samples=0, reason=why)
    begin = monotonic()
    sides: dict[str, dict[str, None]] = {}
    for metric, to, _ in targets:
        sides.setdefault(metric, {_CANDIDATE: None}).update({} if to is None else {to: None})
    drawn = {
        metric: _draw([arms[name].tables[metric] for name in names], asked, seed) for metric, names in sides.items()
    }
    again = {
        name: in_float32(
            prepared, {**others, "policy": ways[name]},
            {metric: drawn[metric] for metric in sides if name in sides[metric]}, asking, label=name or "candidate",
        )
        for name in arms
    }  # fmt: skip
    shifts = tuple(_shift(target, arms, again, drawn[target[0]], seed=seed) for target in targets)
    counts = [way.alone.counts for way in used if way.alone is not None]
    return DriftCheck(
        dtype=dtype, asked=asked, samples=len({sample for ids in drawn.values() for sample in ids}), shifts=shifts,
        requests=sum(count.requests for count in counts), model_calls=sum(count.model_calls for count in counts),
        seconds=monotonic() - begin,
    )  # fmt: skip


def checks_with_drift(
    checks: Sequence[Check], drift: DriftCheck | None, tables: Tables, baselines: Mapping[str, Tables], *, seed: int
) -> tuple[Check, ...]:
    """Return gates' verdicts as they stand once drift is taken into account; fresh and stored runs alike.

    Args:
        checks: the verdicts on the run as it was computed.
        drift: what was measured; None leaves the verdicts as they are.
        tables: the candidate's, by metric.
        baselines: the tables of what comparisons compare with, by what the gates call it.
        seed: of resampling.
    """
    if drift is None:
        return tuple(checks)
    return tuple(
        check
        if check.status == "not_applicable"
        else with_drift(check, tables[check.gate.metric].metric, drift, _looked_at(check, tables, baselines, seed))
        for check in checks
    )


def drift_asked(
    prepared: PreparedSuite, candidates: Sequence[Candidate], pool: ModelPool, samples: int | None
) -> int:  # fmt: skip
    """Return how many samples a run would compute again for each metric; 0 where it would none.

    Args:
        prepared: the suite.
        candidates: everybody who is asked: arms, and the judge where there is one.
        pool: that knows their models.
        samples: as for `check_drift`.
    """
    asked = SAMPLES if samples is None else samples
    inexact = any(Way.of(one, pool).dtype is not None for one in candidates)
    return asked if inexact and _targets(prepared, explicit=samples is not None) else 0


def drift_notes(prepared: PreparedSuite, candidate: Candidate, pool: ModelPool) -> tuple[str, ...]:
    """Return what a reader must know of a model whose arithmetic nobody can repeat, so that nothing can be checked."""
    if pool.core(candidate.model).model.verifiable or not prepared.gates:
        return ()
    return (f"the drift of {candidate.label} against float32 cannot be checked: its arithmetic is not known",)


def _targets(prepared: PreparedSuite, *, explicit: bool) -> list[_Target]:
    """Return what gates look at; without gates every metric, where a check was asked for."""
    by_name = {metric.name: metric for metric in prepared.metrics}
    gates = [gate for gate in prepared.gates if drifts(gate, by_name[gate.metric])]
    if not prepared.gates and explicit:
        return [(metric.name, None, _ALPHA) for metric in prepared.metrics if kind_of(metric).per_sample]
    return list(dict.fromkeys((gate.metric, to, gate.alpha) for gate in gates for to in compared_with(gate)))


def _looked_at(check: Check, tables: Tables, baselines: Mapping[str, Tables], seed: int) -> LookedAt:
    """Return the intervals of a verdict; for a gate that goes by points, the values that unscored samples allow."""
    gate, table = check.gate, tables[check.gate.metric]
    found: dict[str | None, Range] = {}
    for to in compared_with(gate):
        if gate.evidence == "bound" or not drifts(gate, table.metric):
            anchored = check.anchor is not None and to == gate.anchor != gate.to
            found[to] = (check.anchor.low, check.anchor.high) if anchored and check.anchor else (check.low, check.high)
        elif to is None:
            found[to] = assess(
                table, alpha=gate.alpha, null=gate.limit, seed=seed, corrected=gate.corrected
            ).worst_values
        else:
            found[to] = compare(table, baselines[to][gate.metric], alpha=gate.alpha, seed=seed).worst
    return found


def _draw(tables: Sequence[MetricTable], count: int, seed: int) -> tuple[str, ...]:
    """Return the ids of at most `count` samples that are in the denominator of one of the tables.

    They are ordered by hash; the first sample of every cluster comes before any cluster's second, because samples of
    one cluster may drift together. A cluster's chance to be among the first grows with its size.
    """
    counted = {table.ids[i]: table.clusters[i] for table in tables for i in table.applicable}
    order = sorted(counted, key=lambda sample: sha256_text(f"drift\n{seed}\n{sample}"))
    first: dict[str, str] = {}
    for sample in order:
        cluster = counted[sample]
        first.setdefault(f"alone {sample}" if cluster is None else f"cluster {cluster}", sample)
    leading = set(first.values())
    return tuple([*first.values(), *(sample for sample in order if sample not in leading)][:count])


def _shift(
    target: _Target,
    arms: Mapping[str, DriftArm],
    again: Mapping[str, Mapping[str, MetricTable]],
    ids: Sequence[str],
    *,
    seed: int,
) -> DriftShift:
    metric, to, alpha = target
    names = [_CANDIDATE] if to is None else [_CANDIDATE, to]
    run = [subset(arms[name].tables[metric], ids) for name in names]
    if not any(metric in again[name] for name in names):
        return DriftShift(
            metric=metric, to=to, n=0, unscored=0, changed=0, value=None, reference=None, low=0.0, high=0.0,
            alpha=alpha, method="computed in float32",
        )  # fmt: skip
    other = [again[name].get(metric, table) for name, table in zip(names, run, strict=True)]
    if to is None:
        found = shift(run[0], other[0], alpha=alpha, seed=seed)
    else:
        found = shift_of_difference((run[0], run[1]), (other[0], other[1]), alpha=alpha, seed=seed)
    pairs = [zip(one.rows, two.rows, strict=True) for one, two in zip(run, other, strict=True)]
    changed = sum(any(one != two for one, two in sides) for sides in zip(*pairs, strict=True))
    bounded = not found.obstacle
    return DriftShift(
        metric=metric, to=to, n=found.n, unscored=found.unscored, changed=changed, value=found.candidate,
        reference=found.baseline, low=found.low if bounded else None, high=found.high if bounded else None, alpha=alpha,
        method=found.method, note=found.obstacle or found.note,
    )  # fmt: skip
