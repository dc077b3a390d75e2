"""What gates can detect and how often they would pass, said before a run: from stored rows, or from what is assumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.api import Gate, InputError, NotApplicable
from harness.api.stats import POWER, Scatter, clopper_pearson, detectable, gate_kind, samples_needed, subset
from harness.api.stats import metric_kind as kind_of
from harness.api.workspace import counted, list_runs, open_run
from harness_planning.expected import Expected, expected, samples_for
from harness_planning.simulate import CANDIDATE, Planned, Pool, Truth, simulable, simulate

if TYPE_CHECKING:
    from harness.api import Metric, Progress
    from harness.api.workspace import PreparedSuite, Registries, Workspace
    from harness_planning.simulate import Column

_MOST_WORK = 4_000_000
_FEWEST = 100


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """What is taken to be true of the candidate."""

    truth: Truth = "equal"
    """`equal`: no better and no worse than what it is compared with; `seen`: as the stored runs are."""
    changes: Mapping[str, float]
    """By metric: added to the candidate's value on top of that."""
    values: Mapping[str, float]
    """By metric of kind proportion: its value where no stored run tells it."""
    discordant: float = 0.2
    """Share of the samples on which the arms differ, where no stored pair tells it."""

    samples: int | None = None
    """Of each suite, instead of those that it has."""
    power: float = POWER
    """Wanted, in (0, 1)."""


@dataclass(frozen=True, kw_only=True)
class StoredRows:
    """Where rows of earlier runs are."""

    registries: Registries
    """Whose metrics read them."""
    workspace: Workspace | None
    """None where there is none."""
    run: str | None = None
    """One to draw from, instead of each suite's newest."""

    def of(self, suite: PreparedSuite, metrics: Mapping[str, Metric]) -> tuple[Pool, str] | None:
        """Return the rows of the newest stored run that a suite would make, with those it was compared with."""
        workspace, run = self.workspace, self.run
        if workspace is None:
            return None
        if run is None:
            now = suite.fingerprint()
            records = [r for r in list_runs(workspace, problems=[]) if r.suite_fingerprint == now]
            # One that was compared with another run tells more than one alone.
            records.sort(key=lambda record: (bool(record.baseline_runs), record.id))
            if not records:
                return None
            run = records[-1].id
        own = open_run(workspace, self.registries, run)
        if own.record.suite != suite.suite.id:
            return None
        arms = {name: open_run(workspace, self.registries, other) for name, other in own.record.baseline_runs.items()}
        known = {
            name: metric for name, metric in metrics.items()
            if name in own.tables and all(name in arm.tables for arm in arms.values())
        }  # fmt: skip
        if not known:
            return None
        first = own.tables[next(iter(known))]
        rows: dict[str, dict[str, Column]] = {}
        for arm, stored in {CANDIDATE: own, **arms}.items():
            tables = {name: subset(stored.tables[name], first.ids) for name in known}
            rows[arm] = {name: table.rows for name, table in tables.items()}
        against = "".join(f", against {other}" for other in own.record.baseline_runs.values())
        return Pool(metrics=known, clusters=first.clusters, rows=rows), f"drawn from the run {own.record.id}{against}"


@dataclass(frozen=True, kw_only=True)
class GatePlan:
    """What is to be expected of one gate."""

    suite: str
    gate: Gate
    kind: str
    """The metric's."""
    samples: int
    """That can enter the metric's denominator."""
    least: int | None
    """Fewest independent samples with which perfect data could pass."""
    detects: float | None
    """How far the truth must be on the good side of the line to pass with the wanted power, in the metric's unit."""
    expected: Expected | None
    """What the truth is taken to be; None where neither a run nor an assumption tells it."""
    power: float | None
    """Share of the simulations in which it passed; None where it could not be simulated."""
    needed: int | None
    """About how many samples would pass with the wanted power under that truth; None where none would."""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be expected of all gates."""

    gates: tuple[GatePlan, ...]
    sources: Mapping[str, str]
    """By suite: where its rows come from."""
    truth: Truth
    changes: Mapping[str, float]
    wanted: float
    """The power that `detects` and `needed` speak of."""
    simulations: int
    together: float | None
    """Share of the simulations in which every simulated gate passed; None where none could be simulated."""
    low: float | None
    high: float | None
    """Its 90 % interval, from the number of simulations."""
    left_out: tuple[str, ...]
    """Gates that `together` leaves out."""

    @property
    def costliest(self) -> GatePlan | None:
        """The simulated gate that passes least often: without it all together would pass most often."""
        known = [gate for gate in self.gates if gate.power is not None]
        return min(known, key=lambda gate: gate.power or 0.0, default=None)


def make_plan(
    suites: Sequence[PreparedSuite], assumptions: Assumptions, stored: StoredRows, *, simulations: int = 400,
    seed: int = 0, progress: Progress | None = None,
) -> Plan:  # fmt: skip
    """Plan gates, all suites together.

    Args:
        suites: with their gates, at their level.
        assumptions: what is true of the candidate, how many samples there are, and the wanted power.
        stored: where rows of earlier runs are.
        simulations: at most so many; fewer where there are many samples.
        seed: of the simulation.
        progress: where the bar is drawn; None draws none.

    Raises:
        InputError: for a run that is not there, or a change that cannot be injected.
    """
    parts = [_SuitePart.of(suite, assumptions, stored) for suite in suites]
    planned = [part.planned for part in parts if part.planned is not None]
    work = sum(part.n * len(part.gates) for part in planned)
    times = 0 if not work else min(simulations, max(_FEWEST, _MOST_WORK // work))
    tally = simulate(
        planned, truth=assumptions.truth, changes=assumptions.changes, simulations=times, seed=seed, progress=progress
    )
    counts = iter(tally.by_gate)
    found: list[GatePlan] = []
    left_out: list[str] = []
    for part in parts:
        for gate in part.suite.gates:
            power = None
            if part.planned is not None and part.draws(gate):
                power = next(counts)["passed"] / max(1, tally.simulations)
            else:
                left_out.append(f"{part.suite.suite.id} {gate.metric}")
            found.append(part.plan(gate, power, assumptions))
    interval = clopper_pearson(tally.together, tally.simulations, 0.05) if tally.simulations else None
    return Plan(
        gates=tuple(found), truth=assumptions.truth, changes=assumptions.changes, wanted=assumptions.power,
        sources={part.suite.suite.id: part.source for part in parts},
        simulations=tally.simulations, left_out=tuple(left_out),
        together=tally.together / tally.simulations if tally.simulations else None,
        low=None if interval is None else interval.low, high=None if interval is None else interval.high,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class _SuitePart:
    """One suite of a plan."""

    suite: PreparedSuite
    pool: Pool | None
    source: str
    """Where the pool's rows come from."""
    counted: Mapping[str, int]
    """Samples that can count for each metric."""
    n: int
    """Samples of a simulated run."""

    @classmethod
    def of(cls, suite: PreparedSuite, assumptions: Assumptions, stored: StoredRows) -> _SuitePart:
        pool, source = _pool(suite, assumptions, stored)
        n = assumptions.samples or len(suite.samples)
        return cls(suite=suite, pool=pool, source=source, counted=counted(suite), n=n)

    def draws(self, gate: Gate) -> bool:
        """Tell whether the gate's verdicts are simulated."""
        return self.pool is not None and simulable(gate, self.pool) and gate.evidence == "bound"

    @property
    def planned(self) -> Planned | None:
        gates = [gate for gate in self.suite.gates if self.draws(gate)]
        return None if self.pool is None or not gates else Planned(pool=self.pool, gates=gates, n=self.n)

    def plan(self, gate: Gate, power: float | None, assumptions: Assumptions) -> GatePlan:
        """Return what is to be expected of a gate that passed a share `power` of the simulations."""
        metric = next(metric for metric in self.suite.metrics if metric.name == gate.metric)
        kind, n = kind_of(metric), self.counted[gate.metric]
        if assumptions.samples is not None:
            n = round(n * assumptions.samples / max(1, len(self.suite.samples)))
        known = None
        planned_by_value = not gate_kind(gate).of_the_run and not gate_kind(gate).of_texts
        if self.pool is not None and simulable(gate, self.pool) and planned_by_value:
            known = expected(gate, self.pool, assumptions.truth, assumptions.changes.get(gate.metric, 0.0))
        detects = None
        if kind.shares or (known is not None and known.spread is not None):
            scatter = Scatter(discordant=assumptions.discordant)
            if known is not None:
                scatter = Scatter(
                    discordant=assumptions.discordant if known.discordant is None else known.discordant,
                    spread=known.spread, kurtosis=known.kurtosis, unseen=known.unseen_weight,
                )  # fmt: skip
            size = n if known is None else max(1, round(n / known.design_effect))
            detects = detectable(gate, metric, size, scatter, power=assumptions.power)
        note = ""
        if power is None:
            note = "a point value has no power" if gate.evidence == "point" else "no rows of it"
            if not kind.summed:
                note = f"of kind {kind.name}, which cannot be simulated from rows"
        return GatePlan(
            suite=self.suite.suite.id, gate=gate, kind=kind.name, samples=n, least=samples_needed(gate, metric),
            detects=detects, expected=known, power=power,
            needed=None if known is None else samples_for(gate, metric, known, assumptions.power), note=note,
        )  # fmt: skip


def _pool(suite: PreparedSuite, assumptions: Assumptions, stored: StoredRows) -> tuple[Pool | None, str]:
    """Return rows for a suite's gates, and where they come from."""
    wanted = {metric.name: metric for metric in suite.metrics if kind_of(metric).summed}
    wanted = {name: metric for name, metric in wanted.items() if any(gate.metric == name for gate in suite.gates)}
    found = stored.of(suite, wanted)
    if found is not None:
        pool, source = found
        return (pool if len(pool.rows) > 1 else _with_partner(pool, assumptions.discordant)), source
    assumed = {name: metric for name, metric in wanted.items() if name in assumptions.values}
    for name, metric in assumed.items():
        if not kind_of(metric).shares:
            raise InputError(
                f"{name} is of kind {metric.kind}, and only proportions can be assumed", hint="run the suite once"
            )
    if not assumed:
        return None, "no stored run of it as it is now, and nothing assumed"
    n = max(1, len(suite.samples))
    numbers = counted(suite)
    rows: dict[str, Column] = {}
    for name in assumed:
        most = min(n, numbers[name])
        events = round(assumptions.values[name] * most)
        rows[name] = [(1.0, 1.0)] * events + [(0.0, 1.0)] * (most - events)
        rows[name] = [*rows[name], *([NotApplicable(reason="another kind of sample")] * (n - most))]
    pool = Pool(metrics=assumed, clusters=[None] * n, rows={CANDIDATE: rows})
    return _with_partner(
        pool, assumptions.discordant
    ), "drawn from assumed values, as if samples and gates were independent"


def _with_partner(pool: Pool, discordant: float) -> Pool:
    """Return the pool with a second arm of the same rates, which differs on the given share of each proportion."""
    generator = np.random.default_rng(0)
    partner: dict[str, Column] = {}
    kept: dict[str, Metric] = {}
    for name, metric in pool.metrics.items():
        kept[name] = metric
        column = list(pool.rows[CANDIDATE][name])
        if kind_of(metric).shares:
            ones = [i for i, row in enumerate(column) if isinstance(row, tuple) and row[0] == 1]
            zeros = [i for i, row in enumerate(column) if isinstance(row, tuple) and row[0] == 0]
            moved = min(round(discordant * (len(ones) + len(zeros)) / 2), len(ones), len(zeros))
            for at in (*generator.permutation(ones)[:moved], *generator.permutation(zeros)[:moved]):
                row = column[int(at)]
                if isinstance(row, tuple):
                    column[int(at)] = (1.0 - row[0], *row[1:])
        partner[name] = column
    return Pool(
        metrics=kept, clusters=pool.clusters, rows={**pool.rows, "assumed": partner},
        assumed=frozenset(name for name, metric in kept.items() if not kind_of(metric).shares),
    )  # fmt: skip
