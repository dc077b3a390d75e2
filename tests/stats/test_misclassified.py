"""The correction for a labeller's errors, against print and against simulated labellers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binom

from harness.stats.misclassified import (
    calibration_problem,
    corrected_interval,
    exact_together,
    lang_reiczigel,
    rogan_gladen,
    youden_bound,
)
from harness.types import Calibration
from harness_gates.power import corrected_samples


def labeller(sensitivity, specificity):
    return Calibration(sensitivity=sensitivity, specificity=specificity)


GOOD = labeller((190, 200), (180, 200))
COUNTS = st.integers(20, 300).flatmap(lambda n: st.tuples(st.integers(int(0.75 * n), n), st.just(n)))
LABELLERS = st.builds(labeller, COUNTS, COUNTS)


@pytest.mark.parametrize(
    ("events", "n", "known", "low", "high"),
    [
        (4060, 11281, labeller((178, 179), (358, 359)), 0.349, 0.372),
        (51, 2971, labeller((32, 33), (20, 20)), 0.0, 0.053),
    ],
)
def test_the_published_examples(events, n, known, low, high):
    # Lang and Reiczigel (2014), examples 1 and 2; also those of prevSeSp in the R package asht. Two-sided 95 %.
    found = lang_reiczigel(events, n, known, 0.025)
    assert (round(found.low, 3), round(found.high, 3)) == (low, high)


def test_the_estimate_undoes_the_labelling():
    seen = 0.3 * 0.95 + 0.7 * 0.1
    assert rogan_gladen(seen, GOOD) == pytest.approx(0.3)
    assert rogan_gladen(0.02, GOOD) == 0.0
    assert rogan_gladen(1.0, GOOD) == 1.0


def test_a_perfect_labeller_changes_little():
    perfect = labeller((100_000, 100_000), (100_000, 100_000))
    found = lang_reiczigel(30, 200, perfect, 0.05)
    # What is left is the Agresti–Coull interval of the count itself.
    assert rogan_gladen(0.15, perfect) == pytest.approx(0.15)
    assert (found.low, found.high) == (pytest.approx(0.1132, abs=1e-3), pytest.approx(0.1962, abs=1e-3))


@given(LABELLERS, st.integers(20, 400), st.floats(0, 1), st.floats(0.01, 0.99), st.sampled_from([0.05, 0.01, 0.001]))
def test_bounds_hold_the_estimate_and_agree_with_p(known, n, share, null, alpha):
    assume(not calibration_problem(known, alpha))
    events = round(share * n)
    found = lang_reiczigel(events, n, known, alpha, null=null)
    assert 0 <= found.low <= found.high <= 1
    assert found.low - 0.02 <= rogan_gladen(events / n, known) <= found.high + 0.02
    for clears, p, distance in (
        (found.high <= null, found.p_below, found.high - null), (found.low >= null, found.p_above, found.low - null)
    ):  # fmt: skip
        assert clears == (p <= alpha) or abs(distance) < 1e-6
        assert 0 <= p <= 1


@given(LABELLERS, st.integers(10, 400), st.floats(0.01, 0.2))
def test_more_events_move_both_bounds_up_and_exchanging_the_labels_mirrors_them(known, n, alpha):
    events = n // 3
    one, more = lang_reiczigel(events, n, known, alpha), lang_reiczigel(events + 1, n, known, alpha)
    assert one.low <= more.low
    assert one.high <= more.high
    mirrored = labeller(known.specificity, known.sensitivity)
    other = lang_reiczigel(n - events, n, mirrored, alpha)
    assert (1 - other.high, 1 - other.low) == (pytest.approx(one.low, abs=1e-9), pytest.approx(one.high, abs=1e-9))


@pytest.mark.parametrize("truth", [0.02, 0.1, 0.3, 0.6])
@pytest.mark.parametrize(("sensitivity", "of", "specificity", "others"), [(0.93, 545, 0.8, 995), (0.98, 110, 0.7, 90)])
def test_each_bound_misses_the_truth_about_as_often_as_it_says(truth, sensitivity, of, specificity, others):
    generator = np.random.default_rng(5)
    n, times, misses_high, misses_low = 150, 1500, 0, 0
    for _ in range(times):
        known = labeller(
            (int(generator.binomial(of, sensitivity)), of), (int(generator.binomial(others, specificity)), others)
        )
        seen = int(generator.binomial(n, truth * sensitivity + (1 - truth) * (1 - specificity)))
        found = lang_reiczigel(seen, n, known, 0.05)
        misses_high += found.high < truth
        misses_low += found.low > truth
    most = binom.ppf(0.999, times, 0.065)
    assert misses_high <= most
    assert misses_low <= most


@pytest.mark.parametrize(("truth", "rising"), [(0.02, False), (0.1, False), (0.9, True)])
def test_at_the_levels_of_late_attempts_no_bound_misses_the_truth_more_often_than_it_says(truth, rising):
    generator, n, times, alpha = np.random.default_rng(5), 500, 400, 6 * 0.05 / (np.pi**2 * 8**2)
    seen, missed, published = truth * 0.9 + (1 - truth) * 0.1, [], []
    for _ in range(times):
        known = labeller((int(generator.binomial(60, 0.9)), 60), (int(generator.binomial(60, 0.9)), 60))
        if calibration_problem(known):
            continue
        for bound, chances in ((corrected_interval, missed), (lang_reiczigel, published)):
            inside, outside = (-1, n + 1) if rising else (n + 1, -1)
            while abs(inside - outside) > 1:  # the last count whose bound misses the truth
                middle = (inside + outside) // 2
                found = bound(middle, n, known, alpha)
                misses = found.high < truth if rising else found.low > truth
                inside, outside = (middle, outside) if misses else (inside, middle)
            chances.append(binom.cdf(inside, n, seen) if rising else binom.sf(inside - 1, n, seen))
    assert sum(missed) / times <= alpha
    assert sum(published) / times > 2 * alpha  # what would happen without


def test_at_the_published_levels_the_interval_is_the_published_one():
    assert corrected_interval(30, 200, GOOD, 0.025, null=0.2) == lang_reiczigel(30, 200, GOOD, 0.025, null=0.2)


@given(LABELLERS, st.integers(20, 400), st.floats(0, 1), st.floats(0.01, 0.99), st.sampled_from([0.02, 0.002, 0.0002]))
def test_the_exact_bounds_agree_with_their_p(known, n, share, null, alpha):
    assume(not calibration_problem(known))
    events = round(share * n)
    found = exact_together(events, n, known, alpha, null=null)
    assert 0 <= found.low <= found.high <= 1
    for clears, p, distance in (
        (found.high <= null, found.p_below, found.high - null), (found.low >= null, found.p_above, found.low - null)
    ):  # fmt: skip
        assert clears == (p <= alpha) or abs(distance) < 1e-6
    both = corrected_interval(events, n, known, alpha, null=null)
    assert both.low <= found.low
    assert both.high >= found.high


def test_a_labeller_that_may_be_guessing_is_refused():
    assert calibration_problem(GOOD, 0.05) == ""
    assert "may be as low as" in calibration_problem(labeller((9, 10), (8, 10)), 0.05)
    assert "found 60 of 100 and spared 60 of 100" in calibration_problem(labeller((60, 100), (60, 100)), 0.05)


def test_the_number_of_samples_that_would_decide():
    n = corrected_samples(0.12, 0.15, GOOD, 0.05)
    assert n is not None
    # At that n the bound clears the limit at the count that four runs of five stay below, and not at half of it.
    assert lang_reiczigel(binom.ppf(0.8, n, 0.12), n, GOOD, 0.05).high <= 0.152
    assert lang_reiczigel(binom.ppf(0.8, n // 2, 0.12), n // 2, GOOD, 0.05).high > 0.15
    # The labeller's own uncertainty does not shrink with more samples.
    assert corrected_samples(0.12, 0.03, GOOD, 0.05) is None


@pytest.mark.parametrize("rates", [(0.9, 0.9), (0.7, 0.95), (0.6, 0.6), (0.98, 0.8)])
def test_the_bound_of_youdens_index_covers_what_it_says(rates: tuple[float, float]) -> None:
    """By the exact binomial probabilities of all counts, 50 of each label."""
    from scipy.stats import binom

    n = 50
    chances = [binom.pmf(range(n + 1), n, rate) for rate in rates]
    missed = sum(
        chances[0][found] * chances[1][spared]
        for found in range(n + 1)
        for spared in range(n + 1)
        if chances[0][found] * chances[1][spared] > 1e-9 and youden_bound((found, n), (spared, n)) > sum(rates) - 1
    )
    assert missed <= 0.05


def test_the_bound_of_youdens_index_at_the_ends() -> None:
    assert youden_bound((0, 0), (0, 0)) == -1.0
    assert 0.9 < youden_bound((100, 100), (100, 100)) < 1.0
    assert youden_bound((40, 50), (40, 50)) == pytest.approx(0.437, abs=0.01)
