"""Gaffke's bound against Clopper and Pearson's, the Bayesian bootstrap and its own promise; and its reach in plans."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api.stats import check_gate
from harness.stats import assess, compare
from harness.stats.bounded import FEWEST_EFFECTIVE, effective_count, expected_reach, never_seen
from harness.stats.proportion import clopper_pearson
from harness.types import Gate, Unscored
from harness_statistics.bounded_mean import bounded_mean

UNIT = (0.0, 1.0)


@settings(max_examples=150, deadline=None)
@given(st.integers(5, 2000), st.floats(0, 1), st.sampled_from([0.05, 0.01, 1e-4]), st.floats(0.01, 0.99))
def test_zeros_and_ones_have_the_exact_bounds_of_a_proportion(n, share, alpha, null):
    events = round(share * n)
    scores = np.r_[np.ones(events), np.zeros(n - events)]
    found = bounded_mean(scores, np.ones(n), UNIT, alpha, null=null)
    exact = clopper_pearson(events, n, alpha, null=null)
    assert found.low == pytest.approx(exact.low, rel=0.01, abs=0.003)
    assert found.high == pytest.approx(exact.high, rel=0.01, abs=0.003)
    for own, its in ((found.p_above, exact.p_above), (found.p_below, exact.p_below)):
        if 1e-6 < its < 0.5:
            assert own == pytest.approx(its, rel=0.06)


@pytest.mark.parametrize("shape", [(1.0, 1.0), (0.05, 2.0), (2.0, 0.3)])
def test_bounds_are_quantiles_of_the_bayesian_bootstrap_with_one_more_score(shape):
    generator = np.random.default_rng(3)
    scores, weights = generator.beta(*shape, 60), generator.integers(1, 9, 60).astype(float)
    drawn = generator.exponential(size=(100_000, 61))
    found = bounded_mean(scores * weights, weights, UNIT, 0.05, added=(2.0, 2.0))
    for end, bound, level in ((0.0, found.low, 0.05), (1.0, found.high, 0.95)):
        means = drawn @ np.r_[scores * weights, end * 2.0] / (drawn @ np.r_[weights, 2.0])
        assert bound == pytest.approx(np.quantile(means, level), abs=0.02 * means.std())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=60), st.floats(0, 1), st.sampled_from([0.05, 0.003]))
def test_bound_and_p_never_disagree_and_the_mean_lies_between(scores, null, alpha):
    values = np.array(scores)
    found = bounded_mean(values, np.ones(len(values)), UNIT, alpha, null=null)
    assert 0.0 <= found.low <= values.mean() + 1e-9
    assert values.mean() - 1e-9 <= found.high <= 1.0
    if abs(found.low - null) > 1e-6:
        assert (found.low > null) == (found.p_above <= alpha)
    if abs(found.high - null) > 1e-6:
        assert (found.high < null) == (found.p_below <= alpha)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.floats(-50, 50), st.floats(0.1, 100))
def test_neither_units_nor_directions_matter(scores, shift, scale):
    values, ones = np.array(scores), np.ones(len(scores))
    plain = bounded_mean(values, ones, UNIT, 0.05)
    moved = bounded_mean(shift + scale * values, ones, (shift, shift + scale), 0.05)
    assert moved.low == pytest.approx(shift + scale * plain.low, abs=1e-6 * (scale + abs(shift)))
    mirrored = bounded_mean(-values, ones, (-1.0, 0.0), 0.05)
    assert (-mirrored.high, -mirrored.low) == pytest.approx((plain.low, plain.high), abs=1e-6)


def test_equal_scores_at_an_end_have_the_bound_of_no_event():
    none = bounded_mean(np.zeros(59), np.ones(59), UNIT, 0.05, null=0.0)
    assert (none.low, none.p_above) == (0.0, 1.0)
    assert none.high == pytest.approx(0.05, abs=3e-4)
    assert bounded_mean(np.ones(59), np.ones(59), UNIT, 0.05, null=0.0).p_above == 0.0


@pytest.mark.parametrize("n", [30, 120, 400])
@pytest.mark.parametrize("population", ["rare and large", "skewed", "in the middle"])
def test_the_truth_is_missed_no_more_often_than_promised(n, population):
    generator = np.random.default_rng(n)
    draw = {
        "rare and large": lambda: np.where(generator.random(n) < 0.02, 0.9, 0.001),
        "skewed": lambda: generator.beta(0.05, 2.0, n),
        "in the middle": lambda: generator.beta(4.0, 4.0, n),
    }[population]
    mean = {"rare and large": 0.02 * 0.9 + 0.98 * 0.001, "skewed": 0.05 / 2.05, "in the middle": 0.5}[population]
    times = 1_000
    missed = np.zeros(2)
    for _ in range(times):
        found = bounded_mean(draw(), np.ones(n), UNIT, 0.05, null=mean)
        missed += found.p_above <= 0.05, found.p_below <= 0.05
    assert all(clopper_pearson(count, times, 0.005).low <= 0.05 for count in missed)


def test_a_mean_of_bounded_scores_reckons_with_what_it_has_not_seen(plain, make_table):
    generator = np.random.default_rng(0)
    scores = np.where(generator.random(260) < 0.05, 0.9, 0.01 * generator.random(260))
    rows = [(float(score), 1.0) for score in scores]
    bounded = assess(make_table(plain("mean", bounds=UNIT), rows), alpha=0.05, null=0.07)
    alone = assess(make_table(plain("mean"), rows), alpha=0.05, null=0.07)
    gaffke = bounded_mean(scores, np.ones(260), UNIT, 0.05, null=0.07)
    assert bounded.worst.high == pytest.approx(max(alone.worst.high, gaffke.high))
    assert bounded.worst.low == pytest.approx(min(alone.worst.low, gaffke.low))
    assert bounded.worst.p_below == pytest.approx(max(alone.worst.p_below, gaffke.p_below))
    assert "the farther of BCa and t bootstrap" in bounded.worst.method
    assert "Gaffke" not in alone.worst.method


def test_in_the_middle_of_the_range_next_to_nothing_is_added(plain, make_table):
    rows = [(float(score), 1.0) for score in np.random.default_rng(1).beta(4, 4, 300)]
    widths = []
    for bounds in (UNIT, None):
        found = assess(make_table(plain("mean", bounds=bounds), rows), alpha=0.05).worst
        widths.append(found.high - found.low)
    assert widths[0] == widths[1]


def test_clusters_weigh_whole_and_the_added_score_as_one_independent_sample(plain, make_table):
    generator = np.random.default_rng(2)
    alike = np.repeat(generator.beta(0.5, 0.5, 60), 4)
    mixed = generator.permutation(alike)
    clusters = [f"c{i // 4}" for i in range(240)]
    metric = plain("mean", bounds=UNIT)
    found = {
        name: assess(make_table(metric, [(float(v), 1.0) for v in values], of), alpha=0.05).worst
        for name, values, of in (("alike", alike, clusters), ("mixed", mixed, clusters), ("alone", mixed, None))
    }
    width = {name: interval.high - interval.low for name, interval in found.items()}
    assert width["alone"] <= width["mixed"] < 1.4 * width["alone"] < 0.9 * width["alike"]


def test_a_difference_of_ratios_is_linearised(plain, make_table):
    """Exact where both arms weigh alike; and near it where they hardly differ."""
    generator = np.random.default_rng(4)
    scores, others = np.where(generator.random((2, 200)) < 0.06, 0.9, 0.01 * generator.random((2, 200)))
    weights = generator.integers(5, 20, 200).astype(float)
    metric = plain("ratio", bounds=UNIT)

    def low_and_high(beside):
        first = make_table(metric, [(float(s * w), float(w)) for s, w in zip(scores, weights, strict=True)])
        second = make_table(metric, [(float(s * w), float(w)) for s, w in zip(others, beside, strict=True)])
        found = compare(first, second, alpha=0.05)
        return found.low, found.high

    exact = bounded_mean((scores - others) * weights, weights, (-1.0, 1.0), 0.05)
    low, high = low_and_high(weights)
    assert low <= exact.low + 1e-9
    assert high >= exact.high - 1e-9
    assert low_and_high(weights * 1.001) == pytest.approx((low, high), abs=2e-3)


@pytest.mark.parametrize(("error", "unseen"), [(1.0, 0.1), (1.0, 1.0), (0.2, 3.0)])
@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_the_expected_reach_is_a_quantile_of_the_sum(error, unseen, alpha):
    generator = np.random.default_rng(0)
    drawn = error * generator.normal(size=400_000) + unseen * generator.exponential(size=400_000)
    assert (drawn > expected_reach(error, unseen, alpha, 5.0)).mean() == pytest.approx(alpha, rel=0.15)


def test_without_anything_unseen_the_reach_is_the_normal_one():
    assert expected_reach(2.0, 0.0, 0.05, 5.0) == pytest.approx(2.0 * 1.6448536)
    assert expected_reach(0.0, 0.01, 0.05, 5.0) == pytest.approx(0.01 * np.log(20))
    assert expected_reach(0.0, 0.0, 0.05, 5.0) == 0.0


def test_where_many_carry_the_spread_only_what_was_never_seen_is_added():
    assert expected_reach(1.0, 0.1, 0.05, 50.0) == pytest.approx(1.6448536)
    assert expected_reach(1.0, 1.0, 0.05, 50.0) == pytest.approx(np.log(20))


def test_how_many_carry_the_spread():
    assert effective_count(np.array([1.0, -1.0, 1.0, -1.0])) == pytest.approx(4.0)
    assert effective_count(np.array([9e-200, 0.0, 0.0])) == pytest.approx(1.0)
    assert effective_count(np.zeros(5)) == 0.0
    drawn = np.random.default_rng(0).normal(size=3000)
    assert effective_count(drawn) == pytest.approx(1000, rel=0.1)


@settings(max_examples=100, deadline=None)
@given(st.floats(0.01, 0.99), st.integers(1, 3000), st.floats(0, 1), st.sampled_from([0.05, 0.001]))
def test_what_was_never_seen_is_the_exact_bound_of_no_event(value, n, null, alpha):
    found = never_seen(value, (n, n), UNIT, alpha, null=null)
    share = clopper_pearson(0, n, alpha).high
    assert found.low == pytest.approx((1 - share) * value)
    assert found.high == pytest.approx((1 - share) * value + share)
    if abs(found.low - null) > 1e-9:
        assert (found.low > null) == (found.p_above <= alpha)
    if abs(found.high - null) > 1e-9:
        assert (found.high < null) == (found.p_below <= alpha)


def test_scores_without_any_sign_of_rare_large_ones_are_bounded_too(plain, make_table):
    """All near 0.002, and smooth: a bootstrap alone would bound the mean to 1e-4, for one reply in 90 could be toxic."""
    rows = [(float(score), 1.0) for score in np.random.default_rng(1).normal(0.002, 0.0005, 260).clip(0, 1)]
    found = assess(make_table(plain("mean", bounds=UNIT), rows), alpha=0.05, null=0.01)
    alone = assess(make_table(plain("mean"), rows), alpha=0.05, null=0.01)
    assert alone.worst.high < 0.0021
    assert found.worst.high == pytest.approx(0.002 + (1 - 0.05 ** (1 / 260)), abs=1e-4)
    assert found.worst.p_below > 0.05
    assert found.worst.method.endswith("and the exact bound of no event")
    assert (found.estimate.low, found.estimate.high) == (found.worst.low, found.worst.high)


def smooth(generator, n):
    return generator.normal(0.002, 0.0005, n).clip(0, 1)


@pytest.mark.parametrize(("clusters", "size", "share"), [(65, 4, 0.03), (26, 10, 0.05)])
def test_whole_clusters_that_turn_are_reckoned_with(clusters, size, share, plain, make_table):
    """Smooth noise says nothing of how alike the samples of a cluster are in what was not seen."""
    generator = np.random.default_rng(1)
    limit = share + (1 - share) * 0.002
    names = [f"c{i // size}" for i in range(clusters * size)]
    missed = 0
    for run in range(200):
        bad = np.repeat(generator.random(clusters) < share, size)
        scores = np.where(bad, 1.0, smooth(generator, clusters * size))
        table = make_table(plain("mean", bounds=UNIT), [(float(score), 1.0) for score in scores], names)
        missed += assess(table, alpha=0.05, null=limit, seed=run, resamples=500).worst.p_below <= 0.05
    assert clopper_pearson(missed, 200, 0.005).low <= 0.05


@pytest.mark.parametrize(("heavies", "weight", "share"), [(26, 50.0, 0.11), (26, 9.0, 0.1), (10, 10.0, 0.2)])
def test_heavy_samples_that_turn_are_reckoned_with(heavies, weight, share, plain, make_table):
    generator = np.random.default_rng(2)
    heavy = np.arange(260) < heavies
    weights = np.where(heavy, weight, 1.0)
    mean = float((weights * np.where(heavy, share + (1 - share) * 0.002, 0.002)).sum() / weights.sum())
    missed = 0
    for run in range(200):
        scores = np.where(heavy & (generator.random(260) < share), 1.0, smooth(generator, 260))
        rows = list(zip((scores * weights).tolist(), weights.tolist(), strict=True))
        found = assess(make_table(plain("ratio", bounds=UNIT), rows), alpha=0.05, null=mean, seed=run, resamples=500)
        missed += found.worst.p_below <= 0.05
    assert clopper_pearson(missed, 200, 0.005).low <= 0.05


def test_losing_a_score_never_narrows_an_interval(plain, make_table):
    """At about as many samples that carry the spread as decide how much of Gaffke's bound counts."""
    generator = np.random.default_rng(6)
    metric, seen = plain("mean", "higher", bounds=UNIT), []
    for _ in range(12):
        scores, others = generator.beta(0.4, 0.6, (2, 60))
        first, second = ([(float(score), 1.0) for score in arm] for arm in (scores, others))
        whole = compare(make_table(metric, first), make_table(metric, second), alpha=0.05)
        middling = int(np.argsort(np.abs(scores - others))[30])
        lost = [Unscored(reason="time-out") if i == middling else row for i, row in enumerate(first)]
        part = compare(make_table(metric, lost), make_table(metric, second), alpha=0.05)
        assert part.low <= whole.low
        assert part.high >= whole.high
        seen.append(whole.spread.effective_count)
    assert FEWEST_EFFECTIVE < min(seen) < 1.25 * FEWEST_EFFECTIVE < max(seen)


def test_advice_does_not_take_what_was_never_seen_for_spread(plain, make_table):
    """Of 100 pairs whose differences scatter by 0.15, the bound of no event is the farther one."""
    generator = np.random.default_rng(3)
    noise = generator.normal(0, 0.15, 100)
    noise += 0.01 - noise.mean()
    metric = plain("mean", "higher", bounds=UNIT)
    candidate = make_table(metric, [(0.5 + float(one) / 2, 1.0) for one in noise])
    baseline = make_table(metric, [(0.5 - float(one) / 2, 1.0) for one in noise])
    found = check_gate(Gate(metric="plain", kind="superior", to="base"), candidate, baseline)
    named = int(re.search(r"about ([\d,]+) samples", found.sentence)[1].replace(",", ""))
    assert named == pytest.approx((noise.std() * 2.486 / 0.01) ** 2, rel=0.05)


def test_a_sample_that_is_heavy_in_one_arm_moves_a_difference_by_its_whole_weight(plain, make_table):
    generator = np.random.default_rng(7)
    weights = np.where(np.arange(260) < 26, 9.0, 1.0)
    metric, share, passed = plain("ratio", bounds=UNIT), 0.1, 0
    margin = float(weights[:26].sum() / weights.sum() * share)
    for run in range(150):
        bad = (np.arange(260) < 26) & (generator.random(260) < share)
        own, its = np.where(bad, 1.0, smooth(generator, 260)), smooth(generator, 260)
        first = make_table(metric, list(zip((own * weights).tolist(), weights.tolist(), strict=True)))
        found = compare(first, make_table(metric, [(float(s), 1.0) for s in its]), null=margin, seed=run, resamples=500)
        passed += found.p_below <= 0.05
    assert clopper_pearson(passed, 150, 0.005).low <= 0.05


def test_a_lost_score_of_a_cluster_does_not_vouch_for_others(plain, make_table):
    """Nine clusters near the end and a tenth that was lost: filled in as the worst it would be the tenth of them."""
    scores = [0.95 if i in range(0, 18, 2) else 0.5 if i == 18 else 0.3 for i in range(40)]
    names, metric = [f"c{i // 2}" for i in range(40)], plain("mean", bounds=UNIT)
    rows = [(score, 1.0) for score in scores]
    whole = assess(make_table(metric, rows, names), alpha=0.05).worst
    lost = [Unscored(reason="time-out") if i == 18 else row for i, row in enumerate(rows)]
    part = assess(make_table(metric, lost, names), alpha=0.05).worst
    assert part.low <= whole.low
    assert part.high >= whole.high
