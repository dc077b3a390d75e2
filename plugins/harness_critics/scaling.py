"""Thresholds chosen by cross-validation, and maps from scores to probabilities: Platt and isotonic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.api import CalibratedReply, Scaling

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FOLDS = 5
_EDGE = 1e-4
"""Scores nearer to 0 or 1 count as so near in log-odds."""


def best_threshold(scores: NDArray[np.float64], breaks: NDArray[np.bool_]) -> float:
    """Return the threshold with the greatest sensitivity + specificity, midway between two scores."""
    order = np.argsort(scores, kind="stable")
    ranked, bad = scores[order], breaks[order]
    found = np.concatenate([[0], np.cumsum(bad)]) / max(1, int(breaks.sum()))
    spared = np.concatenate([[0], np.cumsum(~bad)]) / max(1, int((~breaks).sum()))
    cuts = np.concatenate([[0.0], (ranked[:-1] + ranked[1:]) / 2, [1.0]])
    possible = np.concatenate([[True], ranked[:-1] < ranked[1:], [True]])
    youden = np.where(possible, found - spared, -2.0)
    return float(cuts[int(np.argmax(youden))])


def folds(breaks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return a fold for each reply, drawn with a fixed seed within each label."""
    draw = np.random.default_rng(0)
    found = np.zeros(len(breaks), dtype=np.int64)
    for side in (np.flatnonzero(breaks), np.flatnonzero(~breaks)):
        found[draw.permutation(side)] = np.arange(len(side)) % _FOLDS
    return found


@dataclass(frozen=True, kw_only=True)
class CrossValidated:
    """A threshold with the rates that it has on replies that did not choose it."""

    threshold: float
    """The median of the folds'."""
    sensitivity: tuple[int, int]
    specificity: tuple[int, int]


def cross_validated(replies: Sequence[CalibratedReply]) -> CrossValidated | None:
    """Choose a threshold on four fifths, count on the last, five times; None where a label has fewer than five."""
    known = [reply for reply in replies if reply.score is not None]
    scores = np.array([reply.score for reply in known], dtype=float)
    breaks = np.array([not reply.follows for reply in known], dtype=bool)
    if min(int(breaks.sum()), int((~breaks).sum())) < _FOLDS:
        return None
    places, cuts = folds(breaks), []
    said = np.zeros(len(breaks), dtype=bool)
    for fold in range(_FOLDS):
        rest = places != fold
        cuts.append(best_threshold(scores[rest], breaks[rest]))
        said[~rest] = scores[~rest] < cuts[-1]
    return CrossValidated(
        threshold=float(np.median(cuts)),
        sensitivity=(int((said & breaks).sum()), int(breaks.sum())),
        specificity=(int((~said & ~breaks).sum()), int((~breaks).sum())),
    )


def fit_scaling(replies: Sequence[CalibratedReply], method: str) -> Scaling | None:
    """Fit a map from scores to probabilities that a reply follows; None where one label is all there is.

    Platt: logistic regression on the score's log-odds, with his targets (N+ + 1) / (N+ + 2) and 1 / (N− + 2) (Platt
    1999, Probabilistic outputs for support vector machines). Isotonic: pool adjacent violators (Zadrozny and Elkan
    2002, Transforming classifier scores into accurate multiclass probability estimates).
    """
    known = [reply for reply in replies if reply.score is not None]
    scores = np.array([reply.score for reply in known], dtype=float)
    follows = np.array([reply.follows for reply in known], dtype=bool)
    if not follows.any() or follows.all():
        return None
    return _platt(scores, follows) if method == "platt" else _isotonic(scores, follows)


def scale(scaling: Scaling, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities that a scaling makes of scores."""
    if scaling.method == "platt":
        slope, intercept = scaling.parameters
        return 1 / (1 + np.exp(-(slope * _log_odds(scores) + intercept)))
    steps = np.array(scaling.parameters).reshape(-1, 2)
    found: NDArray[np.float64] = np.interp(scores, steps[:, 0], steps[:, 1])
    return found


def cross_scaled(scores: NDArray[np.float64], breaks: NDArray[np.bool_], method: str) -> NDArray[np.float64] | None:
    """Return the scores as scaled by what the other folds gave; None where a label has fewer than five."""
    if min(int(breaks.sum()), int((~breaks).sum())) < _FOLDS:
        return None
    places, found = folds(breaks), np.zeros(len(scores))
    for fold in range(_FOLDS):
        rest = places != fold
        fit = (_platt if method == "platt" else _isotonic)(scores[rest], ~breaks[rest])
        found[~rest] = scale(fit, scores[~rest])
    return found


def _platt(scores: NDArray[np.float64], follows: NDArray[np.bool_]) -> Scaling:
    from scipy.optimize import minimize

    yes, no = int(follows.sum()), int((~follows).sum())
    targets = np.where(follows, (yes + 1) / (yes + 2), 1 / (no + 2))
    odds = _log_odds(scores)

    def loss(at: NDArray[np.float64]) -> float:
        values = at[0] * odds + at[1]
        return float(np.sum(np.logaddexp(0, values) - targets * values))

    best = minimize(loss, np.array([1.0, 0.0]), method="BFGS").x
    return Scaling(method="platt", parameters=(float(best[0]), float(best[1])))


def _isotonic(scores: NDArray[np.float64], follows: NDArray[np.bool_]) -> Scaling:
    order = np.argsort(scores, kind="stable")
    blocks: list[list[float]] = []  # mean, weight, first score, last score
    for score, good in zip(scores[order], follows[order], strict=True):
        blocks.append([float(good), 1.0, float(score), float(score)])
        while len(blocks) > 1 and (
            blocks[-2][0] >= blocks[-1][0] or blocks[-2][3] == blocks[-1][2]
        ):  # ties are one step
            mean, weight, _, last = blocks.pop()
            before = blocks[-1]
            before[0] = (before[0] * before[1] + mean * weight) / (before[1] + weight)
            before[1], before[3] = before[1] + weight, last
    steps = [
        value
        for mean, _, first, last in blocks
        for value in ((first, mean) if first == last else (first, mean, last, mean))
    ]
    return Scaling(method="isotonic", parameters=tuple(steps))


def _log_odds(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(scores, _EDGE, 1 - _EDGE)
    found: NDArray[np.float64] = np.log(inside / (1 - inside))
    return found
