"""Clopper–Pearson against scipy and by enumeration; effective sample sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, f_oneway

from harness.stats.proportion import clopper_pearson, effective_size, intraclass_correlation


@given(st.integers(1, 400), st.data(), st.sampled_from([0.005, 0.025, 0.05, 0.1]), st.floats(0.01, 0.99))
def test_it_is_scipys_exact_interval_and_its_p_are_the_binomial_tails(n, data, alpha, null):
    events = data.draw(st.integers(0, n))
    found = clopper_pearson(events, n, alpha, null=null)
    exact = binomtest(events, n).proportion_ci(1 - 2 * alpha, method="exact")
    assert found.low == pytest.approx(exact.low, abs=1e-9)
    assert found.high == pytest.approx(exact.high, abs=1e-9)
    assert found.p_above == pytest.approx(binomtest(events, n, null, alternative="greater").pvalue, abs=1e-9)
    assert found.p_below == pytest.approx(binomtest(events, n, null, alternative="less").pvalue, abs=1e-9)


@given(st.integers(1, 300), st.data(), st.floats(0.01, 0.99))
def test_bound_and_p_never_disagree(n, data, null):
    found = clopper_pearson(data.draw(st.integers(0, n)), n, 0.05, null=null)
    for clears, p in ((found.low > null, found.p_above), (found.high < null, found.p_below)):
        assert clears == (p < 0.05) or p == pytest.approx(0.05, abs=1e-9)


@pytest.mark.parametrize("n", [1, 7, 30, 120])
def test_each_bound_misses_the_truth_at_most_at_its_level(n):
    bounds = [clopper_pearson(x, n, 0.05) for x in range(n + 1)]
    for truth in np.linspace(0.001, 0.999, 97):
        weight = binom.pmf(np.arange(n + 1), n, truth)
        assert sum(w for w, b in zip(weight, bounds, strict=True) if b.low > truth) <= 0.05 + 1e-9
        assert sum(w for w, b in zip(weight, bounds, strict=True) if b.high < truth) <= 0.05 + 1e-9


def test_zero_events_have_a_width_and_no_data_bounds_nothing():
    assert clopper_pearson(0, 59, 0.05).high == pytest.approx(1 - 0.05 ** (1 / 59))
    nothing = clopper_pearson(0, 0, 0.05, null=0.5)
    assert (nothing.low, nothing.high, nothing.p_above, nothing.p_below) == (0.0, 1.0, 1.0, 1.0)


def test_independent_samples_keep_their_number():
    assert effective_size(np.array([1.0, 0, 0, 1]), np.arange(4), 0.05).n == 4


def test_clusters_that_repeat_one_answer_count_once():
    values = np.repeat(np.random.default_rng(1).integers(0, 2, 60), 5).astype(float)
    found = effective_size(values, np.repeat(np.arange(60), 5), 0.05)
    assert found.clustered
    assert found.n == pytest.approx(60, rel=0.05)


def test_equal_answers_do_not_hide_the_clusters():
    assert effective_size(np.zeros(100), np.repeat(np.arange(25), 4), 0.05).n <= 25


def test_a_few_rare_events_do_not_show_that_clusters_are_mixed():
    groups = np.repeat(np.arange(25), 4)
    bounds = []
    for events in range(9):
        values = np.zeros(100)
        values[: 4 * events : 4] = 1.0  # each in a cluster of its own
        size = effective_size(values, groups, 0.05).n
        bounds.append(clopper_pearson(values.mean() * size, size, 0.05).high)
    assert bounds == sorted(bounds)  # one event more never makes a candidate look better


@pytest.mark.parametrize("alpha", [0.05, 0.0076])
@pytest.mark.parametrize("correlation", [0.3, 0.6])
def test_a_candidate_at_the_limit_passes_rarely_where_few_clusters_hold_all_events(alpha, correlation):
    generator = np.random.default_rng(5)
    limit, k, m, times = 0.05, 30, 10, 2000
    shape = (1 - correlation) / correlation
    rates = generator.beta(limit * shape, (1 - limit) * shape, size=(times, k))
    events = np.sort(generator.binomial(m, rates), axis=1)
    different, inverse = np.unique(events, axis=0, return_inverse=True)
    passed = []
    for counts in different:
        values = (np.arange(m)[None, :] < counts[:, None]).astype(float).ravel()
        size = effective_size(values, np.repeat(np.arange(k), m), alpha).n
        passed.append((clopper_pearson(values.mean() * size, size, alpha).high or 0) <= limit)
    error = (alpha * (1 - alpha) / times) ** 0.5
    assert np.array(passed)[inverse.reshape(-1)].mean() <= alpha + 3 * error


def test_clusters_without_correlation_cost_almost_nothing():
    values = np.tile([0.0, 1.0], 100)
    found = effective_size(values, np.repeat(np.arange(100), 2), 0.05)
    assert 190 < found.n <= 200


@pytest.mark.parametrize("seed", range(4))
def test_the_intraclass_correlation_is_that_of_the_analysis_of_variance(seed):
    generator = np.random.default_rng(seed)
    values = (generator.random((50, 6)) < generator.beta(1, 2, size=50)[:, None]).astype(float)
    ratio = f_oneway(*values).statistic
    groups = np.repeat(np.arange(50), 6)
    found = intraclass_correlation(values.ravel(), groups)
    assert found == pytest.approx((ratio - 1) / (ratio - 1 + 6))
    # Kish's design effect with it is the linearised one, up to the clusters' own degrees of freedom.
    effective = effective_size(values.ravel(), groups, 0.05)
    kish = 300 / (1 + 5 * found)
    assert effective.n == pytest.approx(kish, rel=0.1)
    assert f"intraclass correlation {found:.2f}" in effective.note


def test_the_intraclass_correlation_of_unequal_clusters_and_where_there_is_none():
    groups = np.repeat(np.arange(4), [1, 2, 3, 4])
    values = groups.astype(float)
    assert intraclass_correlation(values, groups) == pytest.approx(1.0)
    assert intraclass_correlation(np.zeros(10), groups) is None
    assert intraclass_correlation(values, np.arange(10)) is None
    assert intraclass_correlation(np.array([0.0, 1, 0, 1]), np.array([0, 0, 1, 1])) < 0


def test_few_clusters_say_so():
    found = effective_size(np.tile([0.0, 1.0, 1.0], 8), np.repeat(np.arange(8), 3), 0.05)
    assert found.too_few
    assert "fewer than the 20" in found.note


def test_clustered_bounds_cover_where_naive_ones_do_not():
    generator = np.random.default_rng(3)
    missed = naive = 0
    for _ in range(400):
        rate = generator.beta(0.5, 4.5, size=40)
        values = (generator.random((40, 5)) < rate[:, None]).astype(float).ravel()
        size = effective_size(values, np.repeat(np.arange(40), 5), 0.05).n
        missed += (clopper_pearson(values.mean() * size, size, 0.05).high or 0) < 0.1
        naive += (clopper_pearson(values.sum(), 200, 0.05).high or 0) < 0.1
    assert missed / 400 < 0.08 < naive / 400
