"""Simulated runs, decided by the functions that decide real ones."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from harness.api import CheckStatus, Gate, NotApplicable, Row, Unscored
from harness.api.gates import correction_of
from harness.api.stats import (
    MetricTable,
    check_gate,
    gate_kind,
    level_of_attempt,
    look_levels,
    metric_kind,
    worst_status,
)
from harness_audit.injections import Injection, lay_all
from harness_audit.population import ABSENT, ANCHOR, BASELINE, CANDIDATE, SCORED, Column, Drawn, Population

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from harness.api import Metric

RESAMPLES = 1_000
"""Of each simulated bootstrap; a real gate takes 10,000, and ten times as long."""
_LOST, _OUTSIDE = Unscored(reason="injected"), NotApplicable(reason="another kind of sample")
Cost = Literal["low", "middle", "high"]
Claim = Literal["at most", "never", "power", "outside"]


def real_check(
    gate: Gate, candidate: MetricTable, baseline: MetricTable | None, anchor: MetricTable | None, seed: int
) -> CheckStatus:
    """Return the verdict of the gate itself."""
    return check_gate(gate, candidate, baseline, anchor, seed=seed, resamples=RESAMPLES, advises=False).status


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """One suite of a case: what its runs are drawn from, how many samples, and the gates on it."""

    population: Population
    n: int
    gates: tuple[Gate, ...]
    injections: tuple[Injection, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A known truth, and how often gates let it pass."""

    name: str
    """Unique within an audit."""
    group: str
    """Such as the kind of gate, or `policy`."""
    condition: str
    """The gates in words."""
    truth: str
    """What is true, in words, and how it was injected."""
    claim: Claim
    """`at most`: it may pass at most as often as `allowed`. `never`: not once. `power`: about as often as `planned`.
    `outside`: nothing is promised; the rate shows why."""
    parts: tuple[Part, ...]
    allowed: float = 0.05
    plan: Callable[[], float] | None = None
    """Finds the power that is planned, by hundreds of simulated runs: asked for once there is a rate to compare."""
    attempts: int = 1
    """Independent candidates in a row, each checked at its attempt's level; one that passes is enough."""
    budgeted: bool = True
    """Whether attempts are checked at their share of the level, as real ones are, or all at the whole."""
    looks: tuple[int, ...] = ()
    """Sizes looked at in order, each at its part of the level, until one passes; the largest is the part's n."""
    cost: Cost = "low"
    """Of a simulation: low where equal counts come again and again, high where each one resamples."""
    counts_alone: bool = False
    """Whether the truth is a share of the very run, so that a pass is false only where that share is past the limit."""

    @cached_property
    def planned(self) -> float | None:
        """The power that is planned for a good candidate; None of others."""
        return None if self.plan is None else self.plan()


@dataclass(kw_only=True)
class Tally:
    """How the simulations of a case came out."""

    simulations: int = 0
    promotes: int = 0
    verdicts: list[dict[str, int]] = field(default_factory=list)
    """Of each gate that was asked, in order."""


@dataclass(eq=False)
class Judge:
    """Checks gates on drawn runs. A proportion's verdict depends on counts alone, so that one is asked for once."""

    check: Callable[[Gate, MetricTable, MetricTable | None, MetricTable | None, int], CheckStatus] = real_check
    remembered: dict[tuple[object, ...], CheckStatus] = field(default_factory=dict)

    def verdict(self, gate: Gate, metric: Metric, drawn: Drawn, seed: int) -> CheckStatus:
        """Return a gate's verdict on a run."""
        if gate.metric in drawn.calibrations:
            metric = copy.copy(metric)
            metric.calibration = drawn.calibrations[gate.metric]
        columns = [drawn.arms[CANDIDATE][gate.metric]]
        if gate_kind(gate).compares:
            columns.append(drawn.arms[BASELINE][gate.metric])
            if gate.anchor is not None:
                columns.append(drawn.arms.get(ANCHOR, drawn.arms[BASELINE])[gate.metric])
        if gate.correction:
            own, *others = (_table(metric, column, drawn.labels) for column in columns)
            others = [replace(other, labels=drawn.people.get(BASELINE)) for other in others]
            own = replace(own, labels=drawn.people.get(CANDIDATE))
            return self.check(gate, own, others[0] if others else None, None, seed)
        if not metric_kind(metric).shares:
            return self._asked(gate, metric, columns, drawn.labels, seed)
        key = (gate, metric.calibration, counts(columns, drawn.labels, compares=gate_kind(gate).compares))
        if key not in self.remembered:
            self.remembered[key] = self._asked(gate, metric, columns, drawn.labels, seed)
        return self.remembered[key]

    def _asked(
        self, gate: Gate, metric: Metric, columns: Sequence[Column], labels: NDArray[np.int64], seed: int
    ) -> CheckStatus:
        tables: list[MetricTable | None] = [_table(metric, column, labels) for column in columns]
        tables += [None] * (3 - len(tables))
        own = tables[0]
        assert own is not None  # noqa: S101 - the candidate always has a column
        return self.check(gate, own, tables[1], tables[2], seed)


def counts(columns: Sequence[Column], labels: NDArray[np.int64], *, compares: bool) -> bytes:
    """Return what a proportion's verdict depends on, as bytes: how many samples, or clusters, there are of each sort.

    A sort is the results in all arms. Two arms that agree, on a one or on a zero, make no difference to a comparison.
    """
    code = np.zeros(len(labels), dtype=np.int64)
    inside = np.zeros(len(labels), dtype=np.bool_)
    for column in columns:
        code = 4 * code + np.where(column.state == SCORED, column.values[:, 0], column.state + 1).astype(np.int64)
        inside |= column.state != ABSENT
    if compares and len(columns) == 2:
        code[code == 5] = 0
    code, groups = code[inside], labels[inside]
    sorts = 4 ** len(columns)
    if len(np.unique(groups)) == len(groups):
        return np.bincount(code, minlength=sorts).tobytes()
    _, number = np.unique(groups, return_inverse=True)
    table = np.zeros((int(number.max()) + 1, sorts), dtype=np.int16)
    np.add.at(table, (number, code), 1)
    return table[np.lexsort(table.T)].tobytes()


def _table(metric: Metric, column: Column, labels: NDArray[np.int64]) -> MetricTable:
    rows: list[Row | Unscored | NotApplicable] = [
        tuple(row) if state == SCORED else _OUTSIDE if state == ABSENT else _LOST
        for row, state in zip(column.values.tolist(), column.state.tolist(), strict=True)
    ]
    ids = _ids(len(rows))
    names = _names(len(rows))
    clusters = tuple(names[label] for label in labels.tolist())
    return MetricTable(metric=metric, ids=ids, content_hashes=ids, clusters=clusters, rows=tuple(rows))


@cache
def _ids(n: int) -> tuple[str, ...]:
    return tuple(f"s{i}" for i in range(n))


@cache
def _names(n: int) -> tuple[str, ...]:
    return tuple(f"c{i}" for i in range(n))


def replay(case: Case, *, simulations: int, seed: int, judge: Judge | None = None) -> Tally:
    """Simulate a case.

    Args:
        case: what is true, and the gates.
        simulations: how many.
        seed: of everything drawn; equal seeds give equal tallies.
        judge: that checks the gates; None is the real one.
    """
    judge = judge or Judge()
    gates = sum(len(part.gates) for part in case.parts)
    tally = Tally(verdicts=[{"passed": 0, "failed": 0, "inconclusive": 0} for _ in range(gates)])
    for number in range(simulations):
        generator = np.random.default_rng([seed, number])
        tally.promotes += any(
            _promoted(case, attempt, generator, judge, tally, number) for attempt in range(1, case.attempts + 1)
        )
        tally.simulations += 1
    return tally


def _at_level(gate: Gate, case: Case, attempt: int, look: int) -> Gate:
    """Return the gate at the level of an attempt's look, as `harness_promotion.policy_run` sets it."""
    level = level_of_attempt(gate.alpha, attempt) if case.attempts > 1 and case.budgeted else gate.alpha
    if gate.correction and correction_of(gate).at_any_look:
        return replace(gate, alpha=level)
    return replace(gate, alpha=_level_of_look(case, look, level))


def _level_of_look(case: Case, look: int, level: float) -> float:
    if not case.looks:
        return level
    return look_levels(level, tuple(size / case.looks[-1] for size in case.looks))[case.looks.index(look)]


def _promoted(
    case: Case, attempt: int, generator: np.random.Generator, judge: Judge, tally: Tally, number: int
) -> bool:
    """Draw one run of every suite, and tell whether a decision on all gates would pass.

    The first gate that does not pass settles it, as all must pass: the others are not asked.
    """
    drawn: dict[int, Drawn] = {}
    for look in case.looks or (0,):
        statuses: list[CheckStatus] = []
        for place, (index, gate) in enumerate((i, gate) for i, part in enumerate(case.parts) for gate in part.gates):
            part = case.parts[index]
            if index not in drawn:
                drawn[index] = lay_all(part.injections, part.population.draw(part.n, generator), generator)
            run = _first(drawn[index], look) if look else drawn[index]
            metric = part.population.metrics[gate.metric]
            status = judge.verdict(_at_level(gate, case, attempt, look), metric, run, number)
            tally.verdicts[place][status] += 1
            if status == "passed" and case.counts_alone and not _beyond(gate, run):
                status = "inconclusive"  # it may pass: nothing false about it
            statuses.append(status)
            if worst_status(statuses) != "passed":
                break
        else:
            return True
    return False


def _beyond(gate: Gate, drawn: Drawn) -> bool:
    state = drawn.arms[CANDIDATE][gate.metric].state
    inside, scored = int((state != ABSENT).sum()), int((state == SCORED).sum())
    return inside - scored > (gate.limit or 0.0) * max(1, inside)


def _first(drawn: Drawn, size: int) -> Drawn:
    """Return the first samples of a run: a smaller look is contained in a larger one."""
    at = np.arange(min(size, len(drawn.labels)))
    arms = {arm: {name: column.take(at) for name, column in columns.items()} for arm, columns in drawn.arms.items()}
    return Drawn(arms=arms, labels=drawn.labels[at], calibrations=drawn.calibrations, people=drawn.people)
