"""The ugly set: made-up data as real suites can be, at their worst for a gate, with a truth that must not pass.

Clusters of very unequal sizes, few texts that are much worse than all others, long tails of lengths, samples that go
missing because of what they are, scores that tie. Each truth lies exactly on the gate's line, and is checked at
attempt 1 alone or as twenty candidates in a row at the levels of attempts 1 to 20.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.api import Gate, Metric
from harness.api.stats import describe, metric_kind
from harness_audit.population import BASELINE, CANDIDATE, SCORED, UNSCORED, Column, Drawn, Population
from harness_audit.replay import Case, Part

if TYPE_CHECKING:
    from numpy.typing import NDArray

GROUP = "ugly"
ATTEMPTS = 20
_LIMIT, _MARGIN = 0.30, 0.10
_BLEU_TEXTS = 400_000
"""Texts whose BLEU is taken for the truth."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Arms:
    """One simulated run of both arms, with NaN in the first column of what could not be scored."""

    candidate: NDArray[np.float64]
    """Rows, shape (n, k)."""
    baseline: NDArray[np.float64] | None = None
    """None is all zeros with the candidate's weights."""
    clusters: NDArray[np.int64] | None = None
    """None is every sample alone."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MadeUp(Population):
    """A population that is drawn from a distribution and not from rows."""

    make: Callable[[np.random.Generator], Arms]

    def draw(self, n: int, generator: np.random.Generator) -> Drawn:  # noqa: ARG002 - its size is part of what it is
        """Return one run."""
        made = self.make(generator)
        metric = next(iter(self.metrics))
        zeros = np.column_stack([np.zeros(len(made.candidate)), made.candidate[:, 1:]])
        rows = {CANDIDATE: made.candidate, BASELINE: zeros if made.baseline is None else made.baseline}
        labels = np.arange(len(zeros)) if made.clusters is None else made.clusters
        return Drawn(arms={arm: {metric: _column(values)} for arm, values in rows.items()}, labels=labels)


def _column(values: NDArray[np.float64]) -> Column:
    lost = np.isnan(values[:, 0])
    return Column(values=np.nan_to_num(values), state=np.where(lost, UNSCORED, SCORED).astype(np.int8))


class Share(Metric):
    """A proportion."""

    name, kind, direction = "share", "proportion", "lower"


class Bits(Metric):
    """A ratio without bounds, as bits per byte, perplexity, TER and lengths are."""

    name, kind, direction = "bits", "ratio", "lower"


class Score(Metric):
    """A mean of scores between −1 and 1."""

    name, kind, direction, bounds = "score", "mean", "higher", (-1.0, 1.0)


class Gain(Metric):
    """A mean without bounds."""

    name, kind, direction = "gain", "mean", "higher"


class Overlap(Metric):
    """Geometric mean of the shares of two sums of matches, as BLEU is of four."""

    name, kind, direction, bounds = "overlap", "ratio", "higher", (0.0, 1.0)

    def estimate(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the geometric mean of matches over totals of both orders."""
        with np.errstate(divide="ignore", invalid="ignore"):
            value: NDArray[np.float64] = np.sqrt(sums[..., 0] / sums[..., 2] * sums[..., 1] / sums[..., 3])
        return value


def ugly_cases() -> Iterator[Case]:
    """Yield every case of the set for one attempt, and where a verdict is cheap for the union of twenty.

    Where each verdict resamples, `benchmarks/ugly_rows.py` bounds that union.
    """
    for build in (_cluster_cases, _tail_cases, _missing_cases):
        for metric, gate, says, (make, n) in build():
            population = MadeUp(
                suite=GROUP, source="made up", metrics={metric.name: metric}, arms={}, clusters=np.arange(n), make=make
            )
            cheap = metric_kind(metric).shares
            for attempts in (1, ATTEMPTS) if cheap else (1,):
                truth = says if attempts == 1 else f"{says}; {attempts} candidates in a row"
                yield Case(
                    name=f"{GROUP} {describe(gate)}: {truth}", group=GROUP, condition=f"{metric.name} {describe(gate)}",
                    truth=truth, claim="at most", parts=(Part(population=population, n=n, gates=(gate,)),),
                    allowed=gate.alpha, attempts=attempts, cost="low" if cheap else "high",
                )  # fmt: skip


_Case = tuple[Metric, Gate, str, tuple[Callable[[np.random.Generator], Arms], int]]


def zipf(clusters: int, largest: int) -> NDArray[np.int64]:
    """Return sizes proportional to 1 / rank, each at least 1."""
    return np.maximum(1, np.round(largest / np.arange(1, clusters + 1))).astype(np.int64)


def _cluster_cases() -> Iterator[_Case]:
    sets = (
        ("120 samples in one cluster, 60 alone", np.array([120] + [1] * 60)),
        ("40 clusters of sizes 60 / rank", zipf(40, 60)),
        ("250 clusters of sizes 60 / rank", zipf(250, 60)),
        ("30 samples in one cluster, 150 alone", np.array([30] + [1] * 150)),
        ("25 clusters of 8", np.array([8] * 25)),
    )
    for words, sizes in sets:
        limit = Gate(metric="share", kind="max", limit=_LIMIT)
        yield Share(), limit, f"{words}, alike within clusters, at the limit", (_alike(sizes), int(sizes.sum()))
        margin = Gate(metric="share", kind="non_inferior", to="promoted", margin=_MARGIN)
        yield (
            Share(),
            margin,
            f"{words}, alike within clusters, worse by the margin",
            (_paired(sizes), int(sizes.sum())),
        )


def _alike(sizes: NDArray[np.int64]) -> Callable[[np.random.Generator], Arms]:
    groups = np.repeat(np.arange(len(sizes)), sizes)

    def make(generator: np.random.Generator) -> Arms:
        events = (generator.random(len(sizes)) < _LIMIT)[groups].astype(np.float64)
        return Arms(candidate=np.column_stack([events, np.ones(len(events))]), clusters=groups)

    return make


def _paired(sizes: NDArray[np.int64]) -> Callable[[np.random.Generator], Arms]:
    groups = np.repeat(np.arange(len(sizes)), sizes)

    def make(generator: np.random.Generator) -> Arms:
        drawn = generator.random(len(sizes))
        own, its = (drawn < _MARGIN + 0.05)[groups], (drawn > 1 - 0.05)[groups]
        ones = np.ones(len(groups))
        return Arms(
            candidate=np.column_stack([own.astype(np.float64), ones]),
            baseline=np.column_stack([its.astype(np.float64), ones]), clusters=groups,
        )  # fmt: skip

    return make


def _tail_cases() -> Iterator[_Case]:
    for share, loss, n in ((0.02, 5.0, 45), (0.05, 2.0, 45), (0.02, 5.0, 200)):
        gate = Gate(metric="bits", kind="non_inferior", to="promoted", margin=share * loss)
        says = f"{100 * share:g} % of {n} texts worse by {loss:g} bits, the others equal but for noise"
        yield Bits(), gate, says, (_few_worse(share, loss, n), n)
    for n in (45, 130):
        gate = Gate(metric="bits", kind="non_inferior", to="promoted", margin=_MARGIN, cap=0.5)
        says = f"20 % of {n} texts worse by 0.5 bits, which is the cap, the others equal but for noise"
        yield Bits(), gate, says, (_few_worse(0.2, 0.5, n, noise=1e-3), n)
    for n in (45, 400):
        gate = Gate(metric="bits", kind="max", limit=float(np.exp(1.5**2 / 2)))
        yield Bits(), gate, f"lengths of {n} texts log-normal with σ 1.5, at the limit", (_log_normal(n), n)
    superior = Gate(metric="score", kind="superior", to="promoted")
    for n in (45, 200):
        says = f"{n} texts, 95 % better by 0.05, the others worse by 0.95, no gain in all"
        yield Score(), superior, says, (_many_small_gains(n), n)
        unbounded = Gate(metric="gain", kind="superior", to="promoted")
        yield Gain(), unbounded, says + ", no bounds", (_many_small_gains(n), n)
        skewed = f"{n} texts, differences exponential, no gain in all"
        yield Gain(), unbounded, skewed + ", long tail of losses", (_skewed(n, -1.0), n)
        within = f"{n} texts, differences within ±1 and exponential, no gain in all, long tail of losses"
        yield Score(), superior, within, (_skewed(n, -0.1), n)
        yield Gain(), unbounded, skewed + ", long tail of gains", (_skewed(n, 1.0), n)
    tied = "200 texts, 90 % tied, the others better by 0.1 or worse by 0.9, no gain in all"
    yield Gain(), Gate(metric="gain", kind="superior", to="promoted"), tied, (_tied(200), 200)
    truth = _overlap_truth()
    for n in (45, 130):
        gate = Gate(metric="overlap", kind="min", limit=truth)
        yield Overlap(), gate, f"n-gram overlap of {n} sentences of unequal length, at the minimum", (_overlap(n), n)


def _few_worse(share: float, loss: float, n: int, noise: float = 0.05) -> Callable[[np.random.Generator], Arms]:
    def make(generator: np.random.Generator) -> Arms:
        weights = generator.integers(200, 800, n).astype(np.float64)
        worse = generator.normal(0.0, noise, n) + loss * (generator.random(n) < share)
        its = generator.normal(2.0, 0.3, n)
        return Arms(
            candidate=np.column_stack([weights * (its + worse), weights]),
            baseline=np.column_stack([weights * its, weights]),
        )  # fmt: skip

    return make


def _log_normal(n: int) -> Callable[[np.random.Generator], Arms]:
    def make(generator: np.random.Generator) -> Arms:
        return Arms(candidate=np.column_stack([generator.lognormal(0.0, 1.5, n), np.ones(n)]))

    return make


def _many_small_gains(n: int) -> Callable[[np.random.Generator], Arms]:
    def make(generator: np.random.Generator) -> Arms:
        changes = np.where(generator.random(n) < 0.05, -0.95, 0.05) + generator.normal(0.0, 0.005, n)
        return Arms(candidate=np.column_stack([np.clip(changes, -1.0, 1.0), np.ones(n)]))

    return make


def _skewed(n: int, sign: float) -> Callable[[np.random.Generator], Arms]:
    def make(generator: np.random.Generator) -> Arms:
        return Arms(candidate=np.column_stack([sign * (generator.exponential(1.0, n) - 1.0), np.ones(n)]))

    return make


def _tied(n: int) -> Callable[[np.random.Generator], Arms]:
    def make(generator: np.random.Generator) -> Arms:
        drawn = generator.random(n)
        changes = np.where(drawn < 0.09, 0.1, np.where(drawn < 0.10, -0.9, 0.0))
        return Arms(candidate=np.column_stack([changes, np.ones(n)]))

    return make


def _sentences(n: int, generator: np.random.Generator) -> NDArray[np.float64]:
    lengths = 4 + generator.poisson(generator.gamma(2.0, 6.0, n))
    quality = generator.beta(1.2, 2.0, n)
    first, second = generator.binomial(lengths, quality), generator.binomial(lengths - 1, quality**2)
    return np.column_stack([first, second, lengths, lengths - 1]).astype(np.float64)


def _overlap_truth() -> float:
    sums = _sentences(_BLEU_TEXTS, np.random.default_rng(0)).sum(axis=0)
    return float(Overlap().estimate(sums))


def _overlap(n: int) -> Callable[[np.random.Generator], Arms]:
    def make(generator: np.random.Generator) -> Arms:
        return Arms(candidate=_sentences(n, generator))

    return make


def _missing_cases() -> Iterator[_Case]:
    gate = Gate(metric="share", kind="max", limit=_LIMIT)
    yield Share(), gate, "a third of 130 replies' events could not be scored, at the limit", (_lost_events(130), 130)
    gate = Gate(metric="score", kind="superior", to="promoted")
    yield (
        Score(),
        gate,
        "of 200 texts a third of the losses could not be scored, no gain in all",
        (_lost_losses(200), 200),
    )


def _lost_events(n: int) -> Callable[[np.random.Generator], Arms]:
    def make(generator: np.random.Generator) -> Arms:
        events = (generator.random(n) < _LIMIT).astype(np.float64)
        events[(events == 1.0) & (generator.random(n) < 1 / 3)] = np.nan
        return Arms(candidate=np.column_stack([events, np.ones(n)]))

    return make


def _lost_losses(n: int) -> Callable[[np.random.Generator], Arms]:
    def make(generator: np.random.Generator) -> Arms:
        changes = generator.uniform(-0.4, 0.4, n)
        changes[(changes < 0.0) & (generator.random(n) < 1 / 3)] = np.nan
        return Arms(
            candidate=np.column_stack([changes, np.ones(n)]), baseline=np.column_stack([np.zeros(n), np.ones(n)])
        )

    return make
