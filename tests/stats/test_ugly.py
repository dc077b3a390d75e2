"""Data at their worst for a gate: truths on its line pass no more often than its level says."""

from __future__ import annotations

import numpy as np
import pytest

from harness.api.stats import check_gate, require_valid, samples_needed
from harness.errors import InputError
from harness.stats import assess, compare
from harness.stats.proportion import clopper_pearson, effective_clusters
from harness.types import Gate, Unscored
from harness_audit.replay import Judge, replay
from harness_audit.ugly import Bits, Overlap, ugly_cases
from harness_gates.capped import capped_differences, ratio_at

CASES = {case.name: case for case in ugly_cases()}
ALONE = [name for name, case in CASES.items() if case.attempts == 1]
CHEAP = [name for name in ALONE if CASES[name].cost == "low"]
DEAR = [name for name in ALONE if CASES[name].cost == "high"]


def too_often(name: str, simulations: int, seed: int = 3) -> bool:
    case = CASES[name]
    tally = replay(case, simulations=simulations, seed=seed, judge=Judge())
    return (clopper_pearson(tally.promotes, tally.simulations, 0.001).low or 0.0) > 0.06


@pytest.mark.parametrize("name", CHEAP)
def test_unequal_clusters_and_lost_events_pass_in_at_most_six_percent(name):
    assert not too_often(name, 1500)


@pytest.mark.parametrize("name", DEAR)
def test_tails_ties_and_ratios_pass_in_at_most_six_percent(name):
    assert not too_often(name, 150)


def test_clusters_count_by_how_unequal_they_are():
    assert effective_clusters(np.full(40, 7.0)) == pytest.approx(40)
    assert effective_clusters(np.array([120.0] + [1.0] * 60)) == pytest.approx(180**2 / (120**2 + 60))


def test_a_dominating_cluster_is_an_obstacle_and_says_so(plain, make_table):
    rows = [(0, 1)] * 180
    names = ["one"] * 120 + [f"c{i}" for i in range(60)]
    found = assess(make_table(plain("proportion"), rows, names), null=0.3)
    assert "61 clusters of such unequal sizes that they weigh as 2" in found.obstacle


def bits(make_table, worse, lost=()):
    n = len(worse)
    weights = np.random.default_rng(1).integers(200, 800, n).astype(float)
    its = np.random.default_rng(2).normal(2.0, 0.3, n)
    own = [(float(w * v), float(w)) for w, v in zip(weights, its + worse, strict=True)]
    for place in lost:
        own[place] = Unscored(reason="time-out")
    return make_table(Bits(), own), make_table(
        Bits(), [(float(w * v), float(w)) for w, v in zip(weights, its, strict=True)]
    )


def gate(**more):
    return Gate(metric="bits", kind="non_inferior", to="promoted", margin=0.1, **more)


def test_without_a_range_few_texts_decide_nothing_and_the_interval_is_still_shown(make_table):
    arms = bits(make_table, np.random.default_rng(0).normal(0.0, 0.05, 45))
    check = check_gate(gate(), *arms)
    assert check.status == "inconclusive"
    assert "may miss one in 50" in check.sentence
    assert check.low is not None
    assert samples_needed(gate(), Bits()) == 149


def test_with_a_cap_the_same_texts_pass_and_a_share_of_bad_ones_does_not(make_table):
    noise = np.random.default_rng(0).normal(0.0, 0.02, 60)
    assert check_gate(gate(cap=0.5), *bits(make_table, noise)).status == "passed"
    assert check_gate(gate(cap=0.5), *bits(make_table, noise + 0.3 * (np.arange(60) % 2))).status != "passed"
    assert "each text counted up to 0.5" in check_gate(gate(cap=0.5), *bits(make_table, noise)).sentence


def test_a_capped_difference_is_the_weighted_mean_of_the_capped_differences(make_table):
    worse = np.linspace(-2.0, 3.0, 50)
    first, second = bits(make_table, worse)
    weights = np.array([row[1] for row in first.rows])
    found = compare(*capped_differences(first, second, 0.5))
    assert found.difference == pytest.approx(float((np.clip(worse, -0.5, 0.5) * weights).sum() / weights.sum()))


def test_a_lost_text_counts_as_the_cap(make_table):
    worse = np.random.default_rng(0).normal(0.0, 0.02, 80)
    lost = compare(*capped_differences(*bits(make_table, worse, lost=(3,)), 0.5))
    assert lost.unscored == 1
    assert lost.worst[1] > lost.difference + 0.3 / 80
    assert None not in (lost.low, lost.high)


def test_a_limit_with_a_cap_reckons_with_texts_that_were_not_seen(make_table):
    rows = [(float(v) * 50, 50.0) for v in np.random.default_rng(0).normal(2.0, 0.2, 45)]
    table = make_table(Bits(), rows)
    capped = check_gate(Gate(metric="bits", kind="max", limit=3.0, cap=8.0), table)
    assert capped.status == "passed"
    unseen = 1 - 0.05 ** (1 / 45)
    assert capped.high == pytest.approx(2.0 + unseen * 6.0, abs=0.1)
    assert check_gate(Gate(metric="bits", kind="max", limit=2.3, cap=8.0), table).status == "inconclusive"


@pytest.mark.parametrize(
    ("metric", "given", "says"),
    [
        (Overlap(), {"kind": "min", "limit": 0.3, "cap": 0.1}, "has a range"),
        (Bits(), {"kind": "non_inferior", "to": "promoted", "margin": 0.1, "cap": 0.05}, "above the margin"),
        (Bits(), {"kind": "max", "limit": 3.0, "cap": 2.0}, "good side of the limit"),
    ],
)
def test_a_cap_that_makes_no_sense_is_refused(metric, given, says):
    with pytest.raises(InputError, match=says):
        require_valid(Gate(metric=metric.name, **given), metric)


def test_the_ratio_at_a_value_is_the_inverse_of_the_estimate():
    assert ratio_at(Bits(), 3.25) == pytest.approx(3.25)
    assert ratio_at(Bits(), -7.5) == pytest.approx(-7.5)
