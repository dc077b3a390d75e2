"""What becomes of the draws of one sample: each a row of its own (their mean), or one row for all of them."""

from __future__ import annotations

import copy
from math import comb
from typing import TYPE_CHECKING

from harness.evaluation.shaping import undrawn
from harness.stats.kinds import kind_of
from harness.types import NotApplicable, Unscored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.contracts import Metric
    from harness.reading.suite import Suite
    from harness.types import Row, Sample

    Observed = Row | Unscored | NotApplicable


ONE_VALUE = 2
"""Numbers in a row that holds one value: itself, and the weight 1."""


def reduced(metrics: Sequence[Metric], suite: Suite) -> tuple[Metric, ...]:
    """Return the metrics as a suite's `epochs_reducer` makes them; those that it does not fit stay as they are.

    `worst` and `best` fit shares and means that have a better way; `pass@K` fits shares of which more is better, and
    makes means of them, since the chance is a number between 0 and 1.
    """
    how = suite.epochs_reducer
    return tuple(metrics) if how == "mean" else tuple(_reduced(metric, how) for metric in metrics)


def _reduced(metric: Metric, how: str) -> Metric:
    passes = how.startswith("pass@")
    share, one = kind_of(metric).shares, kind_of(metric).width == ONE_VALUE
    if metric.direction == "neither" or not one or (passes and not (share and metric.direction == "higher")):
        return metric
    made = copy.copy(metric)
    made.epochs_reducer = how
    of = (
        f"the chance that one of {how.partition('@')[2]} draws is right" if passes else f"the {how} draw of each sample"
    )
    made.about = f"{metric.about} ({of})".strip()
    if passes:
        made.kind = "mean"
    return made


def said_of(suite: Suite, metrics: Sequence[Metric]) -> str:
    """Say what became of the draws, as the end of a sentence."""
    if suite.epochs_reducer == "mean":
        return ", which count together"
    whose = [metric.name for metric in metrics if metric.epochs_reducer]
    left = [metric.name for metric in metrics if not metric.epochs_reducer and kind_of(metric).per_sample]
    return (
        (f"; {suite.epochs_reducer} of them counts for {', '.join(whose)}" if whose else "")
        + (f"; all of them count for {', '.join(left)}" if left else "")
    )  # fmt: skip


def reduce_rows(metric: Metric, rows: Sequence[Observed]) -> Observed:
    """Return one row for the draws of a sample.

    A draw without a score leaves the sample without one, so that it counts as the worst, whichever draw is wanted.
    pass@k is 1 − C(n − c, k) / C(n, k) with c of n draws right: the unbiased estimate of Chen et al. 2021, Evaluating
    Large Language Models Trained on Code, arXiv:2107.03374, eq. 1.
    """
    counted = [row for row in rows if not isinstance(row, NotApplicable)]
    for row in counted:
        if isinstance(row, Unscored):
            return Unscored(reason=f"a draw has no score: {row.reason}")
    scored = [row for row in counted if isinstance(row, tuple)]
    if not scored:
        return rows[0]
    values = [row[0] / row[1] for row in scored]
    if metric.epochs_reducer.startswith("pass@"):
        n, right, k = len(values), round(sum(values)), int(metric.epochs_reducer.partition("@")[2])
        return (1.0 - comb(n - right, k) / comb(n, k), 1.0)
    lowest = (metric.epochs_reducer == "worst") == (metric.direction == "higher")
    return (min(values) if lowest else max(values), 1.0)


Columns = tuple[tuple[str, ...], tuple[str, ...], tuple[str | None, ...]]


def undrawn_columns(ids: Sequence[str], content_hashes: Sequence[str], clusters: Sequence[str | None]) -> Columns:
    """Return ids, content hashes and clusters of the samples that were drawn several times, one of each."""
    firsts: dict[str, tuple[str, str | None]] = {}
    for name, content, cluster in zip(ids, content_hashes, clusters, strict=True):
        own, group = undrawn(name, cluster)
        firsts.setdefault(own, (content, group))
    return tuple(firsts), tuple(one for one, _ in firsts.values()), tuple(group for _, group in firsts.values())


class Draws:
    """Gathers the rows of one reduced metric: one row for each sample, once all its draws were seen."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._open: list[Observed] = []
        self._sample = ""

    def add(self, sample: Sample, row: Observed) -> Observed | None:
        """Take a draw's row; return the row of the sample before it, where this one begins another."""
        name, _ = undrawn(sample.id, sample.cluster)
        done = self.end() if name != self._sample else None
        self._sample = name
        self._open.append(row)
        return done

    def end(self) -> Observed | None:
        """Return the row of the sample whose draws were seen, if any."""
        rows, self._open = self._open, []
        return reduce_rows(self.metric, rows) if rows else None
