"""How far critics' scores move with what should not matter: length, position, wording, whose reply it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness.api import Bias, CalibratedReply

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ALPHA = 0.05
"""On each side."""
_RESAMPLES = 1000
_ENOUGH = 10
"""Replies without which no bias is estimated."""


def length_bias(replies: Sequence[CalibratedReply]) -> Bias:
    """Return Spearman's correlation of score and length among replies with one label, the mean of both labels.

    Its bounds come from a bootstrap within each label. Above 0 long replies are judged too well.
    """
    sides = [
        [(reply.score, reply.characters) for reply in replies if reply.score is not None and reply.follows is follows]
        for follows in (False, True)
    ]
    if min(map(len, sides)) < _ENOUGH:
        return Bias(name="length", value=None, note=f"needs {_ENOUGH} replies of each label")
    arrays = [np.array(side, dtype=float) for side in sides]
    draw = np.random.default_rng(0)
    values = [
        sum(_spearman(side[draw.integers(0, len(side), len(side))]) for side in arrays) / 2 for _ in range(_RESAMPLES)
    ]
    low, high = np.quantile(values, [_ALPHA, 1 - _ALPHA])
    return Bias(
        name="length", value=sum(map(_spearman, arrays)) / 2, low=float(low), high=float(high),
        n=sum(map(len, sides)), note="Spearman of score and length within a label",
    )  # fmt: skip


def _spearman(pairs: NDArray[np.float64]) -> float:
    from scipy.stats import rankdata

    first, second = rankdata(pairs[:, 0]), rankdata(pairs[:, 1])
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def mean_difference(name: str, first: Sequence[float | None], second: Sequence[float | None], note: str) -> Bias:
    """Return the mean of first − second on replies that have both, with bounds by Student's t."""
    from scipy.stats import t

    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    if len(pairs) < _ENOUGH:
        return Bias(name=name, value=None, n=len(pairs), note=f"needs {_ENOUGH} scored replies")
    gaps = np.array([a - b for a, b in pairs])
    spread = float(t.ppf(1 - _ALPHA, len(gaps) - 1)) * float(gaps.std(ddof=1)) / math.sqrt(len(gaps))
    mean = float(gaps.mean())
    if not gaps.any():
        note = f"{note}; no score moves"
    return Bias(name=name, value=mean, low=mean - spread, high=mean + spread, n=len(gaps), note=note)


def self_preference(replies: Sequence[CalibratedReply], own: Sequence[str]) -> Bias:
    """Return how much better replies of the judge's own model are scored than others' of the same label."""
    marked = [reply for reply in replies if reply.by and reply.score is not None]
    if not own or not marked:
        why = "no row says by whom it is" if own else "nobody is asked"
        return Bias(name="self-preference", value=None, note=why)
    gaps: list[tuple[float, float, int]] = []
    for follows in (False, True):
        sides = [
            np.array([reply.score for reply in marked if reply.follows is follows and (reply.by in own) is mine])
            for mine in (True, False)
        ]
        if min(map(len, sides)) >= _ENOUGH:
            variance = sum(float(side.var(ddof=1)) / len(side) for side in sides)
            gaps.append((float(sides[0].mean() - sides[1].mean()), variance, sum(map(len, sides))))
    if not gaps:
        return Bias(name="self-preference", value=None, note=f"needs {_ENOUGH} own and {_ENOUGH} others of a label")
    mean = sum(gap for gap, _, _ in gaps) / len(gaps)
    spread = 1.6449 * math.sqrt(sum(variance for _, variance, _ in gaps)) / len(gaps)
    return Bias(
        name="self-preference", value=mean, low=mean - spread, high=mean + spread, n=sum(n for _, _, n in gaps),
        note="mean score of own replies minus others', within a label",
    )  # fmt: skip
