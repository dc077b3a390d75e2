"""The populations that an audit draws runs from: real rows of two arms, in whole clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from harness.api import NotApplicable, Row, Unscored

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.api import Calibration, HumanLabels, Metric

CANDIDATE, BASELINE, ANCHOR = "candidate", "baseline", "anchor"
SCORED, UNSCORED, ABSENT = 0, 1, 2
"""What a column says of a sample: it has a row, it could not be scored, or the metric does not apply."""


@dataclass(kw_only=True, eq=False)
class Column:
    """One metric's rows on one arm."""

    values: NDArray[np.float64]
    """Shape (n, k); zeros where a sample has no row."""
    state: NDArray[np.int8]
    """SCORED, UNSCORED or ABSENT, shape (n,)."""

    def take(self, at: NDArray[np.int64]) -> Column:
        """Return the rows at positions `at`, as a copy."""
        return Column(values=self.values[at], state=self.state[at])

    def copy(self) -> Column:
        """Return a copy that can be changed."""
        return Column(values=self.values.copy(), state=self.state.copy())

    @classmethod
    def of(cls, rows: Sequence[Row | Unscored | NotApplicable]) -> Column:
        """Return the column of a metric's rows; a row with a number that is not finite is unscored."""
        width = max((len(row) for row in rows if isinstance(row, tuple)), default=2)
        values = np.zeros((len(rows), width))
        state = np.full(len(rows), UNSCORED, dtype=np.int8)
        for place, row in enumerate(rows):
            if isinstance(row, tuple) and bool(np.isfinite(row).all()):
                values[place], state[place] = row, SCORED
            elif isinstance(row, NotApplicable):
                state[place] = ABSENT
        return cls(values=values, state=state)


Columns = dict[str, dict[str, Column]]
"""By arm and metric."""


@dataclass(kw_only=True, eq=False)
class Drawn:
    """One simulated run of both arms, before its gates are checked. Injections change it in place."""

    arms: Columns
    labels: NDArray[np.int64]
    """The cluster of each sample, shape (n,)."""
    calibrations: dict[str, Calibration] = field(default_factory=dict)
    """By metric: what a study of its labeller would have found."""
    people: dict[str, HumanLabels] = field(default_factory=dict)
    """By arm: what people say of some samples, for gates that go by it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Population:
    """Rows of a suite's metrics on two arms: what a simulated run is drawn from, whole clusters with replacement."""

    suite: str
    source: str
    """Where the rows come from, for people."""
    metrics: Mapping[str, Metric]
    arms: Mapping[str, Mapping[str, Column]]
    """Of candidate and baseline, by metric."""
    clusters: NDArray[np.int64]
    """Of each sample, numbered from 0."""

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.clusters)

    @cached_property
    def strata(self) -> list[list[NDArray[np.int64]]]:
        """Clusters, each as positions of its samples, in groups whose samples count for the same metrics.

        Drawing within them keeps the number of samples of every metric, as in a suite whose samples are given.
        """
        shapes = np.stack(
            [self.arms[CANDIDATE][name].state == ABSENT for name in self.metrics]
            + [self.arms[BASELINE][name].state == ABSENT for name in self.metrics],
            axis=1,
        )
        order = np.argsort(self.clusters, kind="stable")
        cuts = np.flatnonzero(np.diff(self.clusters[order])) + 1
        groups: dict[bytes, list[NDArray[np.int64]]] = {}
        for positions in np.split(order, cuts):
            key = np.sort(np.packbits(shapes[positions], axis=1), axis=0).tobytes()
            groups.setdefault(key, []).append(positions)
        return list(groups.values())

    def only(self, metric: str, *, complete: bool = True) -> Population:
        """Return the samples that count for one metric, and where `complete`, that both arms scored."""
        keep = np.ones(len(self), dtype=np.bool_)
        for arm in self.arms.values():
            keep &= arm[metric].state == SCORED if complete else arm[metric].state != ABSENT
        at = np.flatnonzero(keep).astype(np.int64)
        return Population(
            suite=self.suite, source=self.source, metrics={metric: self.metrics[metric]},
            arms={name: {metric: arm[metric].take(at)} for name, arm in self.arms.items()},
            clusters=np.unique(self.clusters[at], return_inverse=True)[1].astype(np.int64),
        )  # fmt: skip

    def complete(self) -> Population:
        """Return the population in which a metric applies only where both arms scored it: its truth is known."""
        arms: dict[str, dict[str, Column]] = {arm: {} for arm in self.arms}
        for metric in self.metrics:
            columns = {arm: columns[metric].copy() for arm, columns in self.arms.items()}
            lost = np.any([column.state != SCORED for column in columns.values()], axis=0)
            for arm, column in columns.items():
                column.state[lost] = ABSENT
                arms[arm][metric] = column
        return replace(self, arms=arms)

    @property
    def clustered(self) -> bool:
        """Whether any cluster holds several samples."""
        return len(np.unique(self.clusters)) < len(self)

    def draw(self, n: int, generator: np.random.Generator) -> Drawn:
        """Return about `n` samples: whole clusters, as many from each stratum as its share of the population."""
        share = n / len(self)
        chosen: list[NDArray[np.int64]] = []
        labels: list[NDArray[np.int64]] = []
        count = 0
        for stratum in self.strata:
            size = max(1, round(share * len(stratum)))
            drawn = generator.integers(0, len(stratum), size)
            if all(len(positions) == 1 for positions in stratum):
                chosen.append(np.concatenate(stratum)[drawn])
                labels.append(np.arange(count, count + size))
            else:
                picked = [stratum[index] for index in drawn]
                chosen.extend(picked)
                labels.append(np.repeat(np.arange(count, count + size), [len(positions) for positions in picked]))
            count += size
        at = np.concatenate(chosen)
        arms = {
            name: {metric: column.take(at) for metric, column in columns.items()}
            for name, columns in self.arms.items()
        }  # fmt: skip
        return Drawn(arms=arms, labels=np.concatenate(labels).astype(np.int64))

    def expected(self) -> Drawn:
        """Return all samples once: injections that are laid on it by `expect` give what is true of the population."""
        arms = {
            name: {metric: column.copy() for metric, column in columns.items()} for name, columns in self.arms.items()
        }
        return Drawn(arms=arms, labels=self.clusters.copy())
