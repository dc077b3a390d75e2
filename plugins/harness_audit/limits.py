"""Cases of gates that compare a value with a limit: `min`, `max`, `corrected`, `max_unscored`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from harness.api import Calibration, Gate, HarnessError
from harness.api.stats import binomial_power, detectable, gate_kind, metric_kind, require_valid, samples_needed
from harness_audit.injections import Injection, Lose, Misread, Study, aimed, truth
from harness_audit.population import CANDIDATE, Population
from harness_audit.replay import Case, Cost, Part

SENSITIVITY, SPECIFICITY = 0.90, 0.92
"""Of the labellers that err alike in both arms."""
STUDY = 100
"""Events, and as many others, that somebody labels by hand to know the labeller."""


def limit_cases(population: Population, metric: str) -> Iterator[Case]:
    """Yield the cases of one metric: exactly on the line, on the good side of it, and with rows that went missing."""
    if metric_kind(population.metrics[metric]).shares:
        for kind, limit in (("max", 0.30), ("max", 0.10), ("min", 0.90)):
            yield from _on_the_line(population, Gate(metric=metric, kind=kind, limit=limit))
        if not population.clustered:
            yield from _missing(population, Gate(metric=metric, kind="max", limit=0.30))
            yield from corrected_cases(population, metric)
            yield _counted(population, metric)
    else:
        at = truth(population, (), metric, "value")
        for kind in ("min", "max"):
            gate = Gate(metric=metric, kind=kind, limit=at)
            if possible(population, gate):
                yield case(population, gate, (), f"the value is the limit, {at:.4g}, as recorded", allowed=gate.alpha)


def possible(population: Population, gate: Gate, units: int | None = None) -> bool:
    """Tell whether a gate is valid, and can be passed by so many samples or clusters; None is all samples."""
    metric = population.metrics[gate.metric]
    try:
        require_valid(gate, metric)
    except HarnessError:
        return False
    needed = samples_needed(gate, metric)
    return needed is not None and (len(population) if units is None else units) >= needed


def case(
    population: Population, gate: Gate, injections: tuple[Injection, ...], says: str, *, n: int | None = None,
    plan: Callable[[], float] | None = None, allowed: float = 0.05,
) -> Case:  # fmt: skip
    """Return a case of one gate on one suite.

    Args:
        population: of the gate's metric alone.
        gate: the condition.
        injections: under which `says` is true.
        says: the truth in words.
        n: samples; None is as many as were recorded.
        plan: finds the power, where the candidate is good.
        allowed: where it is not: how often it may pass; 0 claims that it never does.
    """
    from harness.api.stats import describe

    kind = f"{gate.kind}{' corrected' if gate.corrected else ''}{' with anchor' if gate.anchor else ''}"
    metric = population.metrics[gate.metric]
    size = n or len(population)
    cost: Cost = "middle" if _seldom_alike(population, gate, injections) else "low"
    cost = cost if metric_kind(metric).shares else "high"
    return Case(
        name=f"{population.suite} {gate.metric} {describe(gate)}: {says}"
        + ("" if n is None else f", {n} samples"),
        group=kind, condition=f"{gate.metric} {describe(gate)}", truth=says,
        claim="power" if plan is not None else "at most" if allowed else "never",
        parts=(Part(population=population, n=size, gates=(gate,), injections=injections),),
        allowed=allowed, plan=plan,
        cost=cost,
    )  # fmt: skip


def _seldom_alike(population: Population, gate: Gate, injections: tuple[Injection, ...]) -> bool:
    """Tell whether equal counts are so rare that remembering verdicts by them saves little."""
    lost = gate_kind(gate).compares and any(isinstance(injection, Lose) for injection in injections)
    return population.clustered or gate.corrected or gate.anchor is not None or lost


def _on_the_line(population: Population, gate: Gate) -> Iterator[Case]:
    if not possible(population, gate):
        return
    limit, metric, n = gate.limit or 0.0, population.metrics[gate.metric], len(population)
    shapes = (True, False) if population.clustered else (False,)
    for whole in shapes:
        injections = aimed(population, gate.metric, "value", limit, whole_clusters=whole)
        how = ", injected by whole clusters" if whole else ""
        yield case(population, gate, injections, f"the rate is exactly {100 * limit:g} %{how}", allowed=gate.alpha)
    distance = None if population.clustered else detectable(gate, metric, n)
    if distance is not None:
        above = gate_kind(gate).region(gate, metric).contains(limit + distance)
        good = limit + distance if above else limit - distance
        plan = partial(binomial_power, good, limit, n, gate.alpha, above=above)
        injections = aimed(population, gate.metric, "value", good)
        yield case(population, gate, injections, f"the rate is {100 * good:.1f} %", plan=plan)


def _missing(population: Population, gate: Gate) -> Iterator[Case]:
    if not possible(population, gate):
        return
    limit = gate.limit or 0.0
    injections = aimed(population, gate.metric, "value", limit)
    for share, value, how in ((0.05, None, "any 5 % are unscored"), (0.15, 1.0, "15 % of the events are unscored")):
        lose = Lose(metric=gate.metric, arm=CANDIDATE, chance=share, value=value)
        yield replace(
            case(
                population,
                gate,
                (*injections, lose),
                f"the rate is exactly {100 * limit:g} %, and {how}",
                allowed=gate.alpha,
            ),
            group="unscored",
        )


def _counted(population: Population, metric: str) -> Case:
    """About the very run: it is false only to pass a run with more unscored samples than the limit."""
    gate = Gate(metric=metric, kind="max_unscored", limit=0.05)
    lose = Lose(metric=metric, arm=CANDIDATE, chance=0.05)
    found = case(population, gate, (lose,), "each sample is unscored with a chance of 5 %", allowed=0.0)
    return replace(found, counts_alone=True)


def corrected_cases(population: Population, metric: str) -> Iterator[Case]:
    """Yield cases of a labeller that errs, whose errors are known from a study that is drawn anew each time.

    Each labeller errs to the candidate's favour, so that a gate which left the correction out would be caught. The same
    truth without `corrected` is outside what a gate promises: it is about the rate as labelled.
    """
    plain = Gate(metric=metric, kind="max", limit=0.30)
    for gate, sensitivity, specificity in (
        (replace(plain, corrected=True), 0.80, 0.98),
        (replace(plain, corrected=True, kind="min", limit=0.70), 0.98, 0.80),
    ):
        calibrated = _calibrated(population, metric, sensitivity, specificity)
        if not possible(calibrated, gate):
            return
        line = gate.limit or 0.0
        misread = Misread(metric=metric, arm=CANDIDATE, sensitivity=sensitivity, specificity=specificity)
        study = Study(metric=metric, sensitivity=sensitivity, specificity=specificity, events=STUDY, others=STUDY)
        yield case(
            calibrated, gate, (*aimed(population, metric, "value", line), misread, study),
            f"the true rate is exactly {100 * line:g} %, labelled with Se {sensitivity:g} and Sp {specificity:g}",
            allowed=gate.alpha,
        )  # fmt: skip
    limit = plain.limit or 0.0
    missing = Misread(metric=metric, arm=CANDIDATE, sensitivity=0.80, specificity=1.0)
    yield replace(
        case(
            population,
            plain,
            (*aimed(population, metric, "value", limit), missing),
            says=f"the true rate is exactly {100 * limit:g} %, but the labeller misses a fifth of it, uncorrected",
        ),
        group="critics that err",
        claim="outside",
    )


def _calibrated(population: Population, metric: str, sensitivity: float, specificity: float) -> Population:
    """Return the population with a metric whose labeller is known: what a gate is checked against before a run."""
    carrying = copy.copy(population.metrics[metric])
    carrying.calibration = Calibration(
        sensitivity=(round(sensitivity * STUDY), STUDY), specificity=(round(specificity * STUDY), STUDY)
    )
    return replace(population, metrics={metric: carrying})
