"""Metrics without a range, on which a gate caps what one text may count: then bounds can reckon with texts not seen.

What a bound of a mean says of texts that were not seen rests on how bad they can be (see docs/statistics.md).
With a cap c the gate is about the capped mean, the sum of w · min(v, c) over the sum of w, for texts of value v and
weight w: J. W. Tukey's and W. J. Dixon's Winsorised mean with the cap fixed beforehand (Annals of Mathematical
Statistics 31 (1960) 385–391). Of a comparison the difference of each text is capped, either way.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from harness.api import Metric, NotApplicable, Unscored
from harness.api.stats import MetricTable, halve, metric_kind, pair

if TYPE_CHECKING:
    from harness.api import Gate
    from harness.api.gates import GateKind, Problem
    from harness.api.stats import Scored

_LOST = Unscored(reason="not scored in both runs")
_PROBES = np.array([[0.5, 1.0], [1.0, 2.0], [3.0, 2.0], [2.0, 1.0]])


class _Capped(Metric):
    """A weighted mean with a range."""

    kind = "ratio"

    def __init__(self, metric: Metric, bounds: tuple[float, float]) -> None:
        self.name, self.direction, self.unit, self.bounds = metric.name, metric.direction, metric.unit, bounds


def problem_of_cap(kind: GateKind, gate: Gate, metric: Metric) -> Problem | None:
    """Return why a gate's cap makes no sense, or None."""
    if problem := cap_problem(metric, differences=kind.compares):
        return f"the gate cannot have a cap: {problem}", "remove it"
    if not math.isfinite(gate.cap or 0.0) or (kind.compares and (gate.cap or 0.0) <= (gate.margin or 0.0)):
        return f"the cap is {gate.cap}, and must be above the margin", "give the most that one text may count"
    if not kind.compares and kind.region(gate, metric).status(gate.cap, gate.cap, strict=False) != "failed":
        return f"the cap {gate.cap:g} lies on the good side of the limit, so that nothing could fail", "move the cap"
    return None


def cap_problem(metric: Metric, *, differences: bool) -> str:
    """Return why no cap can stand on a metric; empty where one can.

    Args:
        metric: of rows (numerator, denominator) its value must be a rising function of their sums' ratio.
        differences: whether it is to be compared; then it must be a linear one.
    """
    kind = metric_kind(metric)
    if metric.bounds is not None or kind.shares:
        return f"{metric.name} has a range, so that nothing needs a cap"
    try:
        values = np.asarray(metric.estimate(_PROBES), dtype=np.float64) if kind.summed else np.zeros(0)
    except (IndexError, ValueError):
        values = np.zeros(0)
    rising = values.shape == (4,) and np.isclose(values[0], values[1]) and values[1] < values[2] < values[3]
    if not rising:
        return f"{metric.name} is no ratio of two sums, so that no text has a value of its own"
    if differences and not np.isclose(values[2] - values[0], 2.0 * (values[3] - values[2])):
        return f"{metric.name} is not the mean of its texts' values, so that no text has a difference of its own"
    return ""


def ratio_at(metric: Metric, value: float) -> float:
    """Return the ratio of sums at which the metric has a value, by doubling and halving."""

    def below(ratio: float) -> bool:
        return bool(metric.estimate(np.array([ratio, 1.0])) < value)

    reach = 1.0
    while (below(reach) or not below(-reach)) and reach < 1e12:
        reach *= 2.0
    return halve(-reach, reach, below, steps=90)[1]


def capped_values(table: MetricTable, cap: float, limit: float, *, upper: bool) -> MetricTable:
    """Return a run's table on the scale of the ratio, each text's value at most the cap, or at least it.

    Its range ends at the cap on the side that could break the limit, and on the other at the best that was seen or the
    limit, so that its other bound is no more cautious than a bootstrap's.

    Args:
        table: of a metric that `cap_problem` has nothing against.
        cap: in the metric's unit.
        limit: of the gate, in the metric's unit.
        upper: whether the limit is the greatest value that passes.
    """
    end, line = ratio_at(table.metric, cap), ratio_at(table.metric, limit)
    ratios = [row[0] / row[1] for row in table.rows if isinstance(row, tuple) and row[1] > 0.0]
    bounds = (min([*ratios, line]), end) if upper else (end, max([*ratios, line]))

    def cut(row: Scored) -> Scored:
        if not isinstance(row, tuple):
            return row
        return (float(np.clip(row[0], bounds[0] * row[1], bounds[1] * row[1])), row[1])

    return _with(table, _Capped(table.metric, bounds), [cut(row) for row in table.rows])


def capped_differences(candidate: MetricTable, baseline: MetricTable, cap: float) -> tuple[MetricTable, MetricTable]:
    """Return two tables whose difference is the capped one: half of each text's difference, and half of it turned
    round.

    A text weighs as the mean of its weights in both arms. Where one arm did not score it, both count as unscored.
    """
    first, second = pair(candidate, baseline)
    metric = _Capped(candidate.metric, (-cap / 2.0, cap / 2.0))
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))

    def halved(own: Scored, its: Scored, sign: float) -> Scored:
        if not isinstance(own, tuple) or not isinstance(its, tuple):
            return _LOST
        weight = 0.5 * (own[1] + its[1])
        apart = float(candidate.metric.estimate(np.array(own)) - candidate.metric.estimate(np.array(its)))
        return (sign * 0.5 * weight * float(np.clip(apart, -cap, cap)), weight) if np.isfinite(apart) else _LOST

    tables = []
    for table, at, sign in ((candidate, first, 1.0), (baseline, second, -1.0)):
        rows: list[Scored] = [NotApplicable(reason="in neither run")] * len(table.ids)
        for place, (own, its) in zip(at.tolist(), pairs, strict=True):
            rows[place] = halved(candidate.rows[own], baseline.rows[its], sign)
        tables.append(_with(table, metric, rows))
    return tables[0], tables[1]


def value_of(metric: Metric, ratio: float | None) -> float | None:
    """Return the metric's value at a ratio of sums."""
    return None if ratio is None else float(metric.estimate(np.array([ratio, 1.0])))


def _with(table: MetricTable, metric: Metric, rows: list[Scored]) -> MetricTable:
    return MetricTable(
        metric=metric, ids=table.ids, content_hashes=table.content_hashes, clusters=table.clusters, rows=tuple(rows)
    )
