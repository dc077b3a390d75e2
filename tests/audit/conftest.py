"""Populations of made-up rows, as small as the tests allow."""

from __future__ import annotations

import numpy as np
import pytest

from harness.contracts import Metric
from harness_audit.population import BASELINE, CANDIDATE, Column, Population


class Harm(Metric):
    name, kind, direction, bounds = "harm", "proportion", "lower", (0.0, 1.0)


class Score(Metric):
    name, kind, direction, bounds = "score", "mean", "higher", (0.0, 1.0)


class Loss(Metric):
    name, kind, direction = "loss", "ratio", "lower"


def population(metric: Metric, candidate, baseline, clusters=None) -> Population:
    """Return a population of one metric from rows of two arms."""
    return Population(
        suite="made-up", source="a test", metrics={metric.name: metric},
        arms={CANDIDATE: {metric.name: Column.of(candidate)}, BASELINE: {metric.name: Column.of(baseline)}},
        clusters=np.arange(len(candidate)) if clusters is None else np.array(clusters),
    )  # fmt: skip


def events(rate: float, n: int, seed: int) -> list[tuple[float, float]]:
    drawn = np.random.default_rng(seed).random(n) < rate
    return [(float(one), 1.0) for one in drawn]


@pytest.fixture(scope="session")
def harm() -> Population:
    return population(Harm(), events(0.4, 120, 1), events(0.45, 120, 2))


@pytest.fixture(scope="session")
def clustered() -> Population:
    clusters = [i // 4 for i in range(160)]
    alike = [row for row in events(0.4, 40, 3) for _ in range(4)]
    return population(Harm(), alike, events(0.45, 160, 4), clusters)


@pytest.fixture(scope="session")
def score() -> Population:
    generator = np.random.default_rng(5)
    first, second = generator.beta(2, 3, 80), generator.beta(2, 3, 80)
    return population(Score(), [(float(v), 1.0) for v in first], [(float(v), 1.0) for v in second])


@pytest.fixture(scope="session")
def loss() -> Population:
    generator = np.random.default_rng(6)
    weight = generator.integers(20, 60, 70)
    rows = [[(float(w * generator.gamma(4, 0.3)), float(w)) for w in weight] for _ in range(2)]
    return population(Loss(), *rows)
