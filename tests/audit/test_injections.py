"""Injected effects have the truth that they are stated to have."""

from __future__ import annotations

import numpy as np
import pytest

from harness_audit.injections import Copy, Exchange, Lose, Misread, Perfect, Study, aimed, lay_all, truth
from harness_audit.population import BASELINE, CANDIDATE, SCORED, UNSCORED


def simulated(found, injections, metric, measure, times=150):
    """Return the mean of the measure over whole simulated populations, and its standard error."""
    values = []
    estimate = found.metrics[metric].estimate
    for seed in range(times):
        generator = np.random.default_rng(seed)
        drawn = lay_all(injections, found.expected(), generator)
        value = {
            arm: float(estimate(column[metric].values[column[metric].state == SCORED].sum(axis=0)))
            for arm, column in drawn.arms.items()
        }
        values.append(value[CANDIDATE] - (value[BASELINE] if measure == "difference" else 0.0))
    return float(np.mean(values)), float(np.std(values)) / np.sqrt(times)


@pytest.mark.parametrize("which", ["harm", "clustered", "score", "loss"])
@pytest.mark.parametrize("target", [0.1, 0.0, -0.1])
def test_an_injected_difference_is_what_is_true(which, target, request):
    found = request.getfixturevalue(which)
    (metric,) = found.metrics
    for before in ((), (Exchange(),), (Copy(),)):
        injections = aimed(found, metric, "difference", target, before=before)
        assert truth(found, injections, metric, "difference") == pytest.approx(target, abs=1e-9)
        mean, error = simulated(found, injections, metric, "difference")
        assert abs(mean - target) <= 4 * error + 1e-9


@pytest.mark.parametrize("whole", [False, True])
def test_an_injected_value_is_what_is_true(clustered, whole):
    injections = aimed(clustered, "harm", "value", 0.3, whole_clusters=whole)
    mean, error = simulated(clustered, injections, "harm", "value")
    assert abs(mean - 0.3) <= 4 * error


def test_flips_of_whole_clusters_keep_their_samples_alike(clustered):
    (flip,) = aimed(clustered, "harm", "value", 0.3, whole_clusters=True)
    drawn = lay_all((flip,), clustered.expected(), np.random.default_rng(0))
    values = drawn.arms[CANDIDATE]["harm"].values[:, 0].reshape(-1, 4)
    assert (values == values[:, :1]).all()


def test_what_no_change_can_reach_is_refused(harm):
    with pytest.raises(ValueError, match="no change of harm"):
        aimed(harm, "harm", "difference", 0.9)


def test_labels_that_err_count_when_the_truth_is_of_what_is_labelled(harm):
    errs = tuple(Misread(metric="harm", arm=arm, sensitivity=0.9, specificity=0.8) for arm in (CANDIDATE, BASELINE))
    injections = aimed(harm, "harm", "difference", 0.1, after=errs)
    assert truth(harm, injections, "harm", "difference") == pytest.approx(0.1)
    # What is injected in truth is larger, since errors shrink a difference by Se + Sp − 1.
    assert truth(harm, injections[:-2], "harm", "difference") == pytest.approx(0.1 / 0.7)


def test_what_is_lost_and_studied_leaves_the_truth_alone(harm):
    before = truth(harm, (), "harm", "difference")
    injections = (
        Lose(metric="harm", arm=CANDIDATE, chance=0.5, value=1.0),
        Study(metric="harm", sensitivity=0.9, specificity=0.9, events=50, others=50),
    )
    assert truth(harm, injections, "harm", "difference") == before
    drawn = lay_all(injections, harm.expected(), np.random.default_rng(0))
    column = drawn.arms[CANDIDATE]["harm"]
    assert 0 < np.count_nonzero(column.state == UNSCORED) < np.count_nonzero(column.values[:, 0])
    assert not np.count_nonzero((column.state == UNSCORED) & (column.values[:, 0] == 0.0))
    assert drawn.calibrations["harm"].sensitivity[1] == 50


def test_a_perfect_metric_leaves_nothing_unscored(harm):
    injections = (Lose(metric="harm", arm=CANDIDATE, chance=0.5), Perfect(metric="harm", value=0.0))
    column = lay_all(injections, harm.expected(), np.random.default_rng(0)).arms[CANDIDATE]["harm"]
    assert (column.state == SCORED).all()
    assert column.values[:, 0].sum() == 0.0
    assert column.values[:, 1].sum() == len(harm)


def test_whole_clusters_are_drawn(clustered):
    drawn = clustered.draw(80, np.random.default_rng(0))
    assert len(drawn.labels) == 80
    assert np.bincount(drawn.labels).tolist() == [4] * 20
