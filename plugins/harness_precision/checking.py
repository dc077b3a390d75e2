"""The precision check: some samples once more in float32, to see how far the gates' metrics move.

It is an ordinary second arm: the same roles in float32, through the same pass. Only models that compute in another
number format are checked, and only those that can say what they are in float32 (`Model.reference`). The samples are
drawn by hash and seed from a metric's own denominator, a cluster's second sample only when every cluster has one, so
that a larger check contains a smaller one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING

from harness.api import PluginError, PrecisionCheck, PrecisionShift, sha256_text
from harness.api.asking import Asking, Columns, Roles, through, undrawn
from harness.api.gates import PrecisionChecker
from harness.api.stats import MetricTable, assess, compare, metric_kind, subset
from harness_precision.shift import shift, shift_of_difference
from harness_precision.verdicts import can_shift, compared_with, with_precision

if TYPE_CHECKING:
    from harness.api import Candidate, Check, Metric
    from harness.api.asking import ModelPool
    from harness.api.workspace import PreparedSuite
    from harness_precision.verdicts import LookedAt, Range

SAMPLES = 32
"""Computed again for each gate's metric where nobody asks for another number."""
_ALPHA = 0.05
"""Level of the shifts that no gate asks for."""
_CANDIDATE = ""
"""The candidate among the arms; no gate can call a baseline so."""
_Target = tuple[str, str | None, float]
"""Metric, baseline (None for the metric's own value) and level."""
Tables = Mapping[str, MetricTable]
_EXACT = frozenset({"float32", "float64", "none"})
"""Number formats that there is nothing to check against."""


class Float32(PrecisionChecker):
    """The check against float32."""

    def measure(
        self, prepared: PreparedSuite, arms: Mapping[str, tuple[Candidate, Tables]], asking: Asking, *,
        samples: int | None, seed: int,
    ) -> PrecisionCheck | None:  # fmt: skip
        """Compute some samples of every gate's metric in float32."""
        return check_precision(prepared, arms, asking, samples=samples, seed=seed)

    def asked(
        self, prepared: PreparedSuite, candidates: Sequence[Candidate], pool: ModelPool, samples: int | None
    ) -> int:
        """Return how many samples a run would compute again for each metric."""
        return precision_asked(prepared, candidates, pool, samples)

    def notes(self, prepared: PreparedSuite, candidate: Candidate, pool: ModelPool) -> tuple[str, ...]:
        """Return what a reader must know of a model whose arithmetic nobody can repeat."""
        return precision_notes(prepared, candidate, pool)

    def verdicts(
        self, checks: Sequence[Check], measured: PrecisionCheck | None, tables: Tables,
        baselines: Mapping[str, Tables], *, seed: int,
    ) -> tuple[Check, ...]:  # fmt: skip
        """Return gates' verdicts as they stand once the check is taken into account."""
        return checks_with_precision(checks, measured, tables, baselines, seed=seed)


def check_precision(
    prepared: PreparedSuite,
    arms: Mapping[str, tuple[Candidate, Tables]],
    asking: Asking,
    *,
    samples: int | None,
    seed: int,
) -> PrecisionCheck | None:
    """Compute some samples of every gate's metric in float32, and say how far the metric is from that.

    Args:
        prepared: the suite.
        arms: the candidate with the tables of its run under the empty name, and what gates compare with by its name.
        asking: how the run asks; models in float32 join its pool.
        samples: for each metric; None for `SAMPLES`, 0 for none. Without gates, a number checks every metric.
        seed: of the draw and the resampling.

    Returns:
        None where everything was computed in float32, where there is no gate that rounding could move, and for models
        whose arithmetic nobody can repeat.
    """
    targets = _targets(prepared, explicit=samples is not None)
    pool, others = asking.pool, asking.roles.others
    own = {name: _Exact.of(who, pool) for name, (who, _) in arms.items()}
    judging = {role: _Exact.of(bound.candidate, pool) for role, bound in others.items()}
    used = [*own.values(), *judging.values()]
    formats = list(dict.fromkeys(one.dtype for one in used if one.dtype is not None))
    if not targets or not formats:
        return None
    asked, dtype = SAMPLES if samples is None else samples, " and ".join(formats)
    if asked == 0:
        return PrecisionCheck(dtype=dtype, asked=0, samples=0, reason="none was asked for")
    blind = list(dict.fromkeys(one.candidate.label for one in used if one.dtype is not None and one.exact is None))
    if blind:
        why = f"{' and '.join(blind)} cannot be computed in float32 here, and --precision-check 0 goes without a check"
        return PrecisionCheck(dtype=dtype, asked=asked, samples=0, reason=why)
    begin, before = monotonic(), pool.counts()
    sides: dict[str, dict[str, None]] = {}
    for metric, to, _ in targets:
        sides.setdefault(metric, {_CANDIDATE: None}).update({} if to is None else {to: None})
    drawn = {metric: _draw([arms[name][1][metric] for name in names], asked, seed) for metric, names in sides.items()}
    bound = {role: replace(others[role], candidate=one.exact or one.candidate) for role, one in judging.items()}
    rejudged = any(one.exact is not None for one in judging.values())
    again: dict[str, Tables] = {}
    try:
        for name, one in own.items():
            roles = Roles(policy=one.exact or one.candidate, others=bound)
            wanted = {
                metric: drawn[metric.name] for metric in prepared.metrics
                if name in sides.get(metric.name, {}) and (one.exact or (rejudged and reads_verdicts(metric)))
            }  # fmt: skip
            label = f"{name or 'candidate'} in float32"
            again[name] = _second_arm(prepared, Asking(roles=roles, pool=pool), wanted, label)
    except (PluginError, MemoryError) as error:  # a base that does not fit in float32 must not cost the run
        return PrecisionCheck(dtype=dtype, asked=asked, samples=0, reason=f"computing it in float32 failed: {error}")
    shifts = tuple(_shift(target, arms, again, drawn[target[0]], seed=seed) for target in targets)
    spent = [counts.minus(before.get(base)) for base, counts in pool.counts().items()]
    return PrecisionCheck(
        dtype=dtype, asked=asked, samples=len({sample for ids in drawn.values() for sample in ids}), shifts=shifts,
        requests=sum(counts.requests for counts in spent), model_calls=sum(counts.model_calls for counts in spent),
        seconds=monotonic() - begin,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Exact:
    """A candidate, and itself in float32."""

    candidate: Candidate
    dtype: str | None = None
    """The number format to be checked; None where there is nothing to check."""
    exact: Candidate | None = None
    """In float32; None where there is nothing to check, or no way."""

    @classmethod
    def of(cls, candidate: Candidate, pool: ModelPool) -> _Exact:
        core = pool.core(candidate.model)
        dtype = core.fingerprint(candidate).get("dtype", "none")
        if not core.model.verifiable or dtype in _EXACT:
            return cls(candidate=candidate)
        reference = core.model.reference()
        exact = None if reference is None else replace(candidate, model=reference)
        return cls(candidate=candidate, dtype=dtype, exact=exact)


def reads_verdicts(metric: Metric) -> bool:
    """Tell whether a metric depends on the judge's replies."""
    return metric.constitution is not None or bool(metric.principles)


def _second_arm(
    prepared: PreparedSuite, asking: Asking, wanted: Mapping[Metric, Sequence[str]], label: str
) -> dict[str, MetricTable]:
    """Return the tables of some metrics, each on the samples that are wanted for it."""
    if not wanted:
        return {}
    chosen = {sample for ids in wanted.values() for sample in ids}
    samples = [one for one in prepared.samples if one.id in chosen or (one.draw and undrawn(one.id, None)[0] in chosen)]
    # Critics judge all replies, whichever metric asked for them.
    asked = prepared.metrics if any(reads_verdicts(metric) for metric in wanted) else tuple(wanted)
    columns = Columns(tuple(wanted))
    for records, gathered in through(replace(prepared, metrics=asked), samples, asking, name=label):
        columns.add(records, gathered)
    tables = columns.tables(
        tuple(sample.id for sample in samples), tuple(sample.content_hash for sample in samples),
        tuple(sample.cluster for sample in samples),
    )  # fmt: skip
    return {metric.name: subset(tables[metric.name], ids) for metric, ids in wanted.items()}


def checks_with_precision(
    checks: Sequence[Check], measured: PrecisionCheck | None, tables: Tables, baselines: Mapping[str, Tables], *,
    seed: int,
) -> tuple[Check, ...]:  # fmt: skip
    """Return gates' verdicts as they stand once the precision check is taken into account; fresh and stored runs alike.

    Args:
        checks: the verdicts on the run as it was computed.
        measured: what was measured; None leaves the verdicts as they are.
        tables: the candidate's, by metric.
        baselines: the tables of what comparisons compare with, by what the gates call it.
        seed: of resampling.
    """
    if measured is None:
        return tuple(checks)
    return tuple(
        check
        if check.status == "not_applicable"
        else with_precision(
            check, tables[check.gate.metric].metric, measured, _looked_at(check, tables, baselines, seed)
        )
        for check in checks
    )


def precision_asked(
    prepared: PreparedSuite, candidates: Sequence[Candidate], pool: ModelPool, samples: int | None
) -> int:  # fmt: skip
    """Return how many samples a run would compute again for each metric; 0 where it would none.

    Args:
        prepared: the suite.
        candidates: everybody who is asked: arms, and the judge where there is one.
        pool: that knows their models.
        samples: as for `check_precision`.
    """
    asked = SAMPLES if samples is None else samples
    inexact = any(_Exact.of(one, pool).dtype is not None for one in candidates)
    return asked if inexact and _targets(prepared, explicit=samples is not None) else 0


def precision_notes(prepared: PreparedSuite, candidate: Candidate, pool: ModelPool) -> tuple[str, ...]:
    """Return what a reader must know of a model whose arithmetic nobody can repeat, so that nothing can be checked."""
    if pool.core(candidate.model).model.verifiable or not prepared.gates:
        return ()
    return (f"the shift of {candidate.label} against float32 cannot be checked: its arithmetic is not known",)


def _targets(prepared: PreparedSuite, *, explicit: bool) -> list[_Target]:
    """Return what gates look at; without gates every metric, where a check was asked for."""
    by_name = {metric.name: metric for metric in prepared.metrics}
    gates = [gate for gate in prepared.gates if can_shift(gate, by_name[gate.metric])]
    if not prepared.gates and explicit:
        return [(metric.name, None, _ALPHA) for metric in prepared.metrics if metric_kind(metric).per_sample]
    return list(dict.fromkeys((gate.metric, to, gate.alpha) for gate in gates for to in compared_with(gate)))


def _looked_at(check: Check, tables: Tables, baselines: Mapping[str, Tables], seed: int) -> LookedAt:
    """Return the intervals of a verdict; for a gate that goes by points, the values that unscored samples allow."""
    gate, table = check.gate, tables[check.gate.metric]
    found: dict[str | None, Range] = {}
    for to in compared_with(gate):
        if gate.evidence == "bound" or not can_shift(gate, table.metric):
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
    one cluster may shift together. A cluster's chance to be among the first grows with its size.
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
    arms: Mapping[str, tuple[Candidate, Tables]],
    again: Mapping[str, Mapping[str, MetricTable]],
    ids: Sequence[str],
    *,
    seed: int,
) -> PrecisionShift:
    metric, to, alpha = target
    names = [_CANDIDATE] if to is None else [_CANDIDATE, to]
    run = [subset(arms[name][1][metric], ids) for name in names]
    if not any(metric in again[name] for name in names):
        return PrecisionShift(
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
    return PrecisionShift(
        metric=metric, to=to, n=found.n, unscored=found.unscored, changed=changed, value=found.candidate,
        reference=found.baseline, low=found.low if bounded else None, high=found.high if bounded else None, alpha=alpha,
        method=found.method, note=found.obstacle or found.note,
    )  # fmt: skip
