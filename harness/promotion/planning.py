"""What gates can detect and how often they would pass, said before a run: from stored rows, or from what is assumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.errors import InputError
from harness.evaluation.checks import counted
from harness.gates.attainable import samples_needed
from harness.gates.detectable import detectable
from harness.gates.expected import Expected, expected, samples_for
from harness.gates.simulate import CANDIDATE, Planned, Pool, Tally, Truth, simulable, simulate
from harness.promotion.stored import open_run
from harness.stats.power import POWER
from harness.stats.proportion import clopper_pearson
from harness.store.runs import list_runs
from harness.types import Gate, NotApplicable

if TYPE_CHECKING:
    from harness.contracts import Metric, Progress
    from harness.evaluation.prepare import PreparedSuite
    from harness.gates.simulate import Column
    from harness.plugins import Registries
    from harness.store.workspace import Workspace

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


def make_plan(
    suites: Sequence[PreparedSuite], assumptions: Assumptions, registries: Registries, workspace: Workspace | None,
    *, samples: int | None = None, wanted: float = POWER, simulations: int = 400, seed: int = 0, run: str | None = None,
    progress: Progress | None = None,
) -> Plan:  # fmt: skip
    """Plan gates, all suites together.

    Args:
        suites: with their gates, at their level.
        assumptions: what is true of the candidate.
        registries: whose metrics read stored runs.
        workspace: that holds stored runs; None where there is none.
        samples: of each suite, instead of those that it has.
        wanted: power, in (0, 1).
        simulations: at most so many; fewer where there are many samples.
        seed: of the simulation.
        run: a stored run to draw from, instead of each suite's newest.
        progress: where the bar is drawn; None draws none.

    Raises:
        InputError: for a run that is not there, or a change that cannot be planted.
    """
    pools = [_pool(suite, assumptions, registries, workspace, run) for suite in suites]
    planned: list[Planned] = []
    places: list[list[int]] = []
    for suite, (pool, _) in zip(suites, pools, strict=True):
        drawn = [] if pool is None else [
            index for index, gate in enumerate(suite.gates)
            if simulable(gate, pool) and gate.evidence == "bound"
        ]  # fmt: skip
        places.append(drawn)
        if pool is not None and drawn:
            gates = [suite.gates[index] for index in drawn]
            planned.append(Planned(pool=pool, gates=gates, n=samples or len(suite.samples)))
    work = sum(part.n * len(part.gates) for part in planned)
    times = 0 if not work else min(simulations, max(_FEWEST, _MOST_WORK // work))
    tally = simulate(
        planned, truth=assumptions.truth, changes=assumptions.changes, simulations=times, seed=seed, progress=progress
    )
    return _plan(suites, pools, places, tally, assumptions, samples, wanted)


def _plan(
    suites: Sequence[PreparedSuite], pools: Sequence[tuple[Pool | None, str]], places: Sequence[Sequence[int]],
    tally: Tally, assumptions: Assumptions, samples: int | None, wanted: float,
) -> Plan:  # fmt: skip
    found: list[GatePlan] = []
    left_out: list[str] = []
    counts = iter(tally.by_gate)
    for suite, (pool, _), drawn in zip(suites, pools, places, strict=True):
        numbers = counted(suite)
        by_name = {metric.name: metric for metric in suite.metrics}
        for index, gate in enumerate(suite.gates):
            verdicts = next(counts) if index in drawn else None
            if verdicts is None:
                left_out.append(f"{suite.suite.id} {gate.metric}")
            n = numbers[gate.metric]
            if samples is not None:
                n = round(n * samples / max(1, len(suite.samples)))
            power = None if verdicts is None else verdicts["passed"] / max(1, tally.simulations)
            found.append(_gate_plan(suite.suite.id, gate, by_name[gate.metric], pool, n, power, assumptions, wanted))
    interval = clopper_pearson(tally.together, tally.simulations, 0.05) if tally.simulations else None
    return Plan(
        gates=tuple(found), truth=assumptions.truth, changes=assumptions.changes, wanted=wanted,
        sources={suite.suite.id: source for suite, (_, source) in zip(suites, pools, strict=True)},
        simulations=tally.simulations, left_out=tuple(left_out),
        together=tally.together / tally.simulations if tally.simulations else None,
        low=None if interval is None else interval.low, high=None if interval is None else interval.high,
    )  # fmt: skip


def _gate_plan(
    suite: str, gate: Gate, metric: Metric, pool: Pool | None, n: int, power: float | None, assumptions: Assumptions,
    wanted: float,
) -> GatePlan:  # fmt: skip
    known = None
    if pool is not None and simulable(gate, pool) and gate.kind != "max_unscored":
        known = expected(gate, pool, assumptions.truth, assumptions.changes.get(gate.metric, 0.0))
    detects = None
    worth = n if known is None else max(1, round(n / known.design_effect))
    if metric.kind == "proportion" or (known is not None and known.spread is not None):
        discordant = assumptions.discordant if known is None or known.discordant is None else known.discordant
        spread, kurtosis, unseen = (None, 3.0, 1.0) if known is None else (
            known.spread, known.kurtosis, known.unseen_weight,
        )  # fmt: skip
        detects = detectable(
            gate, metric, worth, power=wanted, discordant=discordant, spread=spread, kurtosis=kurtosis, unseen=unseen
        )
    note = ""
    if power is None:
        note = "a point value has no power" if gate.evidence == "point" else "no rows of it"
        if metric.kind in {"run", "corpus"}:
            note = f"of kind {metric.kind}, which cannot be simulated from rows"
    return GatePlan(
        suite=suite, gate=gate, kind=metric.kind, samples=n, least=samples_needed(gate, metric), detects=detects,
        expected=known, power=power, needed=None if known is None else samples_for(gate, metric, known, wanted),
        note=note,
    )  # fmt: skip


def _pool(
    suite: PreparedSuite, assumptions: Assumptions, registries: Registries, workspace: Workspace | None, run: str | None
) -> tuple[Pool | None, str]:
    """Return rows for a suite's gates, and where they come from."""
    wanted = {metric.name: metric for metric in suite.metrics if metric.kind in {"proportion", "mean", "ratio"}}
    wanted = {name: metric for name, metric in wanted.items() if any(gate.metric == name for gate in suite.gates)}
    stored = None if workspace is None else _stored(suite, wanted, registries, workspace, run)
    if stored is not None:
        pool, source = stored
        return (pool if len(pool.rows) > 1 else _with_partner(pool, assumptions.discordant)), source
    assumed = {name: metric for name, metric in wanted.items() if name in assumptions.values}
    for name, metric in assumed.items():
        if metric.kind != "proportion":
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


def _stored(
    suite: PreparedSuite, metrics: Mapping[str, Metric], registries: Registries, workspace: Workspace, run: str | None
) -> tuple[Pool, str] | None:
    """Return the rows of the newest stored run that this suite would make, with those that it was compared with."""
    if run is None:
        now = suite.fingerprint()
        records = [r for r in list_runs(workspace, problems=[]) if r.suite_fingerprint == now]
        # One that was compared with another run tells more than one alone.
        records.sort(key=lambda record: (bool(record.baseline_runs), record.id))
        if not records:
            return None
        run = records[-1].id
    own = open_run(workspace, registries, run)
    if own.record.suite != suite.suite.id:
        return None
    arms = {name: open_run(workspace, registries, other) for name, other in own.record.baseline_runs.items()}
    known = {
        name: metric for name, metric in metrics.items()
        if name in own.tables and all(name in arm.tables for arm in arms.values())
    }  # fmt: skip
    if not known:
        return None
    first = own.tables[next(iter(known))]
    rows: dict[str, dict[str, Column]] = {}
    for arm, stored in {CANDIDATE: own, **arms}.items():
        rows[arm] = {}
        for name in known:
            table = stored.tables[name]
            at = {sample: position for position, sample in enumerate(table.ids)}
            rows[arm][name] = [table.rows[at[sample]] for sample in first.ids]
    against = "".join(f", against {other}" for other in own.record.baseline_runs.values())
    return Pool(metrics=known, clusters=first.clusters, rows=rows), f"drawn from the run {own.record.id}{against}"


def _with_partner(pool: Pool, discordant: float) -> Pool:
    """Return the pool with a second arm of the same rates, which differs on the given share of each proportion."""
    generator = np.random.default_rng(0)
    partner: dict[str, Column] = {}
    kept: dict[str, Metric] = {}
    for name, metric in pool.metrics.items():
        kept[name] = metric
        column = list(pool.rows[CANDIDATE][name])
        if metric.kind == "proportion":
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
        assumed=frozenset(name for name, metric in kept.items() if metric.kind != "proportion"),
    )  # fmt: skip
