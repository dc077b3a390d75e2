"""One metric on one run: a row per sample, with what pairs and groups the samples."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from harness.errors import BrokenRunError, InputError
from harness.stats.kind import Sampled
from harness.stats.kinds import kind_of
from harness.types import HumanLabels, NotApplicable, Reply, Row, Sample, Unscored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from harness.contracts import Metric


@dataclass(frozen=True, kw_only=True, eq=False)
class MetricTable:
    """The rows of one metric on one run. All sequences have the length of `ids`.

    A row that holds NaN or an infinity counts as unscored: no number came out, so none is used.

    Raises:
        InputError: when an id occurs twice.
        BrokenRunError: when the rows break the metric's kind: unequal lengths, or a proportion that is not (0|1, 1).
    """

    metric: Metric
    ids: tuple[str, ...]
    content_hashes: tuple[str, ...]
    clusters: tuple[str | None, ...]
    """Samples that share a cluster are not independent; None is a cluster of its own."""
    rows: Sequence[Row | Unscored | NotApplicable]
    """A tuple, or `harness.stats.rows.Rows` where there may be hundreds of thousands."""
    records: tuple[tuple[Sample, tuple[Reply, ...]], ...] | None = None
    """For kind `corpus`: each sample with its replies, in the order of the metric's requests."""
    population: str = ""
    """SHA-256 over all samples and what was said to them; empty where that is not known."""
    labels: HumanLabels | None = None
    """What people say of some of the samples, for gates that are `prediction_powered`."""

    def __post_init__(self) -> None:
        """Check lengths, ids and the shape of rows."""
        lengths = {len(self.ids), len(self.content_hashes), len(self.clusters), len(self.rows)}
        if self.records is not None:
            lengths.add(len(self.records))
        if len(lengths) != 1:
            raise ValueError(f"the columns of {self.metric.name} have different lengths: {sorted(lengths)}")
        if len(set(self.ids)) != len(self.ids):
            twice = sorted(name for name, times in Counter(self.ids).items() if times > 1)[:5]
            raise InputError(f"sample ids occur more than once: {', '.join(twice)}")
        kind = kind_of(self.metric)
        if kind.reads_records:
            if self.records is None:
                raise ValueError(f"{self.metric.name} is of kind {kind.name} and needs records")
            return
        name = self.metric.name
        widths = {len(row) for row in self.rows if isinstance(row, tuple)}
        if len(widths) > 1:
            raise BrokenRunError(f"metric {name} gave rows of different lengths: {sorted(widths)}")
        if kind.shares:
            for sample, row in zip(self.ids, self.rows, strict=True):
                if isinstance(row, tuple) and (len(row) != kind.width or kind.row_problem(self.metric, row)):
                    raise BrokenRunError(f"metric {name} is a proportion, but its row for {sample} is {row!r}")

    @classmethod
    def of_run(cls, metric: Metric, value: float | Unscored) -> MetricTable:
        """Return the table of a metric of kind `run`: one row, which holds the value of `metric.measure`."""
        row = value if isinstance(value, Unscored) else (float(value), 1.0)
        return cls(metric=metric, ids=("run",), content_hashes=("",), clusters=(None,), rows=(row,))

    @cached_property
    def applicable(self) -> NDArray[np.int64]:
        """Positions of the samples in the denominator, unscored ones included."""
        return np.array([i for i, row in enumerate(self.rows) if not isinstance(row, NotApplicable)], dtype=np.int64)

    @cached_property
    def is_scored(self) -> NDArray[np.bool_]:
        """Whether each sample has a row of finite numbers, shape (len(ids),)."""
        return np.array([isinstance(row, tuple) and bool(np.isfinite(row).all()) for row in self.rows], dtype=np.bool_)

    @cached_property
    def scored(self) -> NDArray[np.int64]:
        """Positions of the samples that have a row of finite numbers."""
        return np.flatnonzero(self.is_scored).astype(np.int64)

    @property
    def n(self) -> int:
        """Samples in the denominator, unscored ones included."""
        return len(self.applicable)

    @property
    def unscored(self) -> int:
        """Samples in the denominator without a row of finite numbers."""
        return self.n - len(self.scored)

    @property
    def not_applicable(self) -> int:
        """Samples outside the denominator."""
        return len(self.rows) - self.n

    @property
    def clustered(self) -> bool:
        """Whether several samples of the denominator share a cluster."""
        groups = self.groups(self.applicable)
        return len(np.unique(groups)) < len(groups)

    def values(self, at: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the rows of scored samples at positions `at`, shape (len(at), k)."""
        rows = [row for row in (self.rows[i] for i in at) if isinstance(row, tuple)]
        return np.array(rows, dtype=np.float64) if rows else np.empty((0, 2), dtype=np.float64)

    def sampled(self, at: NDArray[np.int64], rows: NDArray[np.float64] | None = None) -> Sampled:
        """Return what a procedure works on at positions `at`; `rows` stand for theirs where some are unscored."""
        records = self.records or ()
        return Sampled(
            rows=self.values(at) if rows is None else rows, groups=self.groups(at),
            records=[records[i] for i in at] if records else (),
        )  # fmt: skip

    def filled(self, at: NDArray[np.int64], end: Literal["least", "greatest"]) -> NDArray[np.float64] | None:
        """Return the rows at positions `at`, shape (len(at), k), with the unscored ones at the `end` of the bounds.

        Without assuming why a value is missing, only its bounds tell what it does to a mean: C. F. Manski, Partial
        Identification of Probability Distributions (2003), ch. 1.

        Returns:
            None where no row can stand for the worst: the metric is unbounded, or not a weighted mean, or a ratio of
            which nothing was scored.
        """
        kind, missing = kind_of(self.metric), ~self.is_scored[at]
        bounds = kind.bounds(self.metric)
        if not missing.any():
            return self.values(at)
        known = self.values(at[~missing])
        weight = kind.missing_weight(known)
        if bounds is None or weight is None or not kind.is_weighted_mean(self.metric):
            return None
        rows = np.empty((len(at), 2), dtype=np.float64)
        if len(known):
            rows[~missing] = known
        rows[missing] = (bounds[0 if end == "least" else 1] * weight, weight)
        return rows

    def groups(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the cluster of each position in `at` as a number from 0, in order of first appearance."""
        numbers: dict[tuple[str, str | int], int] = {}
        found = []
        for i in at:
            cluster = self.clusters[i]
            key = ("alone", int(i)) if cluster is None else ("cluster", cluster)
            found.append(numbers.setdefault(key, len(numbers)))
        return np.array(found, dtype=np.int64)


def subset(table: MetricTable, ids: Sequence[str]) -> MetricTable:
    """Return the table of some of the samples, in the order of `ids`.

    Raises:
        KeyError: when the table has no such sample.
    """
    place = {sample: i for i, sample in enumerate(table.ids)}
    at = [place[sample] for sample in ids]
    return MetricTable(
        metric=table.metric, ids=tuple(ids), content_hashes=tuple(table.content_hashes[i] for i in at),
        clusters=tuple(table.clusters[i] for i in at), rows=tuple(table.rows[i] for i in at),
        records=None if table.records is None else tuple(table.records[i] for i in at),
    )  # fmt: skip
