"""What a gate would find if a stated truth held, from a pool's rows, and how many samples would then do.

Sources: those of `harness.stats.power`; the design effect is Kish's (see `harness.stats.proportion`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from harness.api.stats import (
    FEWEST_CLUSTERS,
    POWER,
    MetricTable,
    Outlook,
    Weighed,
    clusters_apart,
    effective_clusters,
    effective_size,
    is_weighted_mean,
    linearised,
    metric_kind,
    rogan_gladen,
    samples_needed,
    score_range,
    spread_of,
)
from harness.api.stats import gate_kind as kind_of
from harness_planning.simulate import CANDIDATE, arm_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.api import Gate, Metric
    from harness_planning.simulate import Pool, Truth


_SURELY_APART = 13
"""Expected clusters with another value of which four runs in five have `FEWEST_APART`, by the Poisson distribution."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What is true of a gate's metric, as far as stored rows and the stated truth tell."""

    value: float | None
    """The candidate's."""
    difference: float | None
    """Candidate minus what it is compared with; None for gates that do not compare."""
    discordant: float | None
    """For comparisons of proportions: share of the samples on which the arms differ."""
    spread: float | None
    """Standard deviation of one sample's value, or of one pair's difference, about the mean."""
    kurtosis: float
    """Of the same; 3 where it is not known."""
    design_effect: float
    """How many clustered samples are worth one independent one; 1 where samples are independent."""
    unseen_effect: float = 1.0
    """Of bounded means: how many samples a score that was not seen may weigh as."""
    cluster_size: float = 1.0
    """Samples in an effective cluster, on average."""
    whole_effect: float = 1.0
    """How many samples are worth one independent one where every cluster repeats one answer."""
    telling: float | None = None
    """Of clustered proportions: clusters that hold another value than the commonest, for each sample. With fewer than
    `FEWEST_APART` of them a gate takes the whole effect. None where that does not matter."""

    @property
    def unseen_weight(self) -> float:
        """As how many independent samples a score that was not seen may weigh."""
        return self.unseen_effect / self.design_effect


def expected(gate: Gate, pool: Pool, truth: Truth, change: float) -> Expected:
    """Return what the gate would find in endless samples like the pool's.

    Args:
        gate: on a metric of the pool.
        pool: stored rows.
        truth: `equal` or `seen`.
        change: added to the candidate's value.
    """
    metric = pool.metrics[gate.metric]
    other = arm_of(pool, gate.to or "")
    first, second, groups = _rows(pool, gate.metric, other)
    own, its = (_value(metric, rows) if len(rows) else math.nan for rows in (first, second))
    if not math.isfinite(own) or not math.isfinite(its):
        return Expected(value=None, difference=None, discordant=None, spread=None, kurtosis=3.0, design_effect=1.0)
    value = (own + its) / 2 if truth == "equal" else own
    if not kind_of(gate).compares:
        residuals = _residuals(metric, first)
        return Expected(
            value=value + change, difference=None, discordant=None, spread=_deviation(residuals),
            design_effect=_design_effect(residuals, groups), telling=_telling(metric, first[:, 0], groups),
            **_clustering(groups), **_unseen(gate, metric, first, None, groups, _design_effect(residuals, groups)),
        )  # fmt: skip
    left, right = _residuals(metric, first), _residuals(metric, second)
    apart = None if left is None or right is None else left - right
    return Expected(
        value=value + change, difference=(0.0 if truth == "equal" else own - its) + change,
        discordant=_discordant(first, second, value, change) if metric_kind(metric).shares else None,
        spread=_deviation(apart), design_effect=_design_effect(apart, groups),
        telling=_telling(metric, first[:, 0] - second[:, 0], groups), **_clustering(groups),
        **_unseen(gate, metric, first, second, groups, _design_effect(apart, groups)),
    )  # fmt: skip


def samples_for(gate: Gate, metric: Metric, known: Expected, power: float = POWER) -> int | None:
    """Return about how many samples would let the gate pass with the wanted power; None where no number would."""
    needed = _independent(gate, metric, known, power)
    if needed is None:
        return None
    found = math.ceil(needed * known.design_effect)
    if known.telling is not None:
        told = math.ceil(_SURELY_APART / known.telling) if known.telling > 0.0 else found
        found = min(math.ceil(needed * known.whole_effect), max(found, told))
    if known.cluster_size > 1.0:
        found = max(found, math.ceil(FEWEST_CLUSTERS * known.cluster_size))
    return max(found, math.ceil((samples_needed(gate, metric) or 1) * known.whole_effect))


def _independent(gate: Gate, metric: Metric, known: Expected, power: float) -> int | None:
    """Return how many samples it would be if all stood alone."""
    kind = kind_of(gate)
    value = known.difference if kind.compares else known.value
    if value is None:
        return None
    true = value
    if gate.corrected and metric.calibration is not None:
        true = rogan_gladen(min(1.0, max(0.0, value)), metric.calibration)
    if not kind.region(gate, metric, gate.to).contains(true):
        return None
    outlook = Outlook(
        value=value, counted=not kind.compares and metric_kind(metric).shares, error=known.spread,
        worst=kind.worst_distance(gate, metric, known.value) * known.unseen_weight, kurtosis=known.kurtosis,
    )  # fmt: skip
    if kind.compares and known.discordant is not None:
        differ = max(known.discordant, abs(value))
        outlook = replace(outlook, counted=True, gains=(differ + value) / 2, losses=(differ - value) / 2)
    return kind.samples(gate, metric, outlook, power) if outlook.counted or outlook.error is not None else None


def _rows(pool: Pool, name: str, other: str) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return the rows scored in both arms, each of shape (n, k), and their clusters."""
    pairs = [
        (at, row, beside)
        for at, (row, beside) in enumerate(zip(pool.rows[CANDIDATE][name], pool.rows[other][name], strict=True))
        if isinstance(row, tuple) and isinstance(beside, tuple) and np.isfinite(row).all() and np.isfinite(beside).all()
    ]
    ids = tuple(str(at) for at, _, _ in pairs)
    table = MetricTable(
        metric=pool.metrics[name], ids=ids, content_hashes=("",) * len(ids),
        clusters=tuple(pool.clusters[at] for at, _, _ in pairs), rows=tuple(row for _, row, _ in pairs),
    )  # fmt: skip
    first = np.array([row for _, row, _ in pairs], dtype=np.float64)
    second = np.array([beside for _, _, beside in pairs], dtype=np.float64)
    return first, second, table.groups(np.arange(len(pairs), dtype=np.int64))


def _discordant(first: NDArray[np.float64], second: NDArray[np.float64], value: float, change: float) -> float:
    """Return the share of pairs that differ once the change is injected: it turns pairs that did not, and some back.

    Of the samples that can turn, those without the event for a rise, the share `change` / (1 − value) does.
    """
    differ = float(np.mean(first[:, 0] != second[:, 0]))
    can_turn = (1.0 - value) if change > 0 else value
    return differ + abs(change) * (can_turn - differ) / can_turn if change and can_turn > 0 else differ


def _value(metric: Metric, rows: NDArray[np.float64]) -> float:
    with np.errstate(all="ignore"):
        return float(metric.estimate(rows.sum(axis=0)))


def _residuals(metric: Metric, rows: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return each sample's pull on the value, scaled so that their mean square over n is its variance."""
    if not is_weighted_mean(metric):
        with np.errstate(all="ignore"):
            pulls = (len(rows) - 1) * (_value(metric, rows) - metric.estimate(rows.sum(axis=0) - rows))
        return pulls if len(rows) > 1 and np.isfinite(pulls).all() else None
    value = _value(metric, rows)
    return np.asarray((rows[:, 0] - value * rows[:, 1]) / rows[:, 1].mean(), dtype=np.float64)


def _deviation(residuals: NDArray[np.float64] | None) -> float | None:
    return None if residuals is None else float(np.sqrt(np.mean((residuals - residuals.mean()) ** 2)))


def _unseen(
    gate: Gate, metric: Metric, first: NDArray[np.float64], second: NDArray[np.float64] | None,
    groups: NDArray[np.int64], design_effect: float,
) -> dict[str, float]:  # fmt: skip
    """Return `kurtosis` and `unseen_effect` of a bounded mean: they tell the effective numbers of n samples."""
    scores = score_range(metric)
    if scores is None:
        return {"kurtosis": 3.0, "unseen_effect": 1.0}
    reach = scores[1] - scores[0]
    weighed = Weighed.of(first) if second is None else linearised(first, second)
    spread = spread_of(weighed, groups, scores if second is None else (-reach, reach), gate.alpha)
    n = len(first)
    kurtosis = n / (design_effect * spread.effective_count) if spread.effective_count else 3.0
    return {"kurtosis": kurtosis, "unseen_effect": n / kind_of(gate).effective_n(gate, metric, spread)}


def _clustering(groups: NDArray[np.int64]) -> dict[str, float]:
    whole = len(groups) / effective_clusters(np.bincount(groups).astype(np.float64))
    return {"whole_effect": whole, "cluster_size": whole}


def _telling(metric: Metric, values: NDArray[np.float64], groups: NDArray[np.int64]) -> float | None:
    alone = int(groups.max()) + 1 == len(groups)
    return None if alone or not metric_kind(metric).shares else clusters_apart(values, groups) / len(groups)


def _design_effect(residuals: NDArray[np.float64] | None, groups: NDArray[np.int64]) -> float:
    if residuals is None or not len(residuals):
        return 1.0
    return len(residuals) / effective_size(residuals, groups, 0.05).n
