"""One row for all draws of a sample."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from harness.evaluation.reducing import reduce_rows, undrawn_columns
from harness.types import NotApplicable, Unscored


def rows(*values):
    return [(value, 1.0) for value in values]


def metric(how, direction="higher"):
    return SimpleNamespace(epochs_reducer=how, direction=direction)


@pytest.mark.parametrize(
    ("how", "direction", "value"),
    [("worst", "higher", 0.1), ("worst", "lower", 0.9), ("best", "higher", 0.9), ("best", "lower", 0.1)],
)
def test_the_worst_and_the_best_follow_the_direction(how, direction, value):
    assert reduce_rows(metric(how, direction), rows(0.1, 0.9, 0.4)) == (value, 1.0)


def test_pass_at_k_is_the_unbiased_estimate():
    right = rows(1.0, 0.0, 0.0, 1.0, 0.0)
    assert reduce_rows(metric("pass@1"), right)[0] == pytest.approx(2 / 5)
    assert reduce_rows(metric("pass@2"), right)[0] == pytest.approx(1 - 3 / 10)  # C(3, 2) of C(5, 2) pairs are wrong
    assert reduce_rows(metric("pass@4"), right) == (1.0, 1.0)


@pytest.mark.parametrize("how", ["worst", "best", "pass@1"])
def test_a_draw_without_a_score_leaves_the_sample_without_one(how):
    found = reduce_rows(metric(how), [(1.0, 1.0), Unscored(reason="timed out"), (1.0, 1.0)])
    assert isinstance(found, Unscored)
    assert "timed out" in found.reason


def test_what_applies_to_no_draw_applies_to_no_sample():
    nothing = NotApplicable(reason="no question")
    assert reduce_rows(metric("worst"), [nothing, nothing]) is nothing


def test_samples_stand_once_and_keep_clusters_of_their_own_data():
    found = undrawn_columns(
        ("a#1", "a#2", "b#1", "b#2"), ("h1", "h2", "h3", "h4"), ("draws of a", "draws of a", "twins", "twins")
    )
    assert found == (("a", "b"), ("h1", "h3"), (None, "twins"))
