"""Two runs on the same samples: the difference of a metric, candidate minus baseline, with its interval and p."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.stats.assess import cluster_obstacle
from harness.stats.interval import RESAMPLES, Inference, Interval, Spread, reach_of
from harness.stats.kind import Values
from harness.stats.kinds import kind_of
from harness.stats.pairing import pair

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from harness.stats.kind import MetricKind, Sampled
    from harness.stats.table import MetricTable


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
    rare: str = ""
    """Of a metric without a range: why rare texts keep a gate open. It is no obstacle to the precision check, since
    rounding has no such tail."""
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
    how = Inference(alpha=alpha, null=null, seed=seed, resamples=resamples)
    arms = _Arms.of(candidate, baseline)
    both = arms.subset(arms.scored_in_both)
    values: Values = (None, None)
    found = Interval(low=None, high=None, method="none", note="no pair is scored in both runs")
    gains = losses = None
    if len(both.first):
        first, second = both.sampled()
        values, found = arms.kind.difference(candidate.metric, first, second, how)
        gains, losses = arms.kind.changes(first, second)
    difference = _minus(values)
    worst: Values = (difference, difference)
    if len(both.first) < len(arms.first):
        found, worst = arms.worst(found, difference, how)
    obstacle = "no pair could be scored in both runs" if difference is None else ""
    return Comparison(
        metric=candidate.metric.name, difference=difference, candidate=values[0], baseline=values[1],
        low=found.low, high=found.high, p_above=found.p_above, p_below=found.p_below, null=null, alpha=alpha,
        method=found.method, n=len(arms.first), unscored=len(arms.first) - len(both.first), worst=worst,
        gains=gains, losses=losses, note=found.note, spread=found.spread,
        obstacle=obstacle or cluster_obstacle(candidate.groups(arms.first)), rare=found.obstacle,
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

    @property
    def kind(self) -> MetricKind:
        return kind_of(self.candidate.metric)

    def sampled(
        self, first: NDArray[np.float64] | None = None, second: NDArray[np.float64] | None = None
    ) -> tuple[Sampled, Sampled]:
        """Return both arms, with rows in the place of theirs where some are unscored; clusters are the candidate's."""
        own, its = self.candidate.sampled(self.first, first), self.baseline.sampled(self.second, second)
        return own, replace(its, groups=own.groups)

    def worst(self, found: Interval, difference: float | None, how: Inference) -> tuple[Interval, Values]:
        """Return the interval, and the least and greatest difference, that the unscored samples allow."""
        metric = self.candidate.metric
        reach = reach_of(self.kind.bounds(metric))
        least = self.candidate.filled(self.first, "least"), self.baseline.filled(self.second, "greatest")
        greatest = self.candidate.filled(self.first, "greatest"), self.baseline.filled(self.second, "least")
        if difference is None or any(rows is None for rows in (*least, *greatest)):
            anything = Interval(low=None, high=None, method=found.method, note="unscored samples can be anything")
            return anything.within(reach), reach or (None, None)
        how = replace(how, filled=True)
        lowest, low = self.kind.difference(metric, *self.sampled(*least), how)
        highest, high = self.kind.difference(metric, *self.sampled(*greatest), how)
        return found.hull(low).hull(high), (_minus(lowest), _minus(highest))


def _minus(values: Values) -> float | None:
    return None if values[0] is None or values[1] is None else values[0] - values[1]
