"""The power that a plan promises for an injected truth: what an audit holds the simulated gates to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.api.stats import (
    POWER,
    effective_size,
    expected_reach,
    gate_kind,
    linearised,
    mcnemar_power,
    metric_kind,
    quantile_sum,
    score_range,
    spread_of,
)
from harness_audit.injections import Exchange, Injection, lay_all
from harness_audit.population import BASELINE, CANDIDATE, SCORED, Population

if TYPE_CHECKING:
    from harness.api import Gate

_TIMES = 400
"""Simulated runs, from which a standard error is known to about 4 %."""


@dataclass(frozen=True, kw_only=True)
class _Scatter:
    """How the difference between the arms varies over simulated runs; no gate is asked."""

    error: float
    """Standard error of the difference."""
    gains: float
    """Of proportions: mean share of the samples with the event in the candidate alone."""
    losses: float
    """Of proportions: mean share of the samples with the event in the baseline alone."""
    effective_n: float
    """How many independent samples the clustered ones are worth, on average."""
    effective_count: float
    """How many samples or clusters carry the spread of the difference, on average."""


def planned_power(
    population: Population, injections: Sequence[Injection], gate: Gate, distance: float, n: int, *, seed: int
) -> float:
    """Return the power that plans go by.

    For `superior` on proportions, exact McNemar's, of as many independent pairs as the clustered ones are worth. Else
    the normal approximation Φ((distance − reach) / standard error), with `expected_reach`; for `equivalent`, of two
    one-sided tests with the truth in the middle, 2 Φ(…) − 1.

    Args:
        population: of the gate's metric.
        injections: under which the truth is `distance` away from what the gate tests.
        gate: that compares.
        distance: in the metric's unit, either sign.
        n: samples of each run.
        seed: of the simulated runs.
    """
    from scipy.special import ndtr

    found = _scatter(population, injections, gate, n, seed)
    metric = population.metrics[gate.metric]
    if gate.margin is None and metric_kind(metric).shares:
        return _mcnemar(population, found, gate)
    reach = expected_reach(
        found.error, gate_kind(gate).worst_distance(gate, metric) / found.effective_n, gate.alpha, found.effective_count
    )
    if found.error == 0.0:
        return float(reach < abs(distance))
    one = float(ndtr((abs(distance) - reach) / found.error))
    return max(0.0, 2.0 * one - 1.0) if len(gate_kind(gate).region(gate, metric).ends) == 2 else one


def detectable_difference(population: Population, gate: Gate, *, seed: int) -> float:
    """Return the distance at which arms that differ as often as recorded pass in four runs of five, by the plan."""
    found = _scatter(population, (Exchange(),), gate, len(population), seed)
    worst = gate_kind(gate).worst_distance(gate, population.metrics[gate.metric])
    reach = expected_reach(found.error, worst / found.effective_n, gate.alpha, found.effective_count)
    return reach + found.error * quantile_sum(0.5, POWER)


def _mcnemar(population: Population, found: _Scatter, gate: Gate) -> float:
    better, worse = found.gains, found.losses
    if population.metrics[gate.metric].direction == "lower":
        better, worse = worse, better
    return mcnemar_power(better, worse, round(found.effective_n), gate.alpha)


def _scatter(population: Population, injections: Sequence[Injection], gate: Gate, n: int, seed: int) -> _Scatter:
    generator = np.random.default_rng([seed, 7])
    metric = population.metrics[gate.metric]
    differences, gains, losses, effective_n, effective_count = [], [], [], [], []
    for _ in range(_TIMES):
        drawn = lay_all(injections, population.draw(n, generator), generator)
        first, second = (drawn.arms[arm][gate.metric] for arm in (CANDIDATE, BASELINE))
        scored = (first.state == SCORED) & (second.state == SCORED)
        candidate, baseline = first.values[scored], second.values[scored]
        values = float(metric.estimate(candidate.sum(axis=0))), float(metric.estimate(baseline.sum(axis=0)))
        differences.append(values[0] - values[1])
        gains.append(float(np.mean(candidate[:, 0] > baseline[:, 0])))
        losses.append(float(np.mean(candidate[:, 0] < baseline[:, 0])))
        groups = np.unique(drawn.labels[scored], return_inverse=True)[1].reshape(-1).astype(np.int64)
        scores = score_range(metric)
        if metric_kind(metric).shares:
            effective_n.append(effective_size(candidate[:, 0] - baseline[:, 0], groups, gate.alpha).n)
        elif scores is not None and candidate[:, 1].sum() > 0.0 and baseline[:, 1].sum() > 0.0:
            reach = scores[1] - scores[0]
            spread = spread_of(linearised(candidate, baseline), groups, (-reach, reach), gate.alpha)
            effective_n.append(gate_kind(gate).effective_n(gate, metric, spread))
            effective_count.append(spread.effective_count)
    return _Scatter(
        error=float(np.std(differences, ddof=1)), gains=float(np.mean(gains)), losses=float(np.mean(losses)),
        effective_n=float(np.mean(effective_n or [n])), effective_count=float(np.mean(effective_count or [n])),
    )  # fmt: skip
