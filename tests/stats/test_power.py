"""Sample sizes against enumeration and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, binom

from harness.stats.paired import paired_difference
from harness.stats.power import binomial_power, mean_samples, paired_samples, proportion_samples


@pytest.mark.parametrize("n", [1, 9, 10, 58, 59, 300])
@pytest.mark.parametrize("limit", [0.05, 0.3, 0.9])
def test_binomial_power_is_the_enumerated_one(n, limit):
    counts = np.arange(n)
    clears = beta.ppf(0.95, counts + 1, n - counts) <= limit
    for rate in (0.0, 0.02, 0.25):
        expected = binom.pmf(counts[clears], n, rate).sum()
        assert binomial_power(rate, limit, n, 0.05) == pytest.approx(expected, abs=1e-9)
        assert binomial_power(1 - rate, 1 - limit, n, 0.05, above=True) == pytest.approx(expected, abs=1e-9)


def test_samples_for_a_rate():
    assert proportion_samples(0.0, 0.05, 0.05) == 59
    needed = proportion_samples(1 / 30, 0.05, 0.05)
    assert binomial_power(1 / 30, 0.05, needed, 0.05) >= 0.8
    assert 900 < needed < 1000
    assert proportion_samples(0.05, 0.05, 0.05) is None
    assert proportion_samples(0.1, 0.0, 0.05) is None


def test_samples_for_pairs_have_the_power_that_they_claim():
    n = paired_samples(0.08, 0.08, 0.08, 0.05)
    drawn = np.random.default_rng(0).multinomial(n, [0.08, 0.08, 0.84], 800)
    passed = np.mean([paired_difference(g, c, n, 0.05, null=-0.08).p_above <= 0.05 for g, c, _ in drawn])
    assert passed == pytest.approx(0.8, abs=0.05)


def test_no_distance_cannot_be_decided():
    assert paired_samples(0.1, 0.1, 0.0, 0.05) is None
    assert mean_samples(0.1, 100, 0.0, 0.05) is None
    assert mean_samples(1.0, 100, 1e-6, 0.05) is None
    assert mean_samples(0.1, 100, 0.1, 0.05) == 619
