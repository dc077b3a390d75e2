"""How far raters agree: Krippendorff's alpha for nominal labels, with a bootstrap interval over the items."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Of several raters on the items that at least two of them labelled."""

    alpha: float | None
    """1 is perfect, 0 what chance gives; None where nothing pairs, or all labels are one and the same."""
    low: float | None
    high: float | None
    """95 % percentile interval; None as above, and where resamples leave it undefined."""
    items: int
    """That at least two raters labelled."""
    raters: int


def krippendorff_alpha(items: Sequence[Sequence[str]]) -> float | None:
    """Return alpha for nominal labels, 1 − observed / expected disagreement; None where it is not defined.

    K. Krippendorff, Content Analysis (3rd ed., 2013), ch. 12: items with one label are passed over, and a pair within
    an item of m labels counts 1 / (m − 1).

    Args:
        items: the labels of each item, without missing ones.
    """
    totals: Counter[str] = Counter()
    observed = 0.0
    for labels in items:
        if len(labels) < 2:
            continue
        counts = Counter(labels)
        totals.update(counts)
        unlike = len(labels) ** 2 - sum(count * count for count in counts.values())
        observed += unlike / (len(labels) - 1)
    n = totals.total()
    expected = n * n - sum(count * count for count in totals.values())
    return 1.0 - (n - 1) * observed / expected if expected else None


def agreement(labels: Mapping[str, Mapping[str, str]], *, seed: int = 0) -> Agreement:
    """Return alpha and its interval.

    Args:
        labels: by rater, then by item; `skip` counts as missing.
        seed: of the resampling.
    """
    names = sorted({name for own in labels.values() for name in own})
    said = [[own[name] for own in labels.values() if own.get(name, "skip") != "skip"] for name in names]
    items = [one for one in said if len(one) > 1]
    alpha = krippendorff_alpha(items)
    low = high = None
    if alpha is not None:
        rng = random.Random(seed)  # noqa: S311 - resampling
        drawn = [krippendorff_alpha(rng.choices(items, k=len(items))) for _ in range(_RESAMPLES)]
        known = sorted(one for one in drawn if one is not None)
        if len(known) > 0.9 * _RESAMPLES:
            low, high = known[int(0.025 * len(known))], known[min(len(known) - 1, int(0.975 * len(known)))]
    return Agreement(alpha=alpha, low=low, high=high, items=len(items), raters=len(labels))
