"""How far a metric, or the difference of two arms, is from where it is when computed another way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats import MetricTable
from harness.stats.table import subset
from harness.types import NotApplicable, Unscored
from harness_precision.shift import shift, shift_of_difference
from tests.stats.conftest import Plain, table

BITS = st.lists(st.tuples(*[st.integers(0, 1)] * 4), min_size=2, max_size=40)


def proportion(bits, metric=None):
    return table(metric or Plain("proportion"), [(bit, 1) for bit in bits])


class Rate(Plain):
    """A ratio that is not a weighted mean: one minus the quotient of the sums."""

    def estimate(self, sums):
        return 1.0 - sums[..., 0] / sums[..., 1]


def test_no_change_in_k_samples_is_bounded_by_clopper_and_pearson():
    found = shift(proportion([1] * 32), proportion([1] * 32), alpha=0.05)
    assert (found.low, found.high) == pytest.approx((-(1 - 0.05 ** (1 / 32)), 1 - 0.05 ** (1 / 32)))


@given(BITS)
def test_the_shift_of_a_difference_is_the_difference_of_the_differences_and_inside_its_bounds(bits):
    arms = [proportion(column) for column in zip(*bits, strict=True)]
    found = shift_of_difference((arms[0], arms[1]), (arms[2], arms[3]), alpha=0.05)
    means = [np.mean(column) for column in zip(*bits, strict=True)]
    expected = (means[0] - means[1]) - (means[2] - means[3])
    assert found.difference == pytest.approx(expected)
    assert -2.0 <= found.low <= expected + 1e-9
    assert expected - 1e-9 <= found.high <= 2.0


def test_arms_that_drift_alike_do_not_add_up():
    run, plain = proportion([1] * 20 + [0] * 20), proportion([1] * 40)
    one = shift(run, plain, alpha=0.05)
    both = shift_of_difference((run, run), (plain, plain), alpha=0.05)
    assert one.high < -0.3
    assert both.difference == 0.0
    assert both.high == pytest.approx(2 * (1 - 0.05 ** (1 / 40)))


def test_a_statistic_of_sums_is_taken_of_each_arms_own_sums():
    random = np.random.default_rng(0)
    arms = [
        table(Rate("ratio"), [(float(a), float(b)) for a, b in random.uniform(1, 5, size=(50, 2))]) for _ in range(4)
    ]
    values = [1 - sum(row[0] for row in arm.rows) / sum(row[1] for row in arm.rows) for arm in arms]
    found = shift_of_difference((arms[0], arms[1]), (arms[2], arms[3]), alpha=0.05)
    assert found.difference == pytest.approx((values[0] - values[1]) - (values[2] - values[3]))
    assert found.low < found.difference < found.high


def test_a_score_that_is_missing_in_one_arm_counts_as_anything():
    whole, broken = [(1, 1)] * 30, [*[(1, 1)] * 29, Unscored(reason="time-out")]
    metric = Plain("proportion")
    same = (table(metric, whole), table(metric, whole))
    found = shift_of_difference(same, (table(metric, broken), table(metric, whole)), alpha=0.05)
    assert found.unscored == 1
    assert found.low <= found.worst[0] < 0 < found.worst[1] <= found.high


def test_samples_that_apply_in_neither_arm_are_outside():
    rows = [(1, 1), (0, 1), NotApplicable(reason="no")]
    metric = Plain("proportion")
    arm = table(metric, rows)
    assert shift_of_difference((arm, arm), (arm, arm), alpha=0.05).n == 2


def test_a_set_like_statistic_is_taken_of_each_arms_own_replies():
    class Longest(Plain):
        def resample(self, records, indices):
            return float(np.mean([len(records[i][1][0]) for i in indices]))

    def texts(lengths):
        names = tuple(f"s{i}" for i in range(len(lengths)))
        return MetricTable(
            metric=Longest("corpus"), ids=names, content_hashes=names, clusters=(None,) * len(names),
            rows=((0.0,),) * len(names), records=tuple((None, ("x" * length,)) for length in lengths),
        )  # fmt: skip

    found = shift_of_difference((texts([5, 6, 9]), texts([1, 2, 3])), (texts([4, 4, 4]), texts([1, 1, 1])), alpha=0.05)
    assert found.difference == pytest.approx((20 / 3 - 2) - (4 - 1))


def test_a_subset_keeps_the_order_that_it_is_asked_for():
    whole = proportion([0, 1, 1])
    assert subset(whole, ["s2", "s0"]).rows == ((1, 1), (0, 1))
    with pytest.raises(KeyError):
        subset(whole, ["absent"])
