"""The exact power of paired gates against enumeration by the very interval that gates use."""

from __future__ import annotations

from math import comb, inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.paired import paired_difference
from harness_gates.power import (
    POWER,
    equivalence_samples,
    pair_variance,
    paired_detectable,
    paired_equivalence_samples,
    paired_samples,
)
from harness_gates.trinomial import EXACT_UP_TO, paired_power

LINES = (-0.3, -0.1, 0.0, 0.1, 0.2)


def enumerated(gains, losses, n, alpha, least, greatest):
    total = 0.0
    for b in range(n + 1):
        for c in range(n + 1 - b):
            found = paired_difference(b, c, n, alpha)
            if (least == -inf or found.low > least) and (greatest == inf or found.high < greatest):
                total += comb(n, b) * comb(n - b, c) * gains**b * losses**c * (1 - gains - losses) ** (n - b - c)
    return total


@settings(max_examples=40, deadline=None)
@given(
    gains=st.floats(0.0, 0.5), losses=st.floats(0.0, 0.5), n=st.integers(1, 24),
    alpha=st.sampled_from([0.1, 0.05, 0.01]), least=st.sampled_from([-inf, *LINES]),
    greatest=st.sampled_from([inf, *LINES]),
)  # fmt: skip
def test_it_is_the_enumerated_power(gains, losses, n, alpha, least, greatest):
    expected = enumerated(gains, losses, n, alpha, least, greatest)
    found = paired_power(gains, losses, n, alpha, least=least, greatest=greatest)
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("gains", "losses"), [(0.1, 0.1), (0.05, 0.03), (0.02, 0.02), (0.0, 0.01), (0.2, 0.22)])
@pytest.mark.parametrize("margin", [0.03, 0.05, 0.1])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 13, 0.0005])
def test_planned_pairs_have_the_power_that_is_promised(gains, losses, margin, alpha):
    line = {"least": -margin} if gains - losses > -margin else {"greatest": -margin}
    n = paired_samples(gains, losses, gains - losses + margin, alpha)
    assert n is not None
    if n < EXACT_UP_TO:
        assert (
            paired_power(gains, losses, n, alpha, **line)
            >= POWER
            > paired_power(gains, losses, n * 9 // 10, alpha, **line)
        )
    n = paired_equivalence_samples(gains, losses, margin, alpha)
    if n is not None and n < EXACT_UP_TO and abs(gains - losses) < margin:
        assert paired_power(gains, losses, n, alpha, least=-margin, greatest=margin) >= POWER
        # which the normal approximation promised and did not keep
        assert n >= equivalence_samples(pair_variance(gains, losses), gains - losses, margin, alpha) - n // 20


@pytest.mark.parametrize("lines", [{"least": -0.05}, {"greatest": 0.05}, {"least": -0.05, "greatest": 0.05}])
def test_what_is_detected_is_shown_as_often_as_is_said(lines):
    distance = paired_detectable(1500, 0.05, 0.8, 0.2, **lines)
    difference = lines.get("least", 0.0) + distance if "least" in lines else 0.05 - distance
    shares = (0.2 + difference) / 2, (0.2 - difference) / 2
    assert paired_power(*shares, 1500, 0.05, **lines) == pytest.approx(0.8, abs=0.002)
    assert paired_detectable(10, 0.05, 0.8, 0.2, least=-0.05, greatest=0.05) is None
