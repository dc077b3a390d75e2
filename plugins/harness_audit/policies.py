"""Cases of whole policies: one gate at its line while all others pass, equal candidates, and their power together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import isfinite, prod
from typing import TYPE_CHECKING

from harness.api import Gate
from harness.api.stats import (
    bounds_of,
    describe,
    gate_kind,
    is_weighted_mean,
    level_of_attempt,
    levels_of_looks,
    metric_kind,
    of_each,
    samples_needed,
    schedule,
)
from harness.api.workspace import read_suite, resolve_suite
from harness_audit.injections import Exchange, Injection, Perfect, aimed
from harness_audit.planned import planned_power
from harness_audit.population import CANDIDATE, Population
from harness_audit.replay import Case, Part

if TYPE_CHECKING:
    from harness.api import Metric, Policy
    from harness.api.workspace import Registries


@dataclass(frozen=True, kw_only=True, eq=False)
class Replayed:
    """What of a policy can be replayed."""

    parts: tuple[Part, ...]
    left_out: tuple[str, ...]
    """Gates whose metrics have no rows to draw from, or that no data of that size can pass."""
    level: float
    """Of the first attempt, which the gates are at."""
    later: float
    """Of attempt `LATER`."""


LATER = 5
"""The attempt at which an equal candidate is tried once more."""


def replayed(policy: Policy, populations: Mapping[str, Population], registries: Registries) -> Replayed:
    """Return a policy's gates on the populations of its suites, at the level of its first attempt."""
    level, later = (
        levels_of_looks(policy, level_of_attempt(policy.alpha, number, policy.attempts))[-1]
        for number in (1, min(LATER, policy.attempts or LATER))
    )  # fmt: skip
    parts: list[Part] = []
    left_out: list[str] = []
    for section, limit in zip(policy.suites, schedule(policy)[-1], strict=True):
        suite = read_suite(resolve_suite(section.suite, registries), alpha=policy.alpha)
        gates = suite.gates if section.gates is None else section.gates
        population = populations.get(suite.id)
        if population is None:
            left_out += [f"{suite.id} {gate.metric} {describe(gate)}" for gate in gates]
            continue
        metrics = list(population.metrics.values())
        # A bank holds more than was recorded of it; clusters are drawn with replacement.
        n = limit if section.fresh and limit else min(limit or len(population), len(population))
        kept: list[Gate] = []
        for gate in gates:
            spread = _spread(gate, metrics)
            able = [replace(one, alpha=level) for one in spread if _able(one, population, n)]
            kept += able
            if len(able) < max(1, len(spread)):
                left_out.append(f"{suite.id} {gate.metric} {describe(gate)}")
        if kept:
            names = dict.fromkeys(gate.metric for gate in kept)
            mine = replace(population, metrics={name: population.metrics[name] for name in names}).complete()
            parts.append(Part(population=mine, n=n, gates=tuple(kept)))
    return Replayed(parts=tuple(parts), left_out=tuple(left_out), level=level, later=later)


def _spread(gate: Gate, metrics: Sequence[Metric]) -> Sequence[Gate]:
    if gate.each is None or any(metric.name == gate.metric for metric in metrics):
        return (gate,)
    parts = [metric for metric in metrics if metric.about_principle is not None]
    return of_each(gate, parts) if any(m.name.startswith(f"{gate.metric}.") for m in parts) else ()


def _able(gate: Gate, population: Population, n: int) -> bool:
    metric = population.metrics.get(gate.metric)
    if metric is None or not metric.gates or gate.evidence == "point" or not _injectable(metric, population):
        return False
    inside = len(population.only(gate.metric, complete=False)) * n / len(population)
    needed = samples_needed(gate, metric)
    return needed is not None and inside >= needed


def _injectable(metric: Metric, population: Population) -> bool:
    """Tell whether a metric's value can be moved to a stated one: a bounded mean, or sums of two columns."""
    if bounds_of(metric) is not None:
        return is_weighted_mean(metric)
    return bool(population.arms[CANDIDATE][metric.name].values.shape[1] == 2)


def policy_cases(
    name: str, found: Replayed, *, seed: int, alike: Mapping[str, Population] | None = None
) -> Iterator[Case]:
    """Yield the cases of a policy.

    Args:
        name: for the report.
        found: what of it can be replayed.
        seed: of the plans' standard errors.
        alike: by suite: rows of two arms made by one recipe, from which equal candidates are drawn where there are any.
    """
    for place, part in enumerate(found.parts):
        for gate in part.gates:
            case = _at_its_line(name, found, place, gate)
            if case is not None:
                yield case
    equal = replace(found, parts=tuple(_of_alike(part, alike or {}) for part in found.parts))
    yield _equal(name, equal, seed, 1)
    yield _equal(name, equal, seed, LATER)


def _of_alike(part: Part, alike: Mapping[str, Population]) -> Part:
    """Return the part on rows of two arms that were made alike, where those hold all its metrics."""
    other = alike.get(part.population.suite)
    names = list(part.population.metrics)
    if other is None or not set(names) <= set(other.metrics):
        return part
    return replace(part, population=replace(other, metrics={name: other.metrics[name] for name in names}).complete())


def _best(metric: Metric, gates: Sequence[Gate]) -> float:
    """Return the value of a metric that its gates like best."""
    low, high = bounds_of(metric) or (0.0, 1.0)
    regions = [gate_kind(gate).region(gate, metric) for gate in gates if gate.metric == metric.name and _limits(gate)]
    if any(isfinite(region.least) for region in regions):
        return high
    if regions:
        return low
    return high if metric.direction == "higher" else low


def _limits(gate: Gate) -> bool:
    """Tell whether a gate is on the metric's value."""
    return not gate_kind(gate).compares and not gate_kind(gate).of_the_run


def _perfect(part: Part, leave: Sequence[str]) -> tuple[Injection, ...]:
    """Return injections under which no gate but those on the metrics left stands in the way."""
    injections: tuple[Injection, ...] = ()
    for name, metric in part.population.metrics.items():
        if name in leave:
            continue
        if bounds_of(metric) is not None:
            injections += (Perfect(metric=name, value=_best(metric, part.gates)),)
        else:
            injections += _far(part.population, name, [gate for gate in part.gates if gate.metric == name])
    return injections


def _far(population: Population, metric: str, gates: Sequence[Gate]) -> tuple[Injection, ...]:
    """Return injections that move an unbounded metric far to the good side of all its gates."""
    good = 1.0 if population.metrics[metric].direction == "higher" else -1.0
    injections: tuple[Injection, ...] = ()
    for gate in gates:
        if gate_kind(gate).compares:
            injections = aimed(population, metric, "difference", 10.0 * good * (gate.margin or 1.0), before=injections)
        elif _limits(gate):
            above = isfinite(gate_kind(gate).region(gate, population.metrics[metric]).least)
            injections = aimed(population, metric, "value", (gate.limit or 0.0) * (2.0 if above else 0.5))
    return injections


def _at_its_line(name: str, found: Replayed, place: int, gate: Gate) -> Case | None:
    """Return the case of a candidate that is bad in one respect alone: it has to slip through that very gate."""
    if gate_kind(gate).of_the_run or gate_kind(gate).of_texts:
        return None
    part = found.parts[place]
    metric = part.population.metrics[gate.metric]
    try:
        own = _line(part.population, gate, metric)
    except ValueError:
        return None
    first = replace(
        part, gates=(gate, *(other for other in part.gates if other is not gate)),
        injections=(*own, *_perfect(part, [gate.metric])),
    )  # fmt: skip
    # The gate in question is asked first: where it does not pass, nothing else matters.
    parts = [first, *(replace(other, injections=_perfect(other, [])) for other in found.parts if other is not part)]
    return Case(
        name=f"{name}: {part.population.suite} {gate.metric} {describe(gate)} at its line", group=f"policy {name}",
        condition=f"all {sum(len(p.gates) for p in parts)} gates",
        truth=f"{gate.metric} is exactly at {describe(gate)}, and all else is perfect", claim="at most",
        parts=tuple(parts), allowed=found.level, cost="high" if not metric_kind(metric).shares else "middle",
    )  # fmt: skip


def _line(population: Population, gate: Gate, metric: Metric) -> tuple[Injection, ...]:
    if not gate_kind(gate).compares:
        return aimed(population, gate.metric, "value", gate.limit or 0.0)
    if gate.margin is None:
        return (Exchange(),)
    lost = (gate.margin or 0.0) * (-1.0 if metric.direction == "higher" else 1.0)
    try:
        return aimed(population, gate.metric, "difference", lost)
    except ValueError:
        return aimed(population, gate.metric, "difference", lost, before=(Exchange(),))


def _equal(name: str, found: Replayed, seed: int, attempt: int) -> Case:
    """Return the case of an equal candidate: a false promotion where the policy asks for an improvement."""
    level = found.level if attempt == 1 else found.later
    at = [replace(p, gates=tuple(replace(gate, alpha=level) for gate in p.gates)) for p in found.parts]
    found = replace(found, parts=tuple(at))
    parts: list[Part] = []
    powers: list[Callable[[], float]] = []
    superior = any(gate_kind(gate).compares and gate.margin is None for part in found.parts for gate in part.gates)
    for part in found.parts:
        limits = {gate.metric for gate in part.gates if _limits(gate)}
        compared = [gate for gate in part.gates if gate_kind(gate).compares and gate.margin is not None]
        leave = [name for name in part.population.metrics if name not in limits]
        injections: tuple[Injection, ...] = (Exchange(), *_perfect(part, leave))
        parts.append(replace(part, injections=injections))
        for gate in compared:
            if gate.metric not in limits:
                alone = part.population.only(gate.metric)
                n = round(len(alone) * part.n / len(part.population))
                margin = gate.margin or 0.0
                powers.append(partial(planned_power, alone, (Exchange(),), gate, margin, n, seed=seed))
    return Case(
        name=f"{name}: equal at attempt {attempt}", group=f"policy {name}",
        condition=f"all {sum(len(p.gates) for p in parts)} gates",
        truth=f"at attempt {attempt}: equal arms that differ as often as recorded; whatever has a limit is perfect",
        claim="at most" if superior else "power", parts=tuple(parts), allowed=level,
        plan=None if superior else lambda: prod(power() for power in powers),
        cost="high",
    )  # fmt: skip
