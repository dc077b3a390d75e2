"""A verdict that holds at any number of looks: its false rate over many looks, its bounds, and what it refuses."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.contracts import Metric
from harness.gates.check import check_gate
from harness.gates.kinds import correction_of
from harness.stats import MetricTable
from harness.types import Gate, Unscored
from harness_gates.e_process import log_wealth, lower_bound

LEVEL = 0.05


class Right(Metric):
    """A share."""

    name, kind, direction = "right", "proportion", "higher"


class Score(Metric):
    """A mean in [0, 1]."""

    name, kind, direction, bounds = "score", "mean", "higher", (0.0, 1.0)


class Length(Metric):
    """A mean without a range."""

    name, kind, direction = "length", "mean", "higher"


def table(values, metric=None, clusters=None):
    ids = tuple(f"s{n}" for n in range(len(values)))
    rows = tuple(Unscored(reason="lost") if value is None else (float(value), 1.0) for value in values)
    return MetricTable(
        metric=metric or Right(), ids=ids, content_hashes=ids, clusters=clusters or (None,) * len(ids), rows=rows
    )


MIN = Gate(metric="right", kind="min", limit=0.5, alpha=LEVEL, correction="e_process")


def test_looking_after_every_sample_passes_no_more_often_than_the_level():
    """The truth is on the line, and it is looked at a hundred times."""
    generator, runs, passed = np.random.default_rng(3), 400, 0
    for _ in range(runs):
        draws = (generator.random(400) < 0.5).astype(float)
        passed += any(log_wealth(draws[:n], 0.5) >= -math.log(LEVEL) for n in range(4, 401, 4))
    assert passed / runs < LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / runs)


def test_a_single_look_that_is_repeated_would_not_hold():
    """The same looks by Clopper and Pearson's bound pass far more often than the level."""
    from harness.stats.proportion import clopper_pearson

    generator, runs, passed = np.random.default_rng(3), 200, 0
    for _ in range(runs):
        counts = np.cumsum(generator.random(400) < 0.5)
        passed += any((clopper_pearson(int(counts[n - 1]), n, LEVEL).low or 0) > 0.5 for n in range(20, 401, 20))
    assert passed / runs > 0.10


def test_the_order_of_the_samples_makes_no_difference():
    values = np.random.default_rng(1).random(50)
    assert log_wealth(values, 0.4) == pytest.approx(log_wealth(values[::-1], 0.4))


def test_bound_and_p_say_the_same():
    values = [1.0] * 70 + [0.0] * 30
    check = check_gate(MIN, table(values))
    assert check.status == "passed"
    assert 0.5 < check.low < 0.7 < check.high
    at = replace(MIN, limit=check.low)
    assert check_gate(at, table(values)).p == pytest.approx(LEVEL, rel=1e-3)
    assert "by an e-process on 100 samples, at any number of looks" in check.sentence


def test_what_was_not_scored_is_the_worst():
    values = [1.0] * 70 + [0.0] * 30
    lost = [*values[:40], *([None] * 30), *values[70:]]
    assert check_gate(MIN, table(lost)).status == "inconclusive"
    assert check_gate(MIN, table(lost)).low < check_gate(MIN, table(values)).low
    assert check_gate(MIN, table([None] * 50)).status == "inconclusive"


def test_paired_differences_of_shares_and_of_graded_scores():
    gate = Gate(metric="right", kind="non_inferior", to="base", margin=0.1, alpha=LEVEL, correction="e_process")
    own, base = table([1.0] * 150), table([1.0] * 150)
    check = check_gate(gate, own, base)
    assert (check.status, check.difference) == ("passed", 0.0)
    worse = table([0.0] * 60 + [1.0] * 90)
    assert check_gate(gate, worse, base).status == "failed"
    generator = np.random.default_rng(2)
    scores = generator.random(200)
    graded = replace(gate, metric="score", margin=0.2)
    arms = table(np.clip(scores + 0.01, 0, 1), Score()), table(scores, Score())
    assert check_gate(graded, arms[0], arms[1]).status == "passed"


def test_less_is_better_is_mirrored():
    class Harm(Metric):
        """A share of harm."""

        name, kind, direction = "harm", "proportion", "lower"

    gate = Gate(metric="harm", kind="max", limit=0.2, alpha=LEVEL, correction="e_process")
    assert check_gate(gate, table([0.0] * 60, Harm())).status == "passed"
    assert check_gate(gate, table([1.0] * 60, Harm())).status == "failed"


def test_clusters_and_means_without_a_range_have_none():
    clustered = table([1.0] * 80, clusters=tuple(f"c{n // 4}" for n in range(80)))
    check = check_gate(MIN, clustered)
    assert check.status == "inconclusive"
    assert "without clusters" in check.sentence
    gate = replace(MIN, metric="length", limit=10.0)
    cause, _ = correction_of(gate).problem(gate, Length())
    assert "scores with a range" in cause


def test_nothing_seen_bounds_nothing():
    assert lower_bound(np.zeros(50), LEVEL) == 0.0
    assert lower_bound(np.ones(50), LEVEL) > 0.85
