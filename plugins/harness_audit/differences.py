"""Cases of gates that compare with another run: `non_inferior`, `superior`, `equivalent`, anchors, attempts, looks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from harness.api import Gate
from harness.api.stats import is_weighted_mean, metric_kind
from harness_audit.injections import Copy, Exchange, Injection, Lose, Misread, aimed
from harness_audit.limits import SENSITIVITY, SPECIFICITY, case, possible
from harness_audit.planned import detectable_difference, planned_power
from harness_audit.population import ANCHOR, BASELINE, CANDIDATE, Population
from harness_audit.replay import Case

MARGINS = (0.05, 0.08, 0.15, 0.25)
"""Of proportions: the smallest that so many samples can pass at all is taken, and the next one."""
ATTEMPTS = 10
_GOOD = {"higher": 1.0, "lower": -1.0}


def difference_cases(population: Population, metric: str, *, seed: int) -> Iterator[Case]:
    """Yield the cases of one metric: exactly at a margin, equal, better, with missing rows, and again and again."""
    if population.metrics[metric].direction == "neither" or not _differ(population, metric):
        return
    if metric_kind(population.metrics[metric]).shares:
        margins = [m for m in MARGINS if _possible(population, _not_worse(metric, m))][:2]
        for margin in margins:
            yield from _non_inferior(population, metric, margin, seed)
        if margins and not population.clustered:
            yield from _missing(population, metric, margins[-1])
            yield from _critics(population, metric, margins[-1])
            yield from _anchored(population, metric, margins[-1])
    else:
        margins = [detectable_difference(population, _not_worse(metric, 1.0), seed=seed)]
        if is_weighted_mean(population.metrics[metric]) or population.metrics[metric].bounds is None:
            yield from _non_inferior(population, metric, float(f"{margins[0]:.3g}"), seed)
    yield from _superior(population, metric, seed)
    if margins:
        yield from _equivalent(population, metric, float(f"{margins[-1]:.3g}"), seed)


def _differ(population: Population, metric: str) -> bool:
    first, second = (population.arms[arm][metric].values for arm in (CANDIDATE, BASELINE))
    return bool(np.count_nonzero((first != second).any(axis=1)) >= 5)


def _not_worse(metric: str, margin: float) -> Gate:
    return Gate(metric=metric, kind="non_inferior", to="promoted", margin=margin)


def _possible(population: Population, gate: Gate) -> bool:
    return possible(population, gate, units=len(np.unique(population.clusters)))


def _try(
    population: Population, metric: str, target: float, *, before: tuple[Injection, ...] = (), whole: bool = False
) -> tuple[Injection, ...] | None:
    try:
        return aimed(population, metric, "difference", target, before=before, whole_clusters=whole)
    except ValueError:
        return None


def _points(population: Population, metric: str, value: float) -> str:
    if metric_kind(population.metrics[metric]).shares:
        return f"{100 * value:+.3g} points"
    return f"{value:+.3g}"


def _non_inferior(population: Population, metric: str, margin: float, seed: int) -> Iterator[Case]:
    gate = _not_worse(metric, margin)
    lost = -_GOOD[population.metrics[metric].direction] * margin
    at = f"the difference is exactly the margin ({_points(population, metric, lost)})"
    starts: list[tuple[tuple[Injection, ...], str, bool]] = [
        ((), f"{at}, injected on the pair as recorded", False),
        ((Exchange(),), f"{at}, injected on arms exchanged at random", False),
    ]
    if metric_kind(population.metrics[metric]).shares:
        starts.append(((Copy(),), f"{at}, injected on a copy: losses alone", False))
    if population.clustered:
        starts.append(((Copy(),), f"{at}, injected on a copy by whole clusters", True))
    for before, says, whole in starts:
        injections = _try(population, metric, lost, before=before, whole=whole)
        if injections is not None:
            yield case(population, gate, injections, says, allowed=gate.alpha)
    equal: tuple[Injection, ...] = (Exchange(),)
    plan = partial(planned_power, population, equal, gate, margin, len(population), seed=seed)
    yield case(population, gate, equal, "equal arms that differ as often as recorded", plan=plan)
    better = _try(population, metric, -0.5 * lost, before=equal)
    if better is not None:
        plan = partial(planned_power, population, better, gate, 1.5 * margin, len(population), seed=seed)
        yield case(population, gate, better, "better by half the margin", plan=plan)


def _superior(population: Population, metric: str, seed: int) -> Iterator[Case]:
    gate = Gate(metric=metric, kind="superior", to="promoted")
    yield case(population, gate, (Exchange(),), "equal arms that differ as often as recorded", allowed=gate.alpha)
    if metric_kind(population.metrics[metric]).shares:
        yield case(population, gate, (Copy(),), "an exact copy", allowed=0.0)
        if not population.clustered:
            yield from _again_and_again(population, gate)
    gain = _GOOD[population.metrics[metric].direction] * detectable_difference(population, gate, seed=seed)
    injections = _try(population, metric, gain, before=(Exchange(),))
    if injections is not None and gain != 0.0 and not math.isnan(gain):
        plan = partial(planned_power, population, injections, gate, gain, len(population), seed=seed)
        yield case(population, gate, injections, f"better by {_points(population, metric, gain)}", plan=plan)


def _again_and_again(population: Population, gate: Gate) -> Iterator[Case]:
    """Equal candidates, night after night, until one passes; and the same without a budget, which nobody promises."""
    one = case(population, gate, (Exchange(),), f"{ATTEMPTS} equal candidates in a row", allowed=gate.alpha)
    yield replace(one, group="attempts", attempts=ATTEMPTS)
    yield replace(
        one, name=f"{one.name}, without a budget", truth=f"{one.truth}, each at the whole level", group="attempts",
        attempts=ATTEMPTS, budgeted=False, claim="outside",
    )  # fmt: skip
    n = len(population)
    looks = (n // 3, 2 * n // 3, n)
    yield replace(
        one, name=f"{one.name}, {len(looks)} looks", truth=f"equal arms, looked at {len(looks)} times: {looks}",
        group="attempts", looks=looks,
    )  # fmt: skip


def _equivalent(population: Population, metric: str, margin: float, seed: int) -> Iterator[Case]:
    gate = Gate(metric=metric, kind="equivalent", to="promoted", margin=margin)
    for target in (margin, -margin):
        injections = _try(population, metric, target, before=(Exchange(),))
        if injections is not None:
            says = f"the difference is exactly {_points(population, metric, target)}"
            yield case(population, gate, injections, says, allowed=gate.alpha)
    equal: tuple[Injection, ...] = (Exchange(),)
    plan = partial(planned_power, population, equal, gate, margin, len(population), seed=seed)
    yield case(population, gate, equal, "equal arms that differ as often as recorded", plan=plan)


def _missing(population: Population, metric: str, margin: float) -> Iterator[Case]:
    gate = _not_worse(metric, margin)
    higher = population.metrics[metric].direction == "higher"
    lost = -margin if higher else margin
    injections = _try(population, metric, lost)
    if injections is None:
        return
    bad = 0.0 if higher else 1.0
    any_of, own, other = (
        "any 4 % of either arm",
        "a quarter of its bad results",
        "a quarter of the other's good results",
    )
    for how, loses in (
        (any_of, tuple(Lose(metric=metric, arm=arm, chance=0.04) for arm in (CANDIDATE, BASELINE))),
        (own, (Lose(metric=metric, arm=CANDIDATE, chance=0.25, value=bad),)),
        (other, (Lose(metric=metric, arm=BASELINE, chance=0.25, value=1.0 - bad),)),
    ):
        yield replace(
            case(
                population,
                gate,
                (*injections, *loses),
                f"the difference is exactly the margin, and {how} are unscored",
                allowed=gate.alpha,
            ),
            group="unscored",
        )


def _critics(population: Population, metric: str, margin: float) -> Iterator[Case]:
    """A labeller that errs alike in both arms does not make equal arms differ; all else is outside the promise."""
    errs = {"sensitivity": SENSITIVITY, "specificity": SPECIFICITY}
    alike = tuple(Misread(metric=metric, arm=arm, **errs) for arm in (CANDIDATE, BASELINE))
    named = f"a labeller with Se {SENSITIVITY:g} and Sp {SPECIFICITY:g} in both arms"
    superior = Gate(metric=metric, kind="superior", to="promoted")
    gate = _not_worse(metric, margin)
    lost = -margin if population.metrics[metric].direction == "higher" else margin
    yield replace(
        case(
            population, superior, (Exchange(), *alike), f"truly equal arms, labelled by {named}", allowed=superior.alpha
        ),
        group="critics that err",
    )
    try:
        labelled = aimed(population, metric, "difference", lost, after=alike)
    except ValueError:
        labelled = None
    if labelled is not None:
        yield replace(
            case(
                population,
                gate,
                labelled,
                f"the difference as labelled is exactly the margin, by {named}",
                allowed=gate.alpha,
            ),
            group="critics that err",
        )
    true = _try(population, metric, lost)
    if true is not None:
        yield replace(
            case(population, gate, (*true, *alike), f"the true difference is exactly the margin, labelled by {named}"),
            claim="outside",
            group="critics that err",
        )
    kinder = (errs | {"sensitivity": 0.8}) if population.metrics[metric].direction == "lower" else (
        errs | {"specificity": 0.8}
    )  # fmt: skip
    unequal = (Misread(metric=metric, arm=CANDIDATE, **kinder), Misread(metric=metric, arm=BASELINE, **errs))
    yield replace(
        case(population, superior, (Exchange(), *unequal), "truly equal arms, and a labeller kinder to the candidate"),
        claim="outside",
        group="critics that err",
    )


def _anchored(population: Population, metric: str, margin: float) -> Iterator[Case]:
    """The last of many small steps: equal to what is promoted, and at the total margin from the anchor."""
    total = 1.5 * margin
    gate = Gate(metric=metric, kind="non_inferior", to="promoted", margin=margin, anchor="base", total_margin=total)
    lost = -_GOOD[population.metrics[metric].direction] * total
    keep = Copy(source=BASELINE, target=ANCHOR)
    starts: tuple[tuple[Injection, ...], ...] = ((keep,), (Exchange(), keep))
    injections = next((found for start in starts if (found := _try(population, metric, lost, before=start))), None)
    if injections is not None:
        says = f"equal to what is promoted, and exactly {_points(population, metric, lost)} from the anchor"
        yield case(population, gate, (*injections, Copy(source=CANDIDATE, target=BASELINE)), says, allowed=gate.alpha)
