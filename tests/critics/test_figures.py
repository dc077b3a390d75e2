"""Figures of calibrations against values worked out by hand or by other means."""

from __future__ import annotations

import numpy as np
import pytest

from harness.types import CalibratedReply, CriticCalibration
from harness_critics.biases import length_bias, mean_difference, self_preference
from harness_critics.figures import auc_figure, curve, ece, figures, kappa
from harness_critics.scaling import best_threshold, cross_validated, fit_scaling, scale


def replies(scores: list[float | None], follows: list[bool], **more) -> tuple[CalibratedReply, ...]:
    return tuple(
        CalibratedReply(follows=good, score=score, characters=more.get("characters", [10] * len(scores))[place],
                        by=more.get("by", [""] * len(scores))[place])
        for place, (score, good) in enumerate(zip(scores, follows, strict=True))
    )  # fmt: skip


def drawn(count: int = 200, gap: float = 1.0) -> tuple[CalibratedReply, ...]:
    draw = np.random.default_rng(7)
    follows = np.arange(count) % 2 == 0
    scores = 1 / (1 + np.exp(-(draw.normal(size=count) + gap * np.where(follows, 1, -1))))
    return replies([float(score) for score in scores], [bool(good) for good in follows])


def test_auc_has_delongs_spread() -> None:
    draw = np.random.default_rng(3)
    above, below = draw.normal(1, 1, 40), draw.normal(0, 1, 60)
    scores, breaks = np.concatenate([above, below]), np.array([False] * 40 + [True] * 60)
    found = auc_figure(scores, breaks)
    wins = np.array([[float(a > b) for b in below] for a in above])
    assert found.value == pytest.approx(wins.mean())
    variance = wins.mean(1).var(ddof=1) / 40 + wins.mean(0).var(ddof=1) / 60
    assert found.high is not None
    assert found.low is not None
    assert (found.high - found.low) / 2 == pytest.approx(1.645 * variance**0.5, rel=0.05)


def test_a_perfect_auc_is_not_certain() -> None:
    found = auc_figure(np.array([0.1, 0.2, 0.8, 0.9]), np.array([True, True, False, False]))
    assert found.value == 1.0
    assert found.low == pytest.approx(0.05**0.5)


def test_kappa_by_hand() -> None:
    said = np.array([True] * 20 + [True] * 5 + [False] * 10 + [False] * 15)
    truth = np.array([True] * 20 + [False] * 5 + [True] * 10 + [False] * 15)
    assert kappa(said, truth) == pytest.approx(0.4)  # the example of Cohen 1960 as retold everywhere
    assert kappa(np.ones(4, bool), np.ones(4, bool)) == 0.0


def test_calibration_error_by_hand() -> None:
    predicted = np.array([0.05, 0.05, 0.95, 0.95])
    breaks = np.array([False, True, True, True])
    assert ece(predicted, breaks) == pytest.approx((2 * 0.45 + 2 * 0.05) / 4)
    low, high = curve(predicted, breaks)
    assert (low.observed, low.n, high.observed) == (0.5, 2, 1.0)
    assert low.low < 0.5 < low.high


def test_the_best_threshold_lies_between_scores() -> None:
    scores = np.array([0.1, 0.2, 0.6, 0.7, 0.9])
    breaks = np.array([True, True, True, False, False])
    assert best_threshold(scores, breaks) == pytest.approx(0.65)


def test_a_threshold_by_cross_validation_claims_less_than_one_chosen_on_all() -> None:
    noise = drawn(gap=0.0)
    found = cross_validated(noise)
    assert found is not None
    youden = found.sensitivity[0] / found.sensitivity[1] + found.specificity[0] / found.specificity[1] - 1
    known = np.array([one.score for one in noise]), np.array([not one.follows for one in noise])
    cut = best_threshold(*known)
    in_sample = ((known[0] < cut) & known[1]).mean() * 2 + ((known[0] >= cut) & ~known[1]).mean() * 2 - 1
    assert youden < in_sample
    assert cross_validated(drawn(8)) is None


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_scaling_makes_probabilities_of_scores(method: str) -> None:
    given = drawn(400)
    squeezed = tuple(
        CalibratedReply(follows=one.follows, score=0.45 + (one.score or 0.0) / 10, characters=1) for one in given
    )
    scaling = fit_scaling(squeezed, method)
    assert scaling is not None
    scores = np.array([one.score for one in squeezed])
    breaks = np.array([not one.follows for one in squeezed])
    assert ece(1 - scale(scaling, scores), breaks) < ece(1 - scores, breaks) / 2
    ordered = scale(scaling, np.sort(scores))
    assert (np.diff(ordered) >= -1e-9).all()
    assert 0 <= ordered.min() <= ordered.max() <= 1


def test_isotonic_pools_what_is_out_of_order() -> None:
    scaling = fit_scaling(replies([0.1, 0.2, 0.3, 0.4], [False, True, False, True]), "isotonic")
    assert scaling is not None
    assert scaling.parameters == (0.1, 0.0, 0.2, 0.5, 0.3, 0.5, 0.4, 1.0)
    assert fit_scaling(replies([0.1], [True]), "platt") is None


def test_biases_are_seen_where_they_are() -> None:
    draw = np.random.default_rng(5)
    lengths = [int(value) for value in draw.integers(10, 1000, 80)]
    follows = [place % 2 == 0 for place in range(80)]
    by_length = length_bias(replies([length / 1000 for length in lengths], follows, characters=lengths))
    assert by_length.value == pytest.approx(1.0)
    fair = length_bias(replies([float(value) for value in draw.random(80)], follows, characters=lengths))
    assert fair.low is not None
    assert fair.high is not None
    assert fair.low < 0 < fair.high
    assert length_bias(replies([0.1], [True])).value is None
    moved = mean_difference("position", [0.6] * 20, [0.5, 0.4] * 10, "x")
    assert moved.value == pytest.approx(0.15)
    assert moved.low is not None
    assert moved.low > 0
    assert mean_difference("position", [None] * 20, [0.5] * 20, "x").value is None
    names = ["mine" if place % 4 < 2 else "theirs" for place in range(80)]
    own = self_preference(replies([0.8 if name == "mine" else 0.6 for name in names], follows, by=names), ["mine"])
    assert own.value == pytest.approx(0.2)
    assert self_preference(drawn(), ["mine"]).note == "no row says by whom it is"


def test_a_record_without_replies_has_its_rates_alone() -> None:
    old = CriticCalibration(
        principle="p", critics=("c",), labeller="l", fingerprints={}, roles={}, data="d", sensitivity=(9, 10),
        specificity=(8, 10), unscored=0, auc=0.9, threshold=0.5,
    )  # fmt: skip
    found = figures(old)
    assert found.sensitivity.value == 0.9
    assert found.auc.value == 0.9
    assert found.ece.value is None
    assert found.curve == ()


def test_all_figures_of_scored_replies() -> None:
    given = drawn(100)
    known = [one.score >= 0.5 for one in given if one.score is not None]
    hits = [
        sum(ok is one.follows for ok, one in zip(known, given, strict=True) if one.follows is side)
        for side in (False, True)
    ]
    found = figures(CriticCalibration(
        principle="p", critics=("c",), labeller="l", fingerprints={}, roles={}, data="d", sensitivity=(hits[0], 50),
        specificity=(hits[1], 50), unscored=0, auc=None, threshold=0.5, replies=given, scaling=fit_scaling(given, "platt"),
    ))  # fmt: skip
    for figure in (found.auc, found.kappa, found.ece):
        assert figure.value is not None
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low <= figure.value <= figure.high or figure is found.ece  # a bootstrap of the ECE lies above it
    assert found.scaled_ece is not None
    assert sum(one.n for one in found.curve) == 100
