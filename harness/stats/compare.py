"""Two runs on the same samples: the difference of a metric, candidate minus baseline, with its interval and p."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.stats.assess import cluster_obstacle
from harness.stats.bootstrap import RESAMPLES
from harness.stats.interval import Interval, Spread
from harness.stats.pairing import pair
from harness.stats.procedures import corpus_difference, proportion_difference, weighted_difference
from harness.stats.worst_case import bounds_of, fill

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.stats.table import MetricTable

Values = tuple[float | None, float | None]
"""Of candidate and baseline."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What one procedure says of the difference of a metric between two runs."""

    metric: str
    difference: float | None
    """Candidate minus baseline over the pairs scored in both, in the metric's unit; None where there are none."""
    candidate: float | None
    baseline: float | None
    """The values on those same pairs."""
    low: float | None
    high: float | None
    """Bounds at one-sided level `alpha` each, whatever the unscored samples were."""
    p_above: float | None
    """p of "the difference is at most `null`" against "it is above"."""
    p_below: float | None
    """p of "the difference is at least `null`" against "it is below"."""
    null: float
    alpha: float
    method: str
    n: int
    """Pairs in the denominator, those with an unscored side included."""
    unscored: int
    """Pairs with at least one unscored side."""
    worst: tuple[float | None, float | None] = (None, None)
    """Least and greatest difference that the unscored samples allow; None where they allow any."""
    gains: int | None = None
    """For proportions: pairs, scored in both, with the event in the candidate alone."""
    losses: int | None = None
    """For proportions: pairs, scored in both, with the event in the baseline alone."""
    obstacle: str = ""
    """Why nothing can be decided, whatever the interval; empty where there is no such reason."""
    note: str = ""
    spread: Spread | None = None
    """For means of bounded scores."""

    @property
    def discordant(self) -> int | None:
        """For proportions: pairs that differ, of those scored in both."""
        return None if self.gains is None or self.losses is None else self.gains + self.losses

    @property
    def p(self) -> float | None:
        """The two-sided p of "the difference is `null`": twice the smaller one-sided p, at most 1."""
        if self.p_above is None or self.p_below is None:
            return None
        return min(1.0, 2.0 * min(self.p_above, self.p_below))


def compare(
    candidate: MetricTable, baseline: MetricTable, *, alpha: float = 0.05, null: float = 0.0, seed: int = 0,
    resamples: int = RESAMPLES,
) -> Comparison:  # fmt: skip
    """Compare a metric between two runs, sample by sample.

    A sample that applies in one run only counts as unscored in the other. Unscored sides are taken at whichever end of
    the metric's bounds is worse for each bound; for a metric without bounds no bound remains.

    Args:
        candidate: rows of the candidate's run.
        baseline: rows of the baseline's run, on the same samples in any order.
        alpha: one-sided level of each bound.
        null: the difference to test against.
        seed: of the resampling.
        resamples: how many, where the procedure resamples.

    Raises:
        InputError: where the samples of the two runs differ in id or content.
    """
    arms = _Arms.of(candidate, baseline)
    both = arms.subset(arms.scored_in_both)
    values: Values = (None, None)
    found = Interval(low=None, high=None, method="none", note="no pair is scored in both runs")
    gains = losses = None
    if len(both.first):
        values, found = both.procedure(both.rows("first"), both.rows("second"), alpha, null, seed, resamples)
        if candidate.metric.kind == "proportion":
            changes = both.rows("first")[:, 0] - both.rows("second")[:, 0]
            gains, losses = int(np.count_nonzero(changes > 0)), int(np.count_nonzero(changes < 0))
    difference = None if values[0] is None or values[1] is None else values[0] - values[1]
    worst: tuple[float | None, float | None] = (difference, difference)
    if len(both.first) < len(arms.first):
        found, worst = arms.worst(found, alpha, null, seed, resamples, difference)
    obstacle = "no pair could be scored in both runs" if difference is None else ""
    return Comparison(
        metric=candidate.metric.name, difference=difference, candidate=values[0], baseline=values[1],
        low=found.low, high=found.high, p_above=found.p_above, p_below=found.p_below, null=null, alpha=alpha,
        method=found.method, n=len(arms.first), unscored=len(arms.first) - len(both.first), worst=worst,
        gains=gains, losses=losses, note=found.note, spread=found.spread,
        obstacle=obstacle or ("" if candidate.metric.kind == "run" else cluster_obstacle(candidate.groups(arms.first))),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class _Arms:
    """Two tables with the positions of their pairs."""

    candidate: MetricTable
    baseline: MetricTable
    first: NDArray[np.int64]
    second: NDArray[np.int64]

    @classmethod
    def of(cls, candidate: MetricTable, baseline: MetricTable) -> _Arms:
        first, second = pair(candidate, baseline)
        return cls(candidate=candidate, baseline=baseline, first=first, second=second)

    @property
    def scored_in_both(self) -> NDArray[np.bool_]:
        both: NDArray[np.bool_] = self.candidate.is_scored[self.first] & self.baseline.is_scored[self.second]
        return both

    def subset(self, keep: NDArray[np.bool_]) -> _Arms:
        return _Arms(candidate=self.candidate, baseline=self.baseline, first=self.first[keep], second=self.second[keep])

    def rows(self, arm: str) -> NDArray[np.float64]:
        return self.candidate.values(self.first) if arm == "first" else self.baseline.values(self.second)

    def procedure(
        self,
        candidate: NDArray[np.float64],
        baseline: NDArray[np.float64],
        alpha: float,
        null: float,
        seed: int,
        resamples: int,
        *,
        filled: bool = False,
    ) -> tuple[Values, Interval]:
        """Return both values and the interval of their difference, from complete rows, some perhaps `filled` in."""
        metric, groups = self.candidate.metric, self.candidate.groups(self.first)
        if metric.kind == "corpus":
            left, right = self.candidate.records or (), self.baseline.records or ()
            first, second, found = corpus_difference(
                metric, [left[i] for i in self.first], [right[i] for i in self.second], groups, alpha, null, seed
            )
            return _defined(first, second), found
        with np.errstate(all="ignore"):
            values = _defined(
                float(metric.estimate(candidate.sum(axis=0))), float(metric.estimate(baseline.sum(axis=0)))
            )
        if None in values:
            return values, Interval(low=None, high=None, method="none", note="the value is not defined on these pairs")
        if metric.kind == "run":
            return values, Interval(low=None, high=None, method="one measurement each")
        if metric.kind == "proportion":
            return values, proportion_difference(candidate, baseline, groups, alpha, null)
        found = weighted_difference(metric, candidate, baseline, groups, alpha, null, seed, resamples, filled=filled)
        return values, found

    def worst(
        self, found: Interval, alpha: float, null: float, seed: int, resamples: int, difference: float | None
    ) -> tuple[Interval, Values]:
        """Return the interval, and the least and greatest difference, that the unscored samples allow."""
        bounds = bounds_of(self.candidate.metric)
        reach = None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0])
        least = fill(self.candidate, self.first, "least"), fill(self.baseline, self.second, "greatest")
        greatest = fill(self.candidate, self.first, "greatest"), fill(self.baseline, self.second, "least")
        if difference is None or least[0] is None or least[1] is None or greatest[0] is None or greatest[1] is None:
            anything = Interval(low=None, high=None, method=found.method, note="unscored samples can be anything")
            return anything.within(reach), reach or (None, None)
        lowest, low = self.procedure(least[0], least[1], alpha, null, seed, resamples, filled=True)
        highest, high = self.procedure(greatest[0], greatest[1], alpha, null, seed, resamples, filled=True)
        return found.hull(low).hull(high), (_minus(lowest), _minus(highest))


def _defined(first: float, second: float) -> Values:
    return (first if math.isfinite(first) else None), (second if math.isfinite(second) else None)


def _minus(values: Values) -> float | None:
    return None if values[0] is None or values[1] is None else values[0] - values[1]
