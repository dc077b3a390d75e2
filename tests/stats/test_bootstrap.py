"""BCa against scipy, weights against their moments, bounds against p, coverage, speed and memory."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from harness.stats.interval import Inference
from harness_statistics import procedures
from harness_statistics.bootstrap import Resampled, bca, resampled_sums


def resampled(rows, seed=0, resamples=10_000):
    def estimate(sums):
        return sums[..., 0] / sums[..., 1]

    total = rows.sum(axis=0)
    return Resampled(
        value=float(estimate(total)), values=estimate(resampled_sums(rows, resamples, seed)),
        left_out=estimate(total - rows),
    )  # fmt: skip


def test_no_level_asks_for_more_resamples_than_memory_has(plain) -> None:
    rows = np.column_stack([np.random.default_rng(0).normal(size=30), np.ones(30)])
    found = procedures.weighted(plain("mean"), rows, np.arange(30), Inference(alpha=1e-12, null=0.0, resamples=1_000))
    assert found.low is None
    assert found.high is None
    assert "too few" in found.note
    assert f"{procedures.MOST_RESAMPLES:,} resamples" in found.method


def test_bca_is_scipys():
    generator = np.random.default_rng(5)
    rows = np.column_stack([generator.gamma(1.0, 5.0, 60), generator.integers(5, 30, 60)]).astype(float)
    ours = bca(resampled(rows), 0.05, expand=False)
    theirs = reference.bootstrap(
        (rows[:, 0], rows[:, 1]), lambda a, b, axis=-1: a.sum(axis) / b.sum(axis), paired=True, confidence_level=0.9,
        n_resamples=20_000, method="BCa", rng=np.random.default_rng(1),
    )  # fmt: skip
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.03 * width)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.03 * width)


@pytest.mark.parametrize("n", [50, 3000])
def test_sums_have_the_moments_of_multinomial_weights(n):
    rows = np.random.default_rng(0).normal(1e6, 1.0, (n, 1))
    sums = resampled_sums(rows, 4000, seed=1)[:, 0]
    assert sums.mean() == pytest.approx(rows.sum(), abs=4 * np.sqrt(n) / np.sqrt(4000))
    assert sums.std() == pytest.approx(rows.std() * np.sqrt(n), rel=0.06)


def test_the_seed_decides_the_weights_and_not_the_rows():
    rows = np.random.default_rng(0).normal(size=(80, 2))
    both = resampled_sums(np.hstack([rows, rows[:, :1]]), 500, seed=3)
    assert np.allclose(both[:, 0], both[:, 2])
    assert np.allclose(both[:, 0], resampled_sums(rows[:, :1], 500, seed=3)[:, 0], rtol=1e-4, atol=1e-4)
    assert not np.allclose(both[:, 0], resampled_sums(rows[:, :1], 500, seed=4)[:, 0])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(-0.6, 0.6), st.booleans(), st.integers(12, 60))
def test_bound_and_p_never_disagree(seed, null, strict, n):
    rows = np.column_stack([np.random.default_rng(seed).normal(0.1, 1.0, n).round(1), np.ones(n)])
    found = bca(resampled(rows, seed, 999), 0.05, null=null, strict=strict)
    if found.low is not None:
        assert (found.low > null if strict else found.low >= null) == (found.p_above <= 0.05 + 1e-12)
    if found.high is not None:
        assert (found.high < null if strict else found.high <= null) == (found.p_below <= 0.05 + 1e-12)


def test_undefined_resamples_count_against_both_bounds():
    rows = np.column_stack([np.arange(30.0), np.ones(30)])
    whole = resampled(rows)
    values = whole.values.copy()
    values[:4000] = np.nan
    found = bca(Resampled(value=whole.value, values=values, left_out=whole.left_out), 0.05)
    assert found.low is None
    assert found.high is None


@pytest.mark.parametrize(("n", "draw"), [(12, "normal"), (30, "gamma"), (100, "gamma")])
def test_each_bound_covers_about_as_often_as_it_says(n, draw, monkeypatch, plain):
    generator = np.random.default_rng(17)
    below = above = 0
    for i in range(400):
        data = generator.normal(2.0, 1.0, n) if draw == "normal" else generator.gamma(1.0, 2.0, n)
        rows = np.column_stack([data, np.ones(n)])
        found = procedures.weighted(plain("mean"), rows, np.arange(n), Inference(seed=i, resamples=999))
        below += found.low is not None and found.low > 2.0
        above += found.high is not None and found.high < 2.0
    # Three standard errors of 400 trials are 3.3 points; skewed data of 30 cost the upper bound a few points more.
    assert below / 400 <= 0.083
    assert above / 400 <= (0.083 if draw == "normal" or n == 100 else 0.12)


def few(plain, values, null=None, bounds=(0.0, 1.0)):
    rows = np.column_stack([values, np.ones(len(values))])
    return procedures.weighted(
        plain("mean", bounds=bounds), rows, np.arange(len(values)), Inference(null=null, resamples=999)
    )


def test_equal_values_never_have_zero_width(plain):
    found = few(plain, np.ones(30), null=0.9)
    assert found.low == pytest.approx(0.05 ** (1 / 30))
    assert found.p_above == pytest.approx(0.9**30)
    assert found.method == "the exact bound of no event"
    assert few(plain, np.ones(30), bounds=None).low is None


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.data(), st.floats(0.0, 1.0))
def test_the_bound_of_few_differences_agrees_with_its_p(plain, n, data, null):
    count = data.draw(st.integers(0, n // 2))
    values = np.concatenate([np.full(n - count, 0.3), data.draw(st.just(np.linspace(0.5, 1.0, count)))])
    found = few(plain, values, null)
    for distance, p in ((found.low - null, found.p_above), (null - found.high, found.p_below)):
        assert (distance >= 0) == (p <= 0.05) or abs(distance) < 1e-6


def test_rare_large_values_are_covered(plain):
    generator = np.random.default_rng(2)
    missed = 0
    for _ in range(300):
        values = np.where(generator.random(60) < 0.05, 1.0, 0.0)
        if np.count_nonzero(values) < 10:
            missed += few(plain, values).high < 0.05
    assert missed / 300 <= 0.05 + 0.03


@pytest.mark.parametrize("skewed", [False, True])
def test_random_groups_of_many_samples_give_the_interval_of_all_of_them(monkeypatch, plain, skewed):
    generator = np.random.default_rng(4)
    weights = generator.integers(5, 40, 6_000).astype(float)
    values = generator.gamma(0.3, 3.0, 6_000) if skewed else generator.normal(1.0, 1.0, 6_000)
    rows = np.column_stack([values * weights, weights])

    def interval():
        return procedures.weighted(plain("ratio"), rows, np.arange(6_000), Inference(null=0.9, seed=1, resamples=4_000))

    whole = interval()
    monkeypatch.setattr(procedures, "MOST_UNITS", 600)
    grouped = interval()
    assert grouped.method == "BCa and t bootstrap (4,000 resamples of 600 random groups)"
    # About 3 % from the groups, as much from the resamples.
    assert grouped.high - grouped.low == pytest.approx(whole.high - whole.low, rel=0.12)
    assert (grouped.low + grouped.high) / 2 == pytest.approx((whole.low + whole.high) / 2, abs=0.02)
    assert grouped.p_above == pytest.approx(whole.p_above, abs=0.03)


def test_two_hundred_thousand_samples_take_no_more_than_ten_thousand(plain):
    rows = np.column_stack([np.random.default_rng(0).normal(size=200_000), np.ones(200_000)])
    tracemalloc.start()
    start = time.process_time()
    procedures.weighted(plain("mean"), rows, np.arange(200_000), Inference())
    seconds = time.process_time() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    assert seconds < 10


def test_ten_thousand_by_ten_thousand_is_quick_and_small():
    rows = np.random.default_rng(0).normal(size=(10_000, 4))
    tracemalloc.start()
    start = time.process_time()
    resampled_sums(rows, 10_000, seed=0)
    seconds = time.process_time() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
    # About 1 s alone; the limit leaves room for machines that are busy or slower.
    assert seconds < 8
