"""One proportion: the exact Clopper–Pearson interval, on an effective sample size where samples come in clusters.

Sources: C. J. Clopper and E. S. Pearson, Biometrika 26 (1934) 404–413; E. L. Korn and B. I. Graubard, Survey
Methodology 24 (1998) 193–201 (the same interval on the effective sample size, with its correction for degrees of
freedom); L. Kish, Survey Sampling (1965) (design effect); A. V. Carter, K. T. Schnepel and D. G. Steigerwald,
Asymptotic behavior of a t-test robust to cluster heterogeneity, Review of Economics and Statistics 99 (2017) 698–709
(the effective number of clusters); J. E. Pustejovsky and E. Tipton, Small-sample methods for cluster-robust variance
estimation and hypothesis testing in fixed effects models, Journal of Business & Economic Statistics 36 (2018) 672–683
(degrees of freedom by F. E. Satterthwaite, Biometrics Bulletin 2 (1946) 110–114).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.stats.interval import Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_CLUSTERS = 20
"""Below this many effective clusters the variance between them is not known well enough to decide anything."""
FEWEST_APART = 10
"""Where fewer clusters hold anything but the commonest value, or carry the variance, how alike the samples of a cluster
are is not known."""


def effective_clusters(sizes: NDArray[np.float64]) -> float:
    """Return (Σ m)² / Σ m²: as many clusters of equal size would have the variance of these if samples repeat.

    Args:
        sizes: samples in each cluster, shape (clusters,), all above 0.
    """
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if len(sizes) else 0.0


def clopper_pearson(events: float, n: float, alpha: float, *, null: float | None = None) -> Interval:
    """Return the exact interval of a proportion, each bound at one-sided level `alpha`.

    The bounds are quantiles of beta distributions, so that `events` and `n` need not be whole; for whole numbers the p
    values are the exact binomial tail probabilities, and a bound clears `null` exactly where its p is at most `alpha`.

    Args:
        events: successes, in [0, n].
        n: trials; 0 gives [0, 1].
        alpha: one-sided level, in (0, 0.5).
        null: the proportion to test against, in [0, 1].
    """
    from scipy.special import betainc, betaincc, betaincinv

    misses = n - events
    low = 0.0 if events <= 0 else float(betaincinv(events, misses + 1, alpha))
    high = 1.0 if misses <= 0 else float(betaincinv(events + 1, misses, 1 - alpha))
    p_above = p_below = None
    if null is not None:
        p_above = 1.0 if events <= 0 else float(betainc(events, misses + 1, null))
        p_below = 1.0 if misses <= 0 else float(betaincc(events + 1, misses, null))
    return Interval(low=low, high=high, p_above=p_above, p_below=p_below, method="Clopper–Pearson")


@dataclass(frozen=True, kw_only=True)
class Effective:
    """How many independent samples the data are worth."""

    n: float
    """At most the number of samples."""
    clusters: int
    effective_clusters: float
    """At most `clusters`; see the function of that name."""
    clustered: bool
    """Whether any cluster holds several samples; where not, `n` is the number of samples."""
    correlation: float | None = None
    """Within clusters; None where it cannot be known."""

    @property
    def too_few(self) -> bool:
        """Whether the samples come in clusters, and in too few of them to decide by."""
        return self.clustered and self.effective_clusters < FEWEST_CLUSTERS

    @property
    def note(self) -> str:
        """What a reader must know; empty for independent samples."""
        if not self.clustered:
            return ""
        few = f", fewer than the {FEWEST_CLUSTERS} that a gate needs" if self.too_few else ""
        alike = "" if self.correlation is None else f" (intraclass correlation {self.correlation:.2f})"
        even = self.clusters - self.effective_clusters < 1
        uneven = "" if even else f" (they weigh as {self.effective_clusters:.0f})"
        return f"{self.clusters} clusters{uneven} worth {self.n:.0f} independent samples{alike}{few}"


def effective_size(values: NDArray[np.float64], groups: NDArray[np.int64], alpha: float) -> Effective:
    """Return the effective sample size of the mean of `values` over clustered samples.

    The design effect is the linearised variance of the mean between clusters (W. G. Cochran, Sampling Techniques,
    1977, ch. 9A) over the variance of as many independent samples; it counts as at least 1. It cannot be estimated
    where fewer than `FEWEST_APART` clusters hold another value than the commonest, since how alike a few rare events
    are says little of the next ones; nor where fewer carry the variance because they are large, (Σ m²)² / Σ m⁴ of them
    if samples repeat. Every cluster is then taken to repeat one answer (Kish's sum of sizes squared over sum of squared
    sizes). The correction for few clusters is Korn and Graubard's squared ratio of t quantiles, at those degrees of
    freedom.

    Args:
        values: shape (n,).
        groups: cluster number of each, shape (n,), from 0 without gaps.
        alpha: one-sided level of the interval it is for.
    """
    n = len(values)
    sizes = np.bincount(groups).astype(np.float64) if n else np.zeros(0)
    clusters, repeated = len(sizes), effective_clusters(sizes)
    if clusters == n:
        return Effective(n=float(n), clusters=clusters, effective_clusters=repeated, clustered=False)
    if clusters < 2:
        return Effective(n=1.0, clusters=clusters, effective_clusters=repeated, clustered=True)
    effective = effective_clusters(sizes**2)
    if clusters_apart(values, groups) < FEWEST_APART or effective < FEWEST_APART:
        size, freedom = repeated, repeated - 1.0
    else:
        residuals = np.bincount(groups, weights=values - values.mean())
        between = clusters / (clusters - 1) * float((residuals**2).sum()) / n**2
        spread = float(values.var())
        size = float(n) if between <= spread / n else spread / between
        freedom = effective - 1.0
    return Effective(
        n=min(float(n), size * _few_clusters(n, freedom, alpha)), clusters=clusters, effective_clusters=repeated,
        clustered=True, correlation=intraclass_correlation(values, groups),
    )  # fmt: skip


def clusters_apart(values: NDArray[np.float64], groups: NDArray[np.int64]) -> int:
    """Return how many clusters hold a value other than the commonest one."""
    known, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    apart = which.reshape(-1) != int(counts.argmax()) if len(known) else np.zeros(0, dtype=np.bool_)
    return len(np.unique(groups[apart]))


def intraclass_correlation(values: NDArray[np.float64], groups: NDArray[np.int64]) -> float | None:
    """Return how alike samples of one cluster are, by the analysis-of-variance estimator.

    (MSB − MSW) / (MSB + (m₀ − 1) MSW), with m₀ = (n − Σ m² / n) / (k − 1) for unequal clusters: A. Donner, A review of
    inference procedures for the intraclass correlation coefficient, International Statistical Review 54 (1986) 67–82.
    With it, the design effect of k clusters of m samples each is 1 + (m − 1) ρ (Kish 1965, section 5.4).

    Args:
        values: shape (n,).
        groups: cluster number of each, shape (n,), from 0 without gaps.

    Returns:
        At most 1, and below 0 where clusters are more mixed than by chance; None where it is not defined: fewer than
        two clusters, no cluster with several samples, or equal values.
    """
    n, clusters = len(values), int(groups.max()) + 1 if len(groups) else 0
    if not 2 <= clusters < n:
        return None
    sizes = np.bincount(groups).astype(np.float64)
    means = np.bincount(groups, weights=values) / sizes
    between = float((sizes * (means - values.mean()) ** 2).sum()) / (clusters - 1)
    within = float(((values - means[groups]) ** 2).sum()) / (n - clusters)
    size = (n - float((sizes**2).sum()) / n) / (clusters - 1)
    whole = between + (size - 1) * within
    return None if whole <= 0.0 else (between - within) / whole


def _few_clusters(n: int, freedom: float, alpha: float) -> float:
    from scipy.special import stdtrit

    return float((stdtrit(n - 1, alpha) / stdtrit(max(1.0, freedom), alpha)) ** 2)
