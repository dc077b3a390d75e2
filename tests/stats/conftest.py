"""Metrics and tables to calculate with: no model, no plugin."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from harness.contracts import Metric
from harness.stats import MetricTable
from harness.types import Direction, NotApplicable, Row, Unscored


class Plain(Metric):
    """A metric that is nothing but its declaration."""

    def __init__(
        self, kind: str, direction: Direction = "lower", bounds: tuple[float, float] | None = None,
        name: str = "plain", unit: str = "",
    ) -> None:  # fmt: skip
        self.kind, self.direction, self.bounds, self.name, self.unit = kind, direction, bounds, name, unit


def table(
    metric: Metric, rows: Sequence[Row | Unscored | NotApplicable], clusters: Sequence[str | None] | None = None
) -> MetricTable:
    n = len(rows)
    return MetricTable(
        metric=metric, ids=tuple(f"s{i}" for i in range(n)), content_hashes=("h",) * n,
        clusters=tuple(clusters or [None] * n), rows=tuple(rows),
    )  # fmt: skip


@pytest.fixture(scope="session")
def plain() -> type[Plain]:
    return Plain


@pytest.fixture(scope="session")
def make_table() -> Callable[..., MetricTable]:
    return table


@pytest.fixture(scope="session")
def events() -> Callable[..., MetricTable]:
    """A proportion with so many events, misses and unscored samples."""

    def build(yes: int, no: int, unscored: int = 0, direction: Direction = "lower", name: str = "harm") -> MetricTable:
        rows: list[Row | Unscored] = [(1, 1)] * yes + [(0, 1)] * no + [Unscored(reason="time-out")] * unscored
        return table(Plain("proportion", direction, name=name), rows)

    return build
