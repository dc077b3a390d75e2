"""The audit by replay: makes the cases, simulates them on several processes, and says which promises hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from harness.api import InputError, unknown_name
from harness.api.stats import clopper_pearson
from harness.api.workspace import find_policy
from harness_audit.adversaries import adversary_cases
from harness_audit.differences import difference_cases
from harness_audit.labelled import labelled_cases
from harness_audit.limits import limit_cases
from harness_audit.policies import policy_cases, replayed
from harness_audit.processes import undisturbed, workers
from harness_audit.recorded import alike, from_workspace, shipped
from harness_audit.replay import Case, Judge, Tally, replay
from harness_audit.ugly import ugly_cases

if TYPE_CHECKING:
    from harness.api import Progress
    from harness.api.workspace import Config, Registries
    from harness_audit.population import Population

GROUPS = (
    "min", "max", "max corrected", "min corrected", "max_unscored", "non_inferior", "non_inferior with anchor",
    "superior", "equivalent", "unscored", "critics that err", "attempts", "ugly", "adversaries",
    "few labels",
)  # fmt: skip
FAMILY = 0.05
"""How often an audit of gates that keep their promises exactly may call any of them broken."""
SLACK = 0.05
"""How far the power may fall below its plan, which is an approximation, before it is called short."""
CHEAPER = {"low": 1, "middle": 1, "high": 2}
"""So many times fewer simulations are made of a case, by the cost of each."""
_FEWEST_SAMPLES = 36
Finding = Literal["kept", "broken", "as planned", "more than planned", "short", "not promised"]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What an audit is about; equal setups give equal audits."""

    simulations: int = 2000
    seed: int = 0
    gates: tuple[str, ...] = ()
    """Groups of cases; empty is all, with the policies."""
    policies: tuple[str, ...] = ()
    """Names; empty is every policy that is known here, or none where groups are named."""
    run: str | None = None
    """A stored run to draw from."""
    recorded: bool = False
    """Draw from the rows that ship with harness, whatever the workspace holds."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """How often one known truth got through."""

    name: str
    group: str
    suite: str
    condition: str
    truth: str
    source: str
    claim: str
    samples: tuple[int, ...]
    """Of each suite."""
    simulations: int
    promotes: int
    rate: float
    low: float
    """Lower bound of the rate at the level that all cases share; see `FAMILY`."""
    high: float
    """Upper bound of the rate, one-sided 95 %."""
    allowed: float | None
    planned: float | None
    finding: Finding
    verdicts: tuple[Mapping[str, int], ...]
    """Of each gate, in order."""

    @property
    def held(self) -> bool:
        """Whether it is no failure of the audit."""
        return self.finding not in {"broken", "short"}


@dataclass(frozen=True, kw_only=True)
class Audit:
    """All results, and what they rest on."""

    results: tuple[Result, ...]
    setup: Setup
    sources: tuple[str, ...]
    made: Mapping[str, Any]
    """How recorded rows were made; empty for a workspace's own."""
    left_out: Mapping[str, Sequence[str]]
    """By policy: the gates that could not be replayed."""
    seconds: float

    def by_group(self) -> dict[str, list[Result]]:
        """Return the results by kind of gate and policy, in order of first appearance."""
        found: dict[str, list[Result]] = {}
        for result in self.results:
            found.setdefault(result.group, []).append(result)
        return found

    @property
    def failures(self) -> tuple[Result, ...]:
        """The promises that do not hold."""
        return tuple(result for result in self.results if not result.held)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The cases of an audit, before any is simulated."""

    cases: tuple[Case, ...]
    sources: tuple[str, ...]
    made: Mapping[str, Any]
    left_out: Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """From what every process makes the same cases again: plain values, so that they can be sent to it."""

    setup: Setup
    plugins: tuple[str, ...]
    workspace: str | None
    """Folder; None where there is none."""
    folder: str
    """Whose harness.yaml counts."""


def prepare(origin: Origin, registries: Registries, config: Config) -> Prepared:
    """Make the cases.

    Raises:
        InputError: for an unknown gate or policy, a run that is not there, or rows from which nothing can be drawn.
        BrokenRunError: for files that are not what they were.
    """
    setup = origin.setup
    unknown = next((name for name in setup.gates if name not in GROUPS), None)
    if unknown is not None:
        raise unknown_name("kind of gate", unknown, GROUPS)
    populations, made = _rows(origin, registries)
    names = setup.policies or (() if setup.gates else tuple(_names(config, registries)))
    cases = [] if setup.policies and not setup.gates else list(_gate_cases(populations, setup))
    if setup.policies == () and (not setup.gates or "ugly" in setup.gates):
        cases += ugly_cases()
    if setup.policies == () and (not setup.gates or "adversaries" in setup.gates):
        cases += adversary_cases()
    if setup.policies == () and (not setup.gates or "few labels" in setup.gates):
        cases += labelled_cases()
    left_out: dict[str, Sequence[str]] = {}
    by_suite = {population.suite: population for population in populations}
    for name in names:
        found = replayed(find_policy(name, config, registries), by_suite, registries)
        left_out[name] = found.left_out
        if found.parts:
            cases += policy_cases(name, found, seed=setup.seed, alike=alike(registries) if made else {})
    if not cases:
        raise InputError(
            "the rows hold nothing that these gates could be audited on",
            hint="leave --run, --gate and --policy out to audit all gates on the rows that ship with harness",
        )
    return Prepared(
        cases=tuple({case.name: case for case in cases}.values()), made=made, left_out=left_out,
        sources=tuple(f"{population.suite}: {population.source}" for population in populations),
    )  # fmt: skip


def _rows(origin: Origin, registries: Registries) -> tuple[list[Population], Mapping[str, Any]]:
    setup = origin.setup
    if setup.run is not None and setup.recorded:
        raise InputError("--run and --recorded both say where the rows come from", hint="give one of them")
    if not setup.recorded and origin.workspace is not None:
        from harness.api.workspace import Workspace

        found = from_workspace(Workspace.open(Path(origin.workspace)), registries, setup.run)
        if found:
            return found, {}
    if setup.run is not None:
        raise InputError("there is no workspace here, and so no run", hint="leave --run out, or give --workspace")
    return shipped(registries)


def _names(config: Config, registries: Registries) -> Iterator[str]:
    yield from dict.fromkeys([*config.policies, *(entry.name for entry in registries.policies)])


def _gate_cases(populations: Sequence[Population], setup: Setup) -> Iterator[Case]:
    spent = False
    for population in populations:
        for metric, alone in _chosen(population).items():
            cases = [*limit_cases(alone, metric), *difference_cases(alone, metric, seed=setup.seed)]
            # What attempts spend does not depend on the metric: those of one are enough.
            cases = [case for case in cases if case.group != "attempts" or not spent]
            spent = spent or any(case.group == "attempts" for case in cases)
            yield from (case for case in cases if not setup.gates or case.group in setup.gates)


def _chosen(population: Population) -> dict[str, Population]:
    """Return the samples of one metric of each kind, with and without clusters: the first in the suite's order.

    Others of the same kind go through the same procedure. A proportion that some samples have in common with their
    neighbours is another kind here than one of independent samples.
    """
    found: dict[tuple[str, bool], tuple[str, Population]] = {}
    for name, metric in population.metrics.items():
        alone = population.only(name)
        if metric.gates and len(alone) >= _FEWEST_SAMPLES:
            found.setdefault((metric.kind, alone.clustered), (name, alone))
    return dict(found.values())


def times(case: Case, simulations: int) -> int:
    """Return how many simulations a case gets: half where each resamples, or has many attempts."""
    return max(50, simulations // CHEAPER["high" if case.attempts > 1 else case.cost])


def run_audit(
    origin: Origin, prepared: Prepared, *, jobs: int, progress: Progress, judge: Callable[[], Judge] | None = None
) -> Audit:
    """Simulate all cases.

    Args:
        origin: what they were made from.
        prepared: the cases.
        jobs: processes; 1 stays in this one. The results do not depend on it.
        progress: where the bar is drawn.
        judge: makes what checks gates, for a test of the audit itself; with it all stays in this process.
    """
    begin = monotonic()
    setup = origin.setup
    total = sum(times(case, setup.simulations) for case in prepared.cases)
    bar = progress.start("audit", total, unit="simulations")
    tallies: dict[int, Tally] = {}
    if jobs == 1 or judge is not None:
        for place, case in enumerate(prepared.cases):
            tallies[place] = _simulate(case, place, setup, judge() if judge else None)
            bar.advance(tallies[place].simulations, note=case.group)
    else:
        with workers(jobs, _begin, origin) as pool:
            # The longest first, so that no process waits long for the other at the end.
            order = sorted(range(len(prepared.cases)), key=lambda i: -CHEAPER[prepared.cases[i].cost])
            with undisturbed():
                waiting = {pool.submit(_work, place): place for place in order}
            for done in as_completed(waiting):
                place = waiting[done]
                tallies[place] = done.result()
                bar.advance(tallies[place].simulations, note=prepared.cases[place].group)
    bar.finish()
    judged = [_judged(case, tallies[place], len(prepared.cases)) for place, case in enumerate(prepared.cases)]
    return Audit(
        results=tuple(judged), setup=setup, sources=prepared.sources, made=prepared.made, left_out=prepared.left_out,
        seconds=monotonic() - begin,
    )  # fmt: skip


def _simulate(case: Case, place: int, setup: Setup, judge: Judge | None = None) -> Tally:
    return replay(case, simulations=times(case, setup.simulations), seed=setup.seed * 100_003 + place, judge=judge)


_CASES: list[Case] = []
_SETUP: list[Setup] = []


def _begin(origin: Origin) -> None:
    """Make the cases in a process of the pool, once."""
    from harness.api.workspace import load_plugins, read_config

    registries = load_plugins(origin.plugins).registries
    _CASES[:] = prepare(origin, registries, read_config(Path(origin.folder))).cases
    _SETUP[:] = [origin.setup]


def _work(place: int) -> Tally:
    return _simulate(_CASES[place], place, _SETUP[0])


def _judged(case: Case, tally: Tally, cases: int) -> Result:
    n, promotes = tally.simulations, tally.promotes
    high = clopper_pearson(promotes, n, 0.05).high or 0.0
    low = clopper_pearson(promotes, n, FAMILY / max(1, cases)).low or 0.0
    return Result(
        name=case.name, group=case.group, suite=" + ".join(part.population.suite for part in case.parts),
        condition=case.condition, truth=case.truth, claim=case.claim, source=case.parts[0].population.source,
        samples=tuple(part.n for part in case.parts), simulations=n, promotes=promotes, rate=promotes / n, low=low,
        high=high, allowed=case.allowed if case.claim in {"at most", "never"} else None, planned=case.planned,
        finding=_finding(case, promotes / n, low, clopper_pearson(promotes, n, FAMILY / max(1, cases)).high or 0.0),
        verdicts=tuple(tally.verdicts),
    )  # fmt: skip


def _finding(case: Case, rate: float, low: float, high: float) -> Finding:
    if case.claim == "outside":
        return "not promised"
    if case.claim in {"at most", "never"}:
        return "broken" if low > case.allowed else "kept"
    planned = case.planned or 0.0
    if high < planned - SLACK:
        return "short"
    return "more than planned" if rate > planned + SLACK else "as planned"
