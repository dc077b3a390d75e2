"""How often gates would pass, all together: runs drawn from stored rows under a stated truth, decided as real ones are.

Whole clusters are drawn with replacement from the stored samples, within groups that count for the same metrics. Under
the truth "equal" the arms of every drawn cluster are exchanged at random, so that no arm is better and yet they differ
on as many samples as the stored runs did (the permutation argument: R. A. Fisher, The Design of Experiments, 1935,
section 21). An injected change is then laid on the candidate alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from harness.api import InputError, NoProgress, NotApplicable, Row, Unscored
from harness.api.stats import MetricTable, check_gate, is_weighted_mean, metric_kind
from harness.api.stats import gate_kind as kind_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.api import Gate, Metric, Progress, Status

CANDIDATE = ""
"""Name of the candidate's arm in a pool."""
RESAMPLES = 2_000
"""Of each simulated run: a bound moves by about one part in fifty of its distance from the value."""

Truth = Literal["equal", "seen"]
Column = Sequence[Row | Unscored | NotApplicable]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """Rows of one suite's metrics on several arms, over the same samples."""

    metrics: Mapping[str, Metric]
    """By name; of kinds proportion, mean and ratio alone."""
    clusters: Sequence[str | None]
    """Of each sample."""
    rows: Mapping[str, Mapping[str, Column]]
    """By arm and metric; `CANDIDATE` is one arm, the others are named as gates name them."""
    assumed: frozenset[str] = frozenset()
    """Metrics whose rows are the same in all arms for want of a second run: gates that compare cannot be simulated."""

    @cached_property
    def strata(self) -> list[list[NDArray[np.int64]]]:
        """The clusters, each as positions of its samples, in groups that count for the same metrics."""
        members: dict[tuple[str, str | int], list[int]] = {}
        for position, cluster in enumerate(self.clusters):
            key = ("alone", position) if cluster is None else ("cluster", cluster)
            members.setdefault(key, []).append(position)
        groups: dict[tuple[tuple[bool, ...], ...], list[NDArray[np.int64]]] = {}
        own = self.rows[CANDIDATE]
        for positions in members.values():
            shape = tuple(
                sorted(tuple(isinstance(own[name][at], NotApplicable) for name in self.metrics) for at in positions)
            )
            groups.setdefault(shape, []).append(np.array(positions, dtype=np.int64))
        return list(groups.values())

    def draw(self, n: int, truth: Truth, changes: Mapping[str, float], seed: int) -> dict[str, dict[str, MetricTable]]:
        """Return the tables of one simulated run of about `n` samples, by arm and metric.

        Args:
            n: samples, whole clusters.
            truth: `equal` exchanges the arms of every cluster at random; `seen` leaves them.
            changes: by metric: what to add to the candidate's expected value.
            seed: of everything drawn.
        """
        generator = np.random.default_rng(seed)
        arms = list(self.rows)
        share = n / len(self.clusters)
        drawn: dict[str, list[tuple[int, str]]] = {arm: [] for arm in arms}
        labels: list[str] = []
        for stratum in self.strata:
            for copy in generator.integers(0, len(stratum), max(1, round(share * len(stratum)))):
                order = generator.permutation(len(arms)) if truth == "equal" else range(len(arms))
                label = f"c{len(labels)}"
                labels += [label] * len(stratum[copy])
                for arm, source in zip(arms, order, strict=True):
                    drawn[arm] += [(int(at), arms[source]) for at in stratum[copy]]
        ids = tuple(f"s{i}" for i in range(len(labels)))
        found: dict[str, dict[str, MetricTable]] = {}
        for arm in arms:
            found[arm] = {}
            for name, metric in self.metrics.items():
                rows = [self.rows[source][name][at] for at, source in drawn[arm]]
                if arm == CANDIDATE and changes.get(name):
                    rows = _changed(metric, rows, changes[name], self._rate(name, truth), generator)
                found[arm][name] = MetricTable(
                    metric=metric, ids=ids, content_hashes=("",) * len(ids), clusters=tuple(labels), rows=tuple(rows)
                )
        return found

    def _rate(self, name: str, truth: Truth) -> float:
        """Return the mean that the candidate's rows are drawn with: of all arms where they change places."""
        arms = self.rows if truth == "equal" else (CANDIDATE,)
        known = [row[0] for arm in arms for row in self.rows[arm][name] if isinstance(row, tuple)]
        return sum(known) / len(known) if known else 0.0


def _changed(
    metric: Metric, rows: list[Row | Unscored | NotApplicable], change: float, rate: float,
    generator: np.random.Generator,
) -> list[Row | Unscored | NotApplicable]:  # fmt: skip
    """Return rows whose expected value is moved by `change`; unscored ones stay so.

    The chance that a row turns follows from the rate of what is drawn from, and not from that of this very run: else
    every run would be moved by the same amount, and the injected rate would scatter as the old one did.
    """
    if not is_weighted_mean(metric):
        raise InputError(f"no change can be injected in {metric.name}, which is no weighted mean of its samples")
    if not metric_kind(metric).shares:
        return [(row[0] + change * row[1], *row[1:]) if isinstance(row, tuple) else row for row in rows]
    of = 0.0 if change > 0 else 1.0
    share = (1.0 - rate) if change > 0 else rate
    chance = min(1.0, abs(change) / share) if share > 0 else 0.0
    flips = generator.random(len(rows)) < chance
    return [
        (1.0 - row[0], *row[1:]) if isinstance(row, tuple) and row[0] == of and flip else row
        for row, flip in zip(rows, flips, strict=True)
    ]


@dataclass(kw_only=True)
class Tally:
    """How simulated decisions came out."""

    simulations: int = 0
    together: int = 0
    """Simulations in which every gate passed."""
    by_gate: list[dict[Status, int]] = field(default_factory=list)
    """Counts of verdicts, in the order of the gates."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Planned:
    """One suite's part of a simulation."""

    pool: Pool
    gates: Sequence[Gate]
    """Those that `simulable` accepts."""
    n: int


def simulable(gate: Gate, pool: Pool) -> bool:
    """Tell whether a gate's verdicts can be simulated from a pool's rows."""
    return gate.metric in pool.metrics and not (kind_of(gate).compares and gate.metric in pool.assumed)


def simulate(
    suites: Sequence[Planned], *, truth: Truth = "equal", changes: Mapping[str, float] | None = None,
    simulations: int = 400, seed: int = 0, progress: Progress | None = None,
) -> Tally:  # fmt: skip
    """Draw and decide runs, all suites each time.

    Args:
        suites: with their pools; a gate compares with the arm of that name, or where the pool has none of it, with
            any other that it has.
        truth: see `Pool.draw`.
        changes: injected in the candidate, by metric.
        simulations: how many.
        seed: of the first; the others follow.
        progress: where the bar is drawn; None draws none.
    """
    bar = (progress or NoProgress()).start("simulate", simulations, unit="runs")
    tally = Tally(by_gate=[{"passed": 0, "failed": 0, "inconclusive": 0} for s in suites for _ in s.gates])
    for number in range(simulations):
        verdicts: list[Status] = []
        for position, suite in enumerate(suites):
            tables = suite.pool.draw(suite.n, truth, changes or {}, _seed(seed, number, position))
            for gate in suite.gates:
                own = tables[CANDIDATE][gate.metric]
                to, anchor = (None if name is None else tables[arm_of(suite.pool, name)][gate.metric]
                              for name in (gate.to, gate.anchor))  # fmt: skip
                check = check_gate(gate, own, to, anchor, seed=number, resamples=RESAMPLES, advises=False)
                verdicts.append(cast("Status", check.status))  # a device is not looked at, so that every gate applies
        for counts, verdict in zip(tally.by_gate, verdicts, strict=True):
            counts[verdict] += 1
        tally.simulations += 1
        tally.together += all(verdict == "passed" for verdict in verdicts)
        bar.advance()
    bar.finish()
    return tally


def arm_of(pool: Pool, name: str) -> str:
    """Return the arm that stands for what a gate compares with; the candidate's own where there is no other."""
    others = [arm for arm in pool.rows if arm != CANDIDATE]
    return name if name in others else others[0] if others else CANDIDATE


def _seed(seed: int, number: int, position: int) -> int:
    return int(np.random.SeedSequence([seed, number, position]).generate_state(1)[0])
