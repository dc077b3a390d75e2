"""Prediction-powered shares: the paper's estimator, the theory's gain, and bounds that hold whatever the critic is."""

from __future__ import annotations

import numpy as np
import pytest

from harness.stats.proportion import clopper_pearson
from harness_review.prediction_powered import Cell, powered_by_cells, powered_value, prediction_powered_mean


def reference_data():
    """Return labels and predictions without a random generator, for figures of another package."""
    i = np.arange(600)
    predictions = (0.5 + 0.5 * np.sin(i * 0.7) > 0.6).astype(float)
    labels = (0.5 + 0.45 * np.sin(i * 0.7) + 0.3 * np.cos(i * 1.3) > 0.55).astype(float)
    return labels[:120], predictions


# ppi-python 0.2.3: ppi_mean_pointestimate and ppi_mean_ci(labels, f[:120], f[120:], alpha=0.1, lam=lam).
@pytest.mark.parametrize(("lam", "value", "low", "high"), [
    (None, 0.48451056, 0.4261175018528122, 0.5429036092457409),
    (0.0, 0.48333333, 0.40829810140439804, 0.5583685652622686),
    (0.5, 0.484375, 0.42572139120036107, 0.5430286087996389),
])  # fmt: skip
def test_it_agrees_with_ppi_python(lam, value, low, high):
    labels, predictions = reference_data()
    power = None if lam is None else lam * (1 + 120 / 480)  # of all samples, not of those without a label
    found = prediction_powered_mean(labels, predictions[:120], np.full(120, 0.2), predictions, power=power)
    # Its tuned λ comes from variances pooled over both parts, ours from the labelled part.
    assert found.value == pytest.approx(value, abs=1e-8 if lam is not None else 2e-3)
    assert 1.645 * found.error == pytest.approx((high - low) / 2, rel=0.03)


def test_the_gain_is_the_theorys():
    rng = np.random.default_rng(5)
    rho, n, without = 0.7, 100, 1000
    total = n + without
    powered, alone = [], []
    for _ in range(1500):
        labels = (rng.random(total) < 0.5).astype(float)
        # Of two binary numbers with equal rates, the share of agreement is (1 + ρ) / 2.
        predictions = np.where(rng.random(total) < (1 + rho) / 2, labels, 1 - labels)
        drawn = np.arange(n)
        chances = np.full(n, n / total)
        powered.append(prediction_powered_mean(labels[drawn], predictions[drawn], chances, predictions).value)
        alone.append(labels[drawn].mean())
    gain = np.var(alone) / np.var(powered)
    assert gain == pytest.approx(1 / (1 - rho**2 * without / total), rel=0.1)


def test_the_standard_error_is_the_spread_of_the_estimates_also_of_unequal_probabilities():
    rng = np.random.default_rng(6)
    total, near = 600, 150
    estimates, errors = [], []
    for _ in range(1500):
        predictions = (rng.random(total) < 0.3).astype(float)
        hard = np.arange(total) < near
        wrong = rng.random(total) < np.where(hard, 0.4, 0.05)
        labels = np.where(wrong, 1 - predictions, predictions)
        drawn = np.concatenate([rng.permutation(near)[:60], near + rng.permutation(total - near)[:60]])
        chances = np.where(hard[drawn], 60 / near, 60 / (total - near))
        found = prediction_powered_mean(labels[drawn], predictions[drawn], chances, predictions)
        estimates.append(found.value)
        errors.append(found.error)
    truth = 0.3 + (0.25 * 0.4 + 0.75 * 0.05) * (1 - 2 * 0.3)
    assert np.mean(estimates) == pytest.approx(truth, abs=0.005)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(estimates), rel=0.08)


def test_by_cells_is_the_tuned_estimator_where_predictions_are_yes_or_no():
    labels, predictions = reference_data()
    tuned = prediction_powered_mean(labels, predictions[:120], np.full(120, 0.2), predictions)
    cells = [
        Cell(
            samples=int((predictions == said).sum()), labelled=int((predictions[:120] == said).sum()),
            gains=int(labels[predictions[:120] == said].sum()),
        )
        for said in (0, 1)
    ]  # fmt: skip
    assert powered_value(cells) == pytest.approx(tuned.value, abs=1e-12)
    found = powered_by_cells(cells, 0.05, null=0.4)
    assert found.low < tuned.value < found.high
    # Exact bounds are wider than the normal interval, and narrower than those of the labels alone.
    exact = clopper_pearson(labels.sum(), 120, 0.05)
    assert 2 * 1.645 * tuned.error < found.high - found.low < exact.high - exact.low


def test_a_critic_that_is_never_wrong_leaves_no_interval_of_width_zero():
    cells = [Cell(samples=900, labelled=90, gains=0), Cell(samples=100, labelled=10, gains=10)]
    found = powered_by_cells(cells, 0.05)
    assert powered_value(cells) == 0.1
    assert found.low < 0.09
    assert found.high > 0.12


def test_bounds_and_p_values_agree():
    cells = [Cell(samples=300, labelled=40, gains=8), Cell(samples=200, labelled=30, gains=27)]
    found = powered_by_cells(cells, 0.05)
    at_low, at_high = (powered_by_cells(cells, 0.05, null=end) for end in (found.low, found.high))
    assert at_low.p_above == pytest.approx(0.05, abs=1e-6)
    assert at_high.p_below == pytest.approx(0.05, abs=1e-6)
    narrower = powered_by_cells(cells, 0.2)
    assert found.low < narrower.low < narrower.high < found.high


def test_what_nobody_could_say_counts_as_the_worst_at_each_bound():
    known = [Cell(samples=300, labelled=40, gains=20)]
    skipped = [Cell(samples=300, labelled=40, gains=15, skipped=10)]
    whole, part = powered_by_cells(known, 0.05), powered_by_cells(skipped, 0.05)
    assert part.low < whole.low < whole.high < part.high
    silent = [*known, Cell(stratum="no reply", samples=100, labelled=0, gains=0)]
    assert powered_by_cells(silent, 0.05).low < 0.75 * whole.low + 1e-9
    assert powered_by_cells(silent, 0.05).high > 0.75 * whole.high + 0.25 - 0.05


def _missed(rng, rate, sensitivity, specificity, *, labelled):
    """Return how often one-sided 5 % bounds miss the truth, below and above, of 400 samples."""
    low = high = 0
    repeats, total = 250, 400
    for _ in range(repeats):
        truth = rng.random(total) < rate
        said = np.where(truth, rng.random(total) < sensitivity, rng.random(total) >= specificity)
        drawn = rng.permutation(total)[:labelled]
        cells = [
            Cell(
                samples=int((said == one).sum()), labelled=int((said[drawn] == one).sum()),
                gains=int(truth[drawn][said[drawn] == one].sum()),
            )
            for one in (False, True)
            if (said == one).any()
        ]  # fmt: skip
        found = powered_by_cells(cells, 0.05)
        low += found.low > rate
        high += found.high < rate
    return low / repeats, high / repeats


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.95])
@pytest.mark.parametrize(("sensitivity", "specificity"), [(0.9, 0.95), (0.5, 0.5), (0.3, 0.4), (1.0, 1.0)],
                         ids=["good", "coin", "drifted", "never wrong"])  # fmt: skip
def test_bounds_hold_with_fifty_labels_whatever_the_critic_is(rate, sensitivity, specificity):
    low, high = _missed(np.random.default_rng(7), rate, sensitivity, specificity, labelled=50)
    # 5 % is allowed; of 250 draws 9.2 % would be three standard errors more. The seed makes it the same every time.
    assert max(low, high) <= 0.092
