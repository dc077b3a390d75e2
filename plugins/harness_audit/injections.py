"""Injected effects: changes of drawn rows whose effect on the population is known exactly.

Each injection says twice what it does: `lay` changes the rows of one simulated run, at random where it is random, and
`expect` changes the population's rows to their expected values. Metrics are functions of summed rows, so that the
metric of the expected rows is what is true of the population that the runs are drawn from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from harness.api import Calibration
from harness.api.stats import bounds_of, is_weighted_mean, metric_kind
from harness_audit.population import ANCHOR, BASELINE, CANDIDATE, SCORED, UNSCORED, Drawn, Population

if TYPE_CHECKING:
    from harness.api import Metric


class Injection(Protocol):
    """A change of both arms' rows."""

    def lay(self, drawn: Drawn, generator: np.random.Generator) -> None:
        """Change a simulated run in place."""

    def expect(self, everything: Drawn) -> None:
        """Change the population's rows in place to what they are on average."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """The arms of each cluster change places with probability 1/2: no arm is better, yet they differ as often.

    R. A. Fisher, The Design of Experiments (1935), section 21.
    """

    def lay(self, drawn: Drawn, generator: np.random.Generator) -> None:
        """Toss a coin for each cluster, the same for all metrics."""
        tossed = (generator.random(int(drawn.labels.max()) + 1) < 0.5)[drawn.labels]
        for metric, first in drawn.arms[CANDIDATE].items():
            second = drawn.arms[BASELINE][metric]
            for name in ("values", "state"):
                one, other = getattr(first, name), getattr(second, name)
                one[tossed], other[tossed] = other[tossed].copy(), one[tossed].copy()

    def expect(self, everything: Drawn) -> None:
        """Give both arms the mean of both."""
        for metric, first in everything.arms[CANDIDATE].items():
            second = everything.arms[BASELINE][metric]
            first.values = 0.5 * (first.values + second.values)
            second.values = first.values.copy()


@dataclass(frozen=True, kw_only=True)
class Copy:
    """One arm gives exactly what another gives."""

    source: str = BASELINE
    target: str = CANDIDATE

    def lay(self, drawn: Drawn, generator: np.random.Generator) -> None:  # noqa: ARG002 - nothing is random
        """Copy the rows."""
        self.expect(drawn)

    def expect(self, everything: Drawn) -> None:
        """Copy the rows."""
        everything.arms[self.target] = {
            metric: column.copy() for metric, column in everything.arms[self.source].items()
        }


@dataclass(frozen=True, kw_only=True)
class Flip:
    """Rows of a proportion's candidate that are not `to` become so, each (or each cluster's) with the given chance."""

    metric: str
    to: float
    chance: float
    whole_clusters: bool = False

    def lay(self, drawn: Drawn, generator: np.random.Generator) -> None:
        """Flip rows."""
        column = drawn.arms[CANDIDATE][self.metric]
        if self.whole_clusters:
            hit = (generator.random(int(drawn.labels.max()) + 1) < self.chance)[drawn.labels]
        else:
            hit = generator.random(len(drawn.labels)) < self.chance
        column.values[hit & (column.state == SCORED), 0] = self.to

    def expect(self, everything: Drawn) -> None:
        """Move every row as far as it moves on average."""
        column = everything.arms[CANDIDATE][self.metric]
        at = column.state == SCORED
        column.values[at, 0] += self.chance * (self.to - column.values[at, 0])


@dataclass(frozen=True, kw_only=True)
class Replace:
    """Rows of a bounded mean's candidate become an end of its bounds, each with the given chance."""

    metric: str
    to: float
    chance: float

    def lay(self, drawn: Drawn, generator: np.random.Generator) -> None:
        """Replace rows."""
        column = drawn.arms[CANDIDATE][self.metric]
        hit = (generator.random(len(drawn.labels)) < self.chance) & (column.state == SCORED)
        column.values[hit, 0] = self.to * column.values[hit, 1]

    def expect(self, everything: Drawn) -> None:
        """Move every row as far as it moves on average."""
        column = everything.arms[CANDIDATE][self.metric]
        at = column.state == SCORED
        column.values[at, 0] += self.chance * (self.to * column.values[at, 1] - column.values[at, 0])


@dataclass(frozen=True, kw_only=True)
class Shift:
    """Every row of the candidate moves by the same amount for each unit of its weight (its last column)."""

    metric: str
    by: float

    def lay(self, drawn: Drawn, generator: np.random.Generator) -> None:  # noqa: ARG002 - nothing is random
        """Shift rows."""
        self.expect(drawn)

    def expect(self, everything: Drawn) -> None:
        """Shift rows."""
        column = everything.arms[CANDIDATE][self.metric]
        column.values[:, 0] += self.by * column.values[:, -1]


@dataclass(frozen=True, kw_only=True)
class Misread:
    """A binary labeller errs: of events it reports the share `sensitivity`, of the rest it clears `specificity`."""

    metric: str
    arm: str
    sensitivity: float
    specificity: float

    def lay(self, drawn: Drawn, generator: np.random.Generator) -> None:
        """Label each row anew."""
        column = drawn.arms[self.arm][self.metric]
        chance = np.where(column.values[:, 0] == 1.0, self.sensitivity, 1.0 - self.specificity)
        labelled = (generator.random(len(chance)) < chance).astype(np.float64)
        at = column.state == SCORED
        column.values[at, 0] = labelled[at]

    def expect(self, everything: Drawn) -> None:
        """Label each row as it is labelled on average."""
        column = everything.arms[self.arm][self.metric]
        at = column.state == SCORED
        values = column.values[at, 0]
        column.values[at, 0] = values * self.sensitivity + (1.0 - values) * (1.0 - self.specificity)


@dataclass(frozen=True, kw_only=True)
class Study:
    """Somebody labels so many events and so many others by hand, and counts how often the labeller agrees."""

    metric: str
    sensitivity: float
    specificity: float
    events: int
    others: int

    def lay(self, drawn: Drawn, generator: np.random.Generator) -> None:
        """Draw the study's counts."""
        drawn.calibrations[self.metric] = Calibration(
            sensitivity=(int(generator.binomial(self.events, self.sensitivity)), self.events),
            specificity=(int(generator.binomial(self.others, self.specificity)), self.others),
        )

    def expect(self, everything: Drawn) -> None:
        """Change nothing: a study tells of the labeller and not of the samples."""


@dataclass(frozen=True, kw_only=True)
class Lose:
    """Rows of one arm become unscored, each with the given chance: any row, or only those of one value."""

    metric: str
    arm: str
    chance: float
    value: float | None = None
    """The value whose rows are lost; None loses any."""

    def lay(self, drawn: Drawn, generator: np.random.Generator) -> None:
        """Lose rows."""
        column = drawn.arms[self.arm][self.metric]
        hit = (generator.random(len(drawn.labels)) < self.chance) & (column.state == SCORED)
        if self.value is not None:
            hit &= column.values[:, 0] == self.value
        column.state[hit] = UNSCORED

    def expect(self, everything: Drawn) -> None:
        """Change nothing: what is true of a sample does not depend on whether it could be scored."""


@dataclass(frozen=True, kw_only=True)
class Perfect:
    """Every sample that the metric applies to is scored, with its best value: no gate on it stands in the way."""

    metric: str
    value: float

    def lay(self, drawn: Drawn, generator: np.random.Generator) -> None:  # noqa: ARG002 - nothing is random
        """Set all rows."""
        self.expect(drawn)

    def expect(self, everything: Drawn) -> None:
        """Set all rows."""
        column = everything.arms[CANDIDATE][self.metric]
        column.state[column.state == UNSCORED] = SCORED
        column.values[:] = 1.0
        column.values[:, 0] = self.value


Measure = Literal["value", "difference", "anchor"]


def truth(population: Population, injections: Sequence[Injection], metric: str, measure: Measure) -> float:
    """Return what is true of the population with the injections: the candidate's value, or its difference to an arm."""
    everything = population.expected()
    for injection in injections:
        injection.expect(everything)

    def value(arm: str) -> float:
        column = everything.arms[arm][metric]
        return float(population.metrics[metric].estimate(column.values[column.state == SCORED].sum(axis=0)))

    if measure == "value":
        return value(CANDIDATE)
    return value(CANDIDATE) - value(BASELINE if measure == "difference" else ANCHOR)


def aimed(
    population: Population, metric: str, measure: Measure, target: float, *, before: Sequence[Injection] = (),
    after: Sequence[Injection] = (), whole_clusters: bool = False,
) -> tuple[Injection, ...]:  # fmt: skip
    """Return injections under which the truth is `target`, to 1e-9.

    Args:
        population: of runs.
        metric: whose truth it is.
        measure: the value, or the difference.
        target: in the metric's unit.
        before: injections that are laid first.
        after: injections that are laid afterwards and count too.
        whole_clusters: flip all samples of a cluster together.

    Raises:
        ValueError: where no change of the candidate leads there.
    """

    def found(extra: Sequence[Injection]) -> float:
        return truth(population, (*before, *extra, *after), metric, measure)

    at = found(())
    if abs(at - target) < 1e-12:
        return (*before, *after)
    make = _maker(population.metrics[metric], metric, rise=target > at, whole_clusters=whole_clusters)
    low, high = 0.0, 1.0
    while (found([make(high)]) - target) * (at - target) > 0:
        if not isinstance(make(high), Shift) or high > 1e6:
            raise ValueError(f"no change of {metric} leads from {at:g} to {target:g}")
        high *= 2.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        if (found([make(middle)]) - target) * (at - target) > 0:
            low = middle
        else:
            high = middle
    return (*before, make(high), *after)


def _maker(metric: Metric, name: str, *, rise: bool, whole_clusters: bool) -> Callable[[float], Injection]:
    """Return how to inject a change of a size, which is a chance for a bounded metric."""
    bounds = bounds_of(metric)
    if metric_kind(metric).shares:
        return lambda size: Flip(metric=name, to=1.0 if rise else 0.0, chance=size, whole_clusters=whole_clusters)
    if bounds is not None and is_weighted_mean(metric):
        return lambda size: Replace(metric=name, to=bounds[1] if rise else bounds[0], chance=size)
    return lambda size: Shift(metric=name, by=size if rise else -size)


def lay_all(injections: Sequence[Injection], drawn: Drawn, generator: np.random.Generator) -> Drawn:
    """Lay all injections in order, and return the run."""
    for injection in injections:
        injection.lay(drawn, generator)
    return drawn
