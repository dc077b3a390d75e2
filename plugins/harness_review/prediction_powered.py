"""A share, or a difference of shares, from few labels by people and a critic's word on every sample.

Prediction-powered inference (PPI++): A. N. Angelopoulos, J. C. Duchi and T. Zrnic, PPI++: Efficient prediction-powered
inference, arXiv 2311.01453 (2023). The labels of a random part of the samples say how far the critic is off, and its
word on all of them narrows what the labels alone would say. The estimate holds whatever the critic is, a coin too; a
better one makes the interval shorter. With ρ the correlation of label and prediction, N samples without a label and n
with one, the variance is 1 − ρ² N / (N + n) times that of the labels alone.

Two forms stand here. `prediction_powered_mean` is the estimator for any numbers, its weights tuned as in the paper,
for samples drawn with known probabilities (J. Hájek, Comment on a paper by D. Basu, 1971). Its normal interval does not
hold where labels are few and the critic is hardly ever wrong: then no error is seen, and its width is 0. So gates go
by `powered_by_cells`. Where predictions take few values and sampling is uniform within strata, the tuned estimator
is the one that weighs the labelled share of each cell (a stratum, and what the critic said in it) by the cell's
share of all samples; and a cell's labels are plain counts, with exact bounds. They are put together by the method of
variance estimates recovery (G. Y. Zou and A. Donner, Statistics in Medicine 27 (2008) 1693–1702): the squares of the
cells' weighed distances to their bounds add up, and so does that of the cells' own shares, which are known from all
samples and not for all that could be drawn. A cell without labels is taken at its worst.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.api.stats import Interval, clopper_pearson, halve, paired_difference

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_LABELS = 30
"""No gate goes by fewer."""
FEW = 10
"""Below so many events the squares of several cells' distances add up to too little, and say little of a difference."""
METHOD = "PPI++ by cells, exact bounds"


@dataclass(frozen=True, kw_only=True)
class Powered:
    """A mean by PPI++."""

    value: float
    error: float
    """Standard error, for samples that stand for all that could be drawn."""
    power: float
    """How much of the predictions is used, λ (1 + n / N) of the paper: 0 is the labels alone."""


def prediction_powered_mean(
    labels: NDArray[np.float64], predictions: NDArray[np.float64], probabilities: NDArray[np.float64],
    everyone: NDArray[np.float64], *, power: float | None = None,
) -> Powered:  # fmt: skip
    """Return the mean of what labels are of, over all samples: λ f̄ + Σ w (y − λ f) / Σ w, with w = 1 / probability.

    Args:
        labels: y of the labelled samples, shape (n,), n above 1.
        predictions: f of the same samples, shape (n,).
        probabilities: of each of them to be drawn, in (0, 1], shape (n,).
        everyone: f of all samples, the labelled ones too, shape (N + n,).
        power: λ; None is the one of the smallest estimated variance, kept within [0, 1].
    """
    n, total, weights = len(labels), len(everyone), 1.0 / probabilities
    share = weights / weights.sum()
    y, f = labels - share @ labels, predictions - share @ predictions
    # Hájek's variance of a sample of fixed size: it is that of simple random sampling where probabilities are equal.
    drawn = n / (n - 1) * (1.0 - probabilities) * share**2
    if power is None:
        moved = float(drawn @ (f * f))
        power = min(1.0, max(0.0, float(drawn @ (f * y)) / moved)) if moved > 0.0 else 0.0
    value = power * float(everyone.mean()) + float(share @ (labels - power * predictions))
    spread = float(share @ (y * y)) * n / (n - 1) / total
    return Powered(value=value, error=math.sqrt(spread + float(drawn @ (y - power * f) ** 2)), power=power)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Samples of one stratum of which the critic said the same."""

    stratum: str = ""
    """Within which all had the same chance to be drawn."""
    samples: int
    """All of them, labelled or not."""
    labelled: int
    """Those that were drawn; skipped ones too."""
    gains: int
    """Labelled 1; of a difference, 1 in the candidate alone."""
    losses: int = 0
    """Of a difference: labelled 1 in the baseline alone."""
    skipped: int = 0
    """Drawn, and nobody could say."""

    def bounds(self, alpha: float, *, paired: bool) -> tuple[float, float, float, float]:
        """Return the cell's value as seen from below and from above, and its bounds at one-sided level `alpha` each.

        What was skipped is an event for the upper bound and none for the lower one, or the worst difference.
        """
        n = self.labelled
        if not n:
            return (-1.0, 1.0, -1.0, 1.0) if paired else (0.0, 1.0, 0.0, 1.0)
        if paired:
            low = paired_difference(self.gains, self.losses + self.skipped, n, alpha).low
            high = paired_difference(self.gains + self.skipped, self.losses, n, alpha).high
            least = (self.gains - self.losses - self.skipped) / n
            return least, (self.gains - self.losses + self.skipped) / n, _or(low, -1.0), _or(high, 1.0)
        low = clopper_pearson(self.gains, n, alpha).low
        high = clopper_pearson(self.gains + self.skipped, n, alpha).high
        return self.gains / n, (self.gains + self.skipped) / n, _or(low, 0.0), _or(high, 1.0)

    @property
    def value(self) -> float:
        """The labelled value of those that somebody could say; 0 of none."""
        known = self.labelled - self.skipped
        return (self.gains - self.losses) / known if known else 0.0


def powered_value(cells: Sequence[Cell]) -> float:
    """Return the estimate: the cells' labelled values, weighed by their shares of all samples."""
    used = [cell for cell in cells if cell.labelled > cell.skipped]
    total = sum(cell.samples for cell in used)
    return math.fsum(cell.samples / total * cell.value for cell in used) if total else 0.0


def powered_by_cells(
    cells: Sequence[Cell], alpha: float, *, paired: bool = False, null: float | None = None
) -> Interval:
    """Return the interval of a share, or of a difference of shares, each bound at one-sided level `alpha`.

    Args:
        cells: that together are all samples; at least one is labelled.
        alpha: one-sided level.
        paired: whether the labels are differences, in [−1, 1].
        null: the value to test against; a p is the level at which its bound would meet it.
    """
    found = _Bounds.of(cells, paired=paired)
    p_above = p_below = None
    if null is not None:
        p_above = _level(lambda at: found.low(at) >= null)
        p_below = _level(lambda at: found.high(at) <= null)
    return Interval(low=found.low(alpha), high=found.high(alpha), p_above=p_above, p_below=p_below, method=METHOD)


@dataclass(frozen=True, kw_only=True)
class _Bounds:
    """The bounds of one set of labels, by which cells they go."""

    lower: tuple[tuple[Cell, ...], ...]
    upper: tuple[tuple[Cell, ...], ...]
    paired: bool

    @classmethod
    def of(cls, cells: Sequence[Cell], *, paired: bool) -> _Bounds:
        own, alone = tuple(cells), _without_predictions(cells)
        events = sum(cell.gains + cell.losses for cell in cells)
        others = sum(cell.labelled - cell.skipped for cell in cells) - events
        if paired:
            used = ((alone,) if events < FEW else (own,),) * 2
            return cls(lower=used[0], upper=used[1], paired=True)
        return cls(
            lower=(own, alone) if events < FEW else (own,), upper=(own, alone) if others < FEW else (own,), paired=False
        )

    def low(self, alpha: float) -> float:
        return min(_bound(cells, alpha, upper=False, paired=self.paired) for cells in self.lower)

    def high(self, alpha: float) -> float:
        return max(_bound(cells, alpha, upper=True, paired=self.paired) for cells in self.upper)


def _without_predictions(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Return a cell for each stratum: the labels alone."""
    merged: dict[str, list[Cell]] = {}
    for cell in cells:
        merged.setdefault(cell.stratum, []).append(cell)
    return tuple(
        Cell(
            stratum=stratum, samples=sum(cell.samples for cell in own), labelled=sum(cell.labelled for cell in own),
            gains=sum(cell.gains for cell in own), losses=sum(cell.losses for cell in own),
            skipped=sum(cell.skipped for cell in own),
        )
        for stratum, own in merged.items()
    )  # fmt: skip


def _bound(cells: Sequence[Cell], alpha: float, *, upper: bool, paired: bool) -> float:
    total = sum(cell.samples for cell in cells)
    found = [cell.bounds(alpha, paired=paired) for cell in cells]
    values = [high if upper else low for low, high, _, _ in found]
    ends = [high if upper else low for _, _, low, high in found]
    shares = [cell.samples / total for cell in cells]
    value = math.fsum(share * one for share, one in zip(shares, values, strict=True))
    square = 0.0
    for cell, share, one, end in zip(cells, shares, values, ends, strict=True):
        square += (share * (end - one)) ** 2
        if share < 1.0:  # how many of all that could be drawn are like this cell is not known either
            own = clopper_pearson(cell.samples, total, alpha)
            far = _or(own.high, 1.0) if (one > value) == upper else _or(own.low, 0.0)
            square += ((one - value) * (far - share)) ** 2 / (1.0 - share)
    reach = math.sqrt(square)
    return min(1.0, value + reach) if upper else max(-1.0 if paired else 0.0, value - reach)


def _level(clears: Callable[[float], bool]) -> float:
    """Return the least level at which a bound clears, by halving its logarithm; 1 where it clears at none."""
    if not clears(0.499):
        return 1.0
    return math.exp(halve(math.log(0.499), math.log(1e-12), lambda level: clears(math.exp(level)), 30)[0])


def _or(end: float | None, otherwise: float) -> float:
    return otherwise if end is None else end
