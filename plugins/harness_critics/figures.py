"""How well critics judge, in figures with intervals: AUC, rates, agreement, calibration error, threshold, scaling.

A violation is the positive case, and its probability is 1 − score. Bounds are two-sided 90 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.api import CriticCalibration
from harness.api.stats import auc, clopper_pearson, youden_bound
from harness_critics.scaling import cross_scaled

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALPHA = 0.05
"""On each side."""
BINS = 10
_RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number with its bounds; all None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Bin:
    """One piece of the reliability curve."""

    predicted: float
    """Mean probability of a violation that the critics gave."""
    observed: float
    """Share that breaks the principle."""
    n: int
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Everything that is said of a calibration."""

    n: int
    violations: int
    unscored: int
    auc: Figure
    sensitivity: Figure
    specificity: Figure
    youden: Figure
    """Sensitivity + specificity − 1; `low` is the one-sided 95 % bound that admission asks for."""
    kappa: Figure
    """Cohen's κ of critics and labels at the threshold."""
    ece: Figure
    """Expected calibration error over ten bins of equal width."""
    scaled_ece: float | None
    """The same after scaling, each reply scaled by what the others gave."""
    curve: tuple[Bin, ...]


def figures(of: CriticCalibration) -> Figures:
    """Return the figures of a calibration; a record without replies, as earlier versions wrote, has rates alone."""
    known = [reply for reply in of.replies if reply.score is not None]
    scores = np.array([reply.score for reply in known], dtype=float)
    breaks = np.array([not reply.follows for reply in known], dtype=bool)
    (found, violations), (spared, others) = of.sensitivity, of.specificity
    both = bool(breaks.any()) and not bool(breaks.all())
    low = youden_bound(of.sensitivity, of.specificity)
    youden = found / violations + spared / others - 1 if violations and others else None
    scaled = cross_scaled(scores, breaks, of.scaling.method) if both and of.scaling else None
    return Figures(
        n=violations + others, violations=violations, unscored=of.unscored,
        auc=auc_figure(scores, breaks) if both else Figure(value=of.auc, low=None, high=None),
        sensitivity=_rate(of.sensitivity), specificity=_rate(of.specificity),
        youden=Figure(value=youden, low=low, high=None),
        kappa=_resampled(lambda s, b: kappa(s < of.threshold, b), scores, breaks) if both else _NONE,
        ece=_resampled(lambda s, b: ece(1 - s, b), scores, breaks) if both else _NONE,
        scaled_ece=None if scaled is None else ece(1 - scaled, breaks),
        curve=curve(1 - scores, breaks),
    )  # fmt: skip


_NONE = Figure(value=None, low=None, high=None)


def _rate(counts: tuple[int, int]) -> Figure:
    if not counts[1]:
        return _NONE
    bounds = clopper_pearson(*counts, ALPHA)
    return Figure(value=counts[0] / counts[1], low=bounds.low, high=bounds.high)


def auc_figure(scores: NDArray[np.float64], breaks: NDArray[np.bool_]) -> Figure:
    """Return the AUC with DeLong's variance on the log-odds of the AUC (DeLong et al. 1988, Biometrics 44, 837–845).

    An AUC of 0 or 1 has no such variance; its far bound is that of as many pairs as the smaller group holds, all right.
    """
    from scipy.special import ndtri

    above, below = scores[~breaks], scores[breaks]
    value = auc(list(above), list(below))
    if value is None:
        return _NONE
    if value in {0.0, 1.0}:
        few = min(len(above), len(below))
        bounds = clopper_pearson(round(value * few), few, ALPHA)
        return Figure(value=value, low=bounds.low, high=bounds.high)
    wins = (above[:, None] > below[None, :]) + 0.5 * (above[:, None] == below[None, :])
    parts = (wins.mean(axis=1), wins.mean(axis=0))
    variance = sum(float(part.var(ddof=1)) / len(part) if len(part) > 1 else 0.25 for part in parts)
    spread = -float(ndtri(ALPHA)) * math.sqrt(variance) / (value * (1 - value))
    odds = math.log(value / (1 - value))
    return Figure(value=value, low=_sigmoid(odds - spread), high=_sigmoid(odds + spread))


def kappa(said: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Return Cohen's κ of two labellers; 0 where both say one thing alone."""
    agree = float((said == truth).mean())
    first, second = float(said.mean()), float(truth.mean())
    chance = first * second + (1 - first) * (1 - second)
    return (agree - chance) / (1 - chance) if chance < 1 else 0.0


def ece(predicted: NDArray[np.float64], breaks: NDArray[np.bool_]) -> float:
    """Return the expected calibration error: Σ (n_b / n) |observed − predicted| over bins of equal width.

    Naeini, Cooper and Hauskrecht 2015, Obtaining well calibrated probabilities using Bayesian binning, AAAI.
    """
    places = _places(predicted)
    total = np.bincount(places, minlength=BINS)
    gaps = np.abs(np.bincount(places, predicted, BINS) - np.bincount(places, breaks.astype(float), BINS))
    return float(gaps.sum() / max(1, total.sum()))


def curve(predicted: NDArray[np.float64], breaks: NDArray[np.bool_]) -> tuple[Bin, ...]:
    """Return the reliability curve: its bins that hold anything, from the least probability up."""
    found = []
    for place in range(BINS):
        inside = _places(predicted) == place
        n = int(inside.sum())
        if n:
            hits = int(breaks[inside].sum())
            bounds = clopper_pearson(hits, n, ALPHA)
            found.append(
                Bin(predicted=float(predicted[inside].mean()), observed=hits / n, n=n, low=bounds.low or 0.0,
                    high=1.0 if bounds.high is None else bounds.high)
            )  # fmt: skip
    return tuple(found)


def _places(predicted: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.minimum((predicted * BINS).astype(np.int64), BINS - 1)


def _resampled(
    of: Callable[[NDArray[np.float64], NDArray[np.bool_]], float], scores: NDArray[np.float64],
    breaks: NDArray[np.bool_],
) -> Figure:  # fmt: skip
    """Return a figure with percentile bounds of a bootstrap within each label, drawn with a fixed seed."""
    draw = np.random.default_rng(0)
    sides = [np.flatnonzero(breaks), np.flatnonzero(~breaks)]
    values = []
    for _ in range(_RESAMPLES):
        chosen = np.concatenate([draw.choice(side, len(side)) for side in sides])
        values.append(of(scores[chosen], breaks[chosen]))
    low, high = np.quantile(values, [ALPHA, 1 - ALPHA])
    return Figure(value=of(scores, breaks), low=float(low), high=float(high))


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))
