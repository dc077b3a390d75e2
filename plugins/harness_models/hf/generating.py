"""The work of generation, found by going through the scheduler's decisions without a model.

Rows enter, step and leave as in `generation._Scheduler`, with lengths that are given beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness_models.hf.batching import batches
from harness_models.hf.generation import FORESIGHT, PASS_ON_CPU, PASS_ON_GPU
from harness_models.hf.rows import Row
from harness_models.hf.stopping import Stops
from harness_models.hf.waiting import Waiting
from harness_models.hf.work import NOTHING, Counts, Work

if TYPE_CHECKING:
    from harness_models.hf.batching import Budget
    from harness_models.hf.rows import Ask


def spread(asks: Sequence[Ask], mean: float | None) -> list[int]:
    """Return lengths of replies about a mean: evenly from none to twice that, each at most its room.

    Args:
        asks: what is continued.
        mean: in tokens; None takes half of each room.
    """
    golden = (math.sqrt(5.0) - 1.0) / 2.0  # its multiples fill the unit interval evenly, in whatever order
    return [
        min(ask.room, max(1, round(2.0 * (ask.room / 2.0 if mean is None else mean) * ((index * golden) % 1.0))))
        for index, ask in enumerate(asks)
    ]


def generating(asks: Sequence[Ask], lengths: Sequence[int], budget: Budget, *, path: str, device: str) -> Work:
    """Return the work of `harness_models.hf.generation.generate`, if row i gives `lengths[i]` tokens.

    Args:
        asks: what is continued.
        lengths: in tokens, each from 1 to the ask's room.
        budget: how much may be in flight.
        path: what `harness_models.hf.paths.generation_path` found.
        device: where the base runs.
    """
    if not asks:
        return NOTHING
    if path == "slots":
        return _Slots(asks, lengths, budget, PASS_ON_CPU if device == "cpu" else PASS_ON_GPU).work()
    return _in_batches(asks, lengths, budget, padding=path == "padded")


def _in_batches(asks: Sequence[Ask], lengths: Sequence[int], budget: Budget, *, padding: bool) -> Work:
    """Batches that wait for their longest row; without padding, of rows of equal length."""
    groups: dict[int, list[int]] = {}
    for index, ask in enumerate(asks):
        groups.setdefault(0 if padding else len(ask.prompt), []).append(index)
    total, together, cached = Counts(), 0, 0
    for group in groups.values():
        for batch in batches([len(asks[index].prompt) + asks[index].room for index in group], budget):
            members = [group[place] for place in batch]
            longest, steps = max(len(asks[i].prompt) for i in members), max(lengths[i] for i in members)
            tokens = len(members) * longest
            columns = sum(lengths[i] * (longest + lengths[i] / 2) for i in members)
            total = total.plus(
                Counts(passes=1, tokens=tokens, pairs=tokens * longest, states=len(members), steps=steps - 1,
                       rows=sum(lengths[i] for i in members), columns=columns)
            )  # fmt: skip
            together, cached = max(together, tokens), max(cached, len(members) * (longest + steps))
    return Work(counts=total, distinct=sum(len(ask.prompt) for ask in asks), together=together, cached=cached)


class _Slots:
    """Continuous batching: the scheduler without the model."""

    def __init__(self, asks: Sequence[Ask], lengths: Sequence[int], budget: Budget, padding: int) -> None:
        stops = Stops((), lambda _: "")
        rows = [Row(index=index, ask=ask, stops=stops, stream=None, uniforms=()) for index, ask in enumerate(asks)]
        self._waiting = Waiting(rows, sharing=True)
        self._lengths = lengths
        self._budget = budget
        self._padding = padding
        self._live: list[Row] = []
        self._given: dict[int, int] = {}
        """Tokens that each row in flight has given."""
        self._prefixes: set[int] = set()
        self._counts = Counts()
        self._distinct = self._together = self._cached = 0

    def work(self) -> Work:
        """Go through all rounds."""
        idle = 0
        while self._waiting or self._live:
            if self._waiting and idle >= len(self._live):
                idle = 0
                while self._enter():
                    pass
            if self._live:
                free = self._free()
                number = self._step(free, idle)
                idle += free * (number - 1) + self._free()  # rows leave at the last of the steps alone
        return Work(counts=self._counts, distinct=self._distinct, together=self._together, cached=self._cached)

    def _enter(self) -> bool:
        group = self._waiting.take(self._fits, self._padding)
        if not group:
            return False
        prefix = group[0].prefix
        if prefix and group[0].cluster not in self._prefixes:
            self._prefixes.add(group[0].cluster)
            self._add(Counts(passes=1, tokens=prefix, pairs=prefix * prefix), prefix)
        width = max(row.length for row in group) - prefix
        tokens = len(group) * width
        self._add(
            Counts(passes=1, tokens=tokens, pairs=tokens * (prefix + width), states=len(group)),
            sum(row.length - prefix for row in group),
        )
        self._together = max(self._together, tokens)
        self._live += group
        self._given.update((row.index, 1) for row in group)
        self._cached = max(self._cached, len(self._live) * self._columns(self._live))
        self._leave()
        return True

    def _free(self) -> int:
        """Return how many slots are free that a waiting row could have."""
        return max(0, min(self._budget.rows, len(self._live) + len(self._waiting)) - len(self._live))

    def _step(self, free: int, idle: int) -> int:
        """Take the steps up to the next one at which a row leaves or may enter; return their number."""
        number = min(self._lengths[row.index] - self._given[row.index] for row in self._live)
        if self._waiting and free:
            number = min(number, max(1, math.ceil((len(self._live) - idle) / free)))
        rows = len(self._live)
        longest = max(row.length + self._given[row.index] for row in self._live)  # attention goes so far in every row
        self._add(
            Counts(steps=number, rows=rows * number,
                   columns=rows * number * (longest + (number - 1) / 2)), 0
        )  # fmt: skip
        for row in self._live:
            self._given[row.index] += number
        self._leave()
        return number

    def _leave(self) -> None:
        self._live = [row for row in self._live if self._given[row.index] < self._lengths[row.index]]

    def _add(self, counts: Counts, distinct: int) -> None:
        self._counts = self._counts.plus(counts)
        self._distinct += distinct

    def _fits(self, group: Sequence[Row]) -> bool:
        rows = len(self._live) + len(group)
        width = max(row.length for row in group) - group[0].prefix
        return rows == 1 or (
            rows <= self._budget.rows
            and rows * self._columns([*self._live, *group]) <= self._budget.cached
            and (len(group) == 1 or len(group) * width <= self._budget.tokens)
        )

    def _columns(self, rows: Sequence[Row]) -> int:
        return max(min(row.full_length, row.length + self._given.get(row.index, 0) + FORESIGHT) for row in rows)
