"""Gates by few labels of people: made-up runs, a part of them labelled, under critics that are good, drift or guess."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.api import DrawnSample, Gate, HumanLabels, LabelSample
from harness.api.stats import describe
from harness_audit.population import BASELINE, CANDIDATE, SCORED, Column, Drawn, Population
from harness_audit.replay import Case, Part
from harness_audit.ugly import Share

if TYPE_CHECKING:
    from numpy.typing import NDArray

GROUP = "few labels"
SAMPLES = 400
_METRIC = "share"


@dataclass(frozen=True, kw_only=True)
class Critic:
    """How often a critic is right, on samples that are easy and on the quarter that is hard for it."""

    name: str
    sensitivity: float
    specificity: float
    hard: float | None = None
    """Share of right verdicts on the hard quarter; None where it has none."""

    def says(self, truth: NDArray[np.bool_], generator: np.random.Generator) -> NDArray[np.float64]:
        """Return its verdicts, 1 or 0, shape as `truth`."""
        right = np.where(truth, self.sensitivity, self.specificity)
        if self.hard is not None:
            right = np.where(hard_ones(len(truth)), self.hard, right)
        return np.where(generator.random(len(truth)) < right, truth, ~truth).astype(np.float64)


GOOD = Critic(name="a good critic (Se 0.9, Sp 0.95)", sensitivity=0.9, specificity=0.95)
DRIFTED = Critic(name="a critic that drifted (Se 0.45, Sp 0.98)", sensitivity=0.45, specificity=0.98)
COIN = Critic(name="a coin", sensitivity=0.5, specificity=0.5)
UNSURE = Critic(name="a critic that is a coin on a quarter", sensitivity=0.95, specificity=0.95, hard=0.5)


def hard_ones(n: int) -> NDArray[np.bool_]:
    """Return which of n samples are the hard quarter."""
    return np.arange(n) < n // 4


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledRuns(Population):
    """Runs whose truth is drawn, that a critic judges, and of which people label a part without error."""

    critic: Critic
    rates: tuple[float, float, float]
    """Of samples with the event in both arms, in the candidate alone, in the baseline alone."""
    labelled: int
    stratified: bool = False
    """Whether the hard quarter gets 45 % of the labels."""

    def draw(self, n: int, generator: np.random.Generator) -> Drawn:
        """Return one run of both arms, with labels."""
        both, gains, losses = self.rates
        drawn = generator.random(n)
        own = drawn < both + gains
        its = (drawn < both) | ((drawn >= both + gains) & (drawn < both + gains + losses))
        strata = {"hard": np.flatnonzero(hard_ones(n)), "easy": np.flatnonzero(~hard_ones(n))}
        sizes = {"hard": round(0.45 * self.labelled), "easy": self.labelled - round(0.45 * self.labelled)}
        if not self.stratified:
            strata, sizes = {"all": np.arange(n)}, {"all": self.labelled}
        chosen = {name: generator.permutation(members)[: sizes[name]] for name, members in strata.items()}
        sample = LabelSample(
            run="made up", samples_sha256="", metric=_METRIC, population="", by="uniform", seed=0,
            strata={name: tuple(f"s{i}" for i in members.tolist()) for name, members in strata.items()},
            drawn=tuple(
                DrawnSample(id=f"s{i}", content_hash="", reply_sha256="", probability=len(ids) / len(strata[name]))
                for name, ids in chosen.items()
                for i in ids.tolist()
            ),
        )  # fmt: skip
        arms, people = {}, {}
        for arm, truth in ((CANDIDATE, own), (BASELINE, its)):
            said = self.critic.says(truth, generator)
            values = np.column_stack([said, np.ones(n)])
            arms[arm] = {_METRIC: Column(values=values, state=np.full(n, SCORED, dtype=np.int8))}
            labels: Mapping[str, float | None] = {one.id: float(truth[int(one.id[1:])]) for one in sample.drawn}
            people[arm] = HumanLabels(sample=sample, labels=labels, raters=1)
        return Drawn(arms=arms, labels=np.arange(n), people=people)


def labelled_cases() -> Iterator[Case]:
    """Yield a case for each gate and critic: the truth lies on the gate's line, and may pass as often as alpha says."""
    most = Gate(metric=_METRIC, kind="max", limit=0.1, correction="prediction_powered")
    least = Gate(metric=_METRIC, kind="min", limit=0.9, correction="prediction_powered")
    margin = Gate(metric=_METRIC, kind="non_inferior", to="promoted", margin=0.1, correction="prediction_powered")
    truths = (
        (most, "the true rate is exactly 10 %", (0.1, 0.0, 0.0)),
        (least, "the true rate is exactly 90 %", (0.9, 0.0, 0.0)),
        (margin, "worse by the margin", (0.2, 0.12, 0.02)),
    )
    for gate, says, rates in truths:
        for critic in (GOOD, DRIFTED, COIN):
            yield _case(gate, says, _runs(critic, rates, 100))
        yield _case(gate, says, _runs(GOOD, rates, 50))
    yield _case(most, truths[0][1], _runs(UNSURE, truths[0][2], 100, stratified=True))


def _runs(
    critic: Critic, rates: tuple[float, float, float], labelled: int, *, stratified: bool = False
) -> LabelledRuns:
    return LabelledRuns(
        suite=GROUP, source="made up", metrics={_METRIC: Share()}, arms={}, clusters=np.arange(SAMPLES), critic=critic,
        rates=rates, labelled=labelled, stratified=stratified,
    )  # fmt: skip


def _case(gate: Gate, says: str, population: LabelledRuns) -> Case:
    where = ", 45 of them in its quarter" if population.stratified else ""
    truth = f"{says}; {population.critic.name}; {population.labelled} labels{where}"
    return Case(
        name=f"{GROUP} {describe(gate)}: {truth}", group=GROUP, condition=f"{_METRIC} {describe(gate)} by labels",
        truth=truth, claim="at most", parts=(Part(population=population, n=SAMPLES, gates=(gate,)),),
        allowed=gate.alpha, cost="high",
    )  # fmt: skip
