"""Set-like statistics, such as the share of distinct n-grams: the delete-a-group jackknife.

A bootstrap resample repeats samples, and what is repeated is not new text: every resample would look less diverse
than the corpus it came from. So samples are left out instead of repeated. The jackknife's variance is on average too
large, never too small, for any statistic that does not depend on the samples' order.

Sources: B. Efron and C. Stein, The jackknife estimate of variance, Annals of Statistics 9 (1981) 586–596 (the
inequality); P. S. Kott, The delete-a-group jackknife, Journal of Official Statistics 17 (2001) 521–526.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from harness.api.stats import Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

GROUPS = 50


def deal(clusters: NDArray[np.int64], seed: int, groups: int = GROUPS) -> NDArray[np.int64]:
    """Deal samples into at most `groups` groups of equal size, whole clusters to one group.

    Args:
        clusters: cluster number of each sample, from 0 without gaps, shape (n,).
        seed: of the shuffle.
        groups: at most so many; fewer where there are fewer clusters.

    Returns:
        Group number of each sample, from 0 without gaps, shape (n,).
    """
    count = int(clusters.max()) + 1
    order = np.random.default_rng(seed).permutation(count)
    group_of_cluster = np.empty(count, dtype=np.int64)
    group_of_cluster[order] = np.arange(count) % min(groups, count)
    return group_of_cluster[clusters]


def jackknife(value: float, left_out: NDArray[np.float64], alpha: float, *, null: float | None = None) -> Interval:
    """Return value ± t · s, with s² = (G − 1) / G · Σ (v_g − v̄)² and t of G − 1 degrees of freedom.

    Args:
        value: the statistic on all samples.
        left_out: the statistic with each of G groups left out, shape (G,).
        alpha: one-sided level.
        null: the value to test against.
    """
    from scipy.special import stdtr, stdtrit

    groups = len(left_out)
    method = f"delete-a-group jackknife ({groups} groups)"
    if groups < 2 or not np.isfinite(left_out).all() or not math.isfinite(value):
        return Interval(low=None, high=None, method=method)
    error = math.sqrt((groups - 1) / groups * float(((left_out - left_out.mean()) ** 2).sum()))
    if error == 0.0:
        return Interval(low=None, high=None, method=method, note="leaving samples out changes nothing")
    reach = -float(stdtrit(groups - 1, alpha)) * error
    p_above = p_below = None
    if null is not None:
        statistic = (value - null) / error
        p_above, p_below = float(stdtr(groups - 1, -statistic)), float(stdtr(groups - 1, statistic))
    return Interval(low=value - reach, high=value + reach, p_above=p_above, p_below=p_below, method=method)
