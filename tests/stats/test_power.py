"""Sample sizes against enumeration and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, binom

from harness.api.stats import check_gate
from harness.stats.paired import mcnemar_p, paired_difference
from harness.types import Gate
from harness_gates.power import (
    binomial_power,
    equivalence_power,
    mcnemar_power,
    mcnemar_samples,
    mean_samples,
    paired_samples,
    proportion_samples,
    smallest,
)


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


@pytest.mark.parametrize(
    ("gains", "losses", "n", "alpha"),
    [(0.2, 0.1, 60, 0.05), (0.3, 0.0, 7, 0.05), (0.1, 0.1, 40, 0.05), (0.7, 0.3, 30, 0.01), (1.0, 0.0, 4, 0.05)],
)
def test_mcnemars_power_is_the_enumerated_one(gains, losses, n, alpha):
    expected = sum(
        binom.pmf(pairs, n, gains + losses) * binom.pmf(wins, pairs, gains / (gains + losses))
        for pairs in range(n + 1)
        for wins in range(pairs + 1)
        if mcnemar_p(wins, pairs - wins) <= alpha
    )
    assert mcnemar_power(gains, losses, n, alpha) == pytest.approx(expected, abs=1e-9)


def test_samples_for_mcnemar_have_the_power_that_they_claim():
    n = mcnemar_samples(0.1, 0.2, 0.05)
    assert mcnemar_power(0.2, 0.1, n, 0.05) == pytest.approx(0.8, abs=0.02)
    for gains, losses, alpha in ((0.1, 0.02, 0.01), (0.05, 0.0, 0.05), (0.1, 0.0, 0.001), (0.1, 0.01, 1e-5)):
        n = mcnemar_samples(gains, losses, alpha)
        assert mcnemar_power(gains, losses, n, alpha) >= 0.8 > mcnemar_power(gains, losses, round(0.97 * n), alpha)
    assert mcnemar_samples(0.1, 0.1, 0.05) is None
    assert mcnemar_power(0.0, 0.0, 100, 0.05) == 0.0


@pytest.mark.parametrize(
    ("rate", "size", "limit"),
    [(0.01, 0.9, 0.03), (0.05, 0.1, 0.05), (0.02, 0.2, 0.03), (0.03, 0.9, 0.08), (0.3, 0.6, 0.25), (0.1, 0.1, 0.05)],
)
def test_samples_for_large_scores_have_the_power_that_they_claim(rate, size, limit, plain, make_table):
    """Scores of one size in some samples, 0 else, and the gate itself."""
    spread, value = size * np.sqrt(rate * (1 - rate)), size * rate
    kurtosis = 1 / (rate * (1 - rate)) - 3
    n = mean_samples(spread, 1, limit - value, 0.05, worst=1.0 - value, kurtosis=kurtosis)
    gate, metric = Gate(metric="plain", kind="max", limit=limit), plain("mean", bounds=(0.0, 1.0))
    passed = {}
    events = np.random.default_rng(0).binomial(n, rate, 400).tolist()
    for count in set(events):
        rows = [(size, 1.0)] * count + [(0.0, 1.0)] * (n - count)
        passed[count] = check_gate(gate, make_table(metric, rows), resamples=1000).status == "passed"
    assert 0.55 <= np.mean([passed[count] for count in events]) <= 0.95


def test_what_was_not_seen_lowers_the_power_of_sameness():
    plain = equivalence_power(0.01, 0.0, 0.012, 400, 0.05)
    assert plain > equivalence_power(0.01, 0.0, 0.012, 400, 0.05, worst=1.0, kurtosis=50.0) > 0.0
    assert plain == equivalence_power(0.01, 0.0, 0.012, 400, 0.05, worst=0.1)
    assert equivalence_power(0.0, 0.0, 0.03, 400, 0.05, worst=1.0) == 1.0
    assert equivalence_power(0.0, 0.0, 0.007, 400, 0.05, worst=1.0) == 0.0


def test_no_more_samples_are_named_than_the_most():
    assert smallest(lambda n: n >= 600_000) == 600_000
    assert smallest(lambda n: n >= 1_000_001) is None
