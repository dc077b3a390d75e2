"""Tango's interval from first principles and from print; exact McNemar; the size of the test that gates use."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest

from harness.stats.paired import mcnemar_p, paired_difference, tango, tango_z

COUNTS = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(1, 200))


def test_the_published_example():
    # Airway hyper-responsiveness before and after stem cell transplantation: Fagerland, Lydersen and Laake (2014), table V.
    found = tango(1, 7, 21, 0.025)
    assert (round(found.low, 3), round(found.high, 3)) == (-0.517, -0.026)


@pytest.mark.parametrize(("gains", "losses", "n", "truth"), [(3, 9, 60, 0.1), (9, 3, 60, -0.05), (5, 5, 40, 0.3)])
def test_the_statistic_is_the_score_at_the_constrained_maximum(gains, losses, n, truth):
    def minus_log_likelihood(q):
        return -(
            gains * math.log(q + truth) + losses * math.log(q) + (n - gains - losses) * math.log(1 - 2 * q - truth)
        )

    start = max(0.0, -truth)
    q = minimize_scalar(minus_log_likelihood, bounds=(start + 1e-9, (1 - truth) / 2 - 1e-9), method="bounded",
                        options={"xatol": 1e-12}).x  # fmt: skip
    variance = (2 * q + truth - truth**2) / n
    assert tango_z(gains, losses, n, truth) == pytest.approx(
        ((gains - losses) / n - truth) / math.sqrt(variance), rel=1e-4
    )


@given(st.integers(1, 500))
def test_without_a_discordant_pair_there_is_still_a_width(n):
    z2 = 1.6448536269514722**2
    found = tango(0, 0, n, 0.05)
    assert found.high == pytest.approx(z2 / (n + z2), abs=1e-9)
    assert found.low == pytest.approx(-found.high, abs=1e-9)


@given(COUNTS)
def test_swapping_the_arms_mirrors_the_interval(counts):
    gains, losses, same = counts
    n = gains + losses + same
    one, other = paired_difference(gains, losses, n, 0.05), paired_difference(losses, gains, n, 0.05)
    assert one.low == pytest.approx(-other.high, abs=1e-9)
    assert one.p_above == other.p_below
    assert one.low <= (gains - losses) / n <= one.high


@example((3, 0, 1), 0.03125)
@given(COUNTS, st.floats(-0.3, 0.3))
def test_bound_and_p_never_disagree(counts, null):
    gains, losses, same = counts
    found = paired_difference(gains, losses, gains + losses + same, 0.05, null=null)
    for distance, p in ((found.low - null, found.p_above), (null - found.high, found.p_below)):
        assert (distance > 0) == (p < 0.05) or abs(distance) < 1e-6


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_is_the_binomial_test(wins, other):
    expected = binomtest(wins, wins + other, 0.5, alternative="greater").pvalue if wins + other else 1.0
    assert mcnemar_p(wins, other) == pytest.approx(expected, abs=1e-9)


@given(COUNTS)
def test_zero_is_excluded_only_where_the_exact_test_rejects(counts):
    gains, losses, same = counts
    found = paired_difference(gains, losses, gains + losses + same, 0.05)
    assert (found.low > 0) == (mcnemar_p(gains, losses) <= 0.05)
    assert (found.high < 0) == (mcnemar_p(losses, gains) <= 0.05)


@pytest.mark.parametrize(("n", "margin"), [(36, 0.08), (60, 0.08), (120, 0.08), (120, 0.05)])
def test_a_candidate_at_the_margin_seldom_passes(n, margin):
    passes = np.zeros((n + 1, n + 1), dtype=bool)
    for gains in range(n + 1):
        for losses in range(n + 1 - gains):
            if paired_difference(gains, losses, n, 0.05, null=-margin).p_above > 0.05:
                break
            passes[gains, losses] = True
    for gained in (0.0, 0.01, 0.03, 0.1, 0.25):
        size = 0.0
        for gains in np.flatnonzero(passes.any(axis=1)):
            most = np.flatnonzero(passes[gains]).max()
            size += binom.pmf(gains, n, gained) * binom.cdf(most, n - gains, (gained + margin) / (1 - gained))
        # Tango's test is a large-sample one: half a point above its level at worst, and exact where only losses occur.
        assert size <= (0.05 if gained == 0 else 0.056)


def test_no_pairs_bound_nothing():
    found = paired_difference(0, 0, 0, 0.05)
    assert (found.low, found.high, found.p_above) == (-1.0, 1.0, 1.0)
