"""Levels of looks and of attempts that follow from what was found before."""

from __future__ import annotations

import numpy as np
import pytest

from harness.stats.sequential import look_levels
from harness_promotion.saffron import saffron_level


def test_the_looks_levels_are_those_of_lan_and_demets():
    # Five equal looks at one-sided 2.5 %, spending like Pocock: z = 2.438, 2.427, 2.410, 2.397, 2.386.
    found = look_levels(0.025, (0.2, 0.4, 0.6, 0.8, 1.0))
    assert found == pytest.approx((0.00738, 0.00762, 0.00797, 0.00827, 0.00852), abs=2e-5)
    assert look_levels(0.05, (1.0,)) == pytest.approx((0.05,))


@pytest.mark.parametrize(("alpha", "shares"), [(0.05, (0.25, 0.5, 1.0)), (0.0304, (0.1, 1.0))])
def test_the_looks_together_spend_the_level(alpha, shares):
    from scipy.special import ndtri

    steps = np.sqrt(np.diff((0.0, *shares)))
    paths = np.cumsum(np.random.default_rng(0).normal(size=(400_000, len(shares))) * steps, axis=1) / np.sqrt(shares)
    passed = (paths > -ndtri(np.array(look_levels(alpha, shares)))).any(axis=1).mean()
    assert passed == pytest.approx(alpha, abs=4 * np.sqrt(alpha / 400_000))


def test_shares_must_rise_to_one():
    for wrong in ((), (0.5,), (0.5, 0.5, 1.0), (0.0, 1.0)):
        with pytest.raises(ValueError, match="must rise to 1"):
            look_levels(0.05, wrong)


def test_saffron_keeps_the_false_discovery_rate_and_candidates_cost_nothing():
    assert saffron_level(0.05, [(0.4, False)]) == saffron_level(0.05, [])
    assert saffron_level(0.05, [(0.9, False)]) < saffron_level(0.05, [])
    generator, rates = np.random.default_rng(1), []
    for _ in range(300):
        history, wrong = [], 0
        for _ in range(40):
            good = generator.random() < 0.3
            p = float(generator.random() ** (12 if good else 1))
            went = p <= saffron_level(0.2, history)
            history.append((p, went))
            wrong += went and not good
        rates.append(wrong / max(1, sum(went for _, went in history)))
    assert np.mean(rates) < 0.2
