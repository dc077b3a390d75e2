"""Generates text by continuous batching: rows take a slot, grow by a token a step, and leave when they are finished.

What a row generates does not depend on what shares its steps, but for near ties between tokens. docs/engine.md tells
how it works and what was measured.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness_models.hf.batching import Budget, out_of_memory
from harness_models.hf.rows import Ask, Generated, Row, rows_of
from harness_models.hf.sampling import next_tokens
from harness_models.hf.stopping import Decode, Stops, TextStream, byte_tokens, control_tokens
from harness_models.hf.waiting import Waiting

if TYPE_CHECKING:
    from harness.api import AdapterSpec
    from harness_models.hf.loading import Loaded
    from harness_models.hf.slots import Slots

__all__ = ["Ask", "Generated", "Joining", "Scheduler", "generate"]

FORESIGHT = 128
"""New tokens that room is kept for when a row enters. Most end before; who does not gets more when it is needed."""
PASS_ON_CPU, PASS_ON_GPU = 48, 2_048
"""Tokens that cost about as much as a pass itself: less padding than that is cheaper than another pass."""


def generate(
    loaded: Loaded,
    asks: Sequence[Ask],
    budget: Budget,
    decode: Decode,
    deliver: Callable[[int, Generated | None], None],
    on_text: Callable[[int, str], None] | None = None,
) -> None:
    """Continue every prompt; `deliver(index, None)` where memory does not suffice for one row.

    Args:
        loaded: the model, with the wanted adapters active.
        asks: what to continue.
        budget: how much may be in flight at a time; shrinks when memory runs out.
        decode: token ids to text, without control tokens.
        deliver: called once for each index, as soon as its row is finished.
        on_text: called with index and new text while a row grows. The pieces of a row add up to its final text; none
            ends within a character or holds a part of a stop string.
    """
    import torch

    from harness_models.hf.packing import packed
    from harness_models.hf.paths import generation_path
    from harness_models.hf.plain import generate_plainly

    if not asks:
        return
    stream = None
    if on_text is not None:
        is_byte = byte_tokens(loaded.tokenizer)

        def stream(index: int, stops: Stops) -> TextStream:
            return TextStream(decode, stops, functools.partial(on_text, index), is_byte)

    rows = rows_of(asks, decode, stream, control_tokens(loaded.tokenizer))
    with torch.inference_mode():
        path = generation_path(loaded)
        if path == "slots":
            most = sum(min(ask.room, FORESIGHT) for ask in asks)
            with packed(loaded, most, greedy=not any(row.uniforms for row in rows)):
                Scheduler(loaded, rows, budget, decode, deliver).run()
        else:
            generate_plainly(loaded, rows, budget, decode, deliver, padding=path == "padded")


@dataclass(frozen=True, kw_only=True)
class Joining:
    """What an open queue does besides: rows enter before the next step, and each has adapters of its own."""

    use: Callable[[Sequence[tuple[AdapterSpec, ...]]], AbstractContextManager[None]]
    """Makes the adapters of the rows of a pass active."""
    leave: Callable[[Row, Slots, int], None]
    """Called with a finished row, its slots and its slot, before that is freed."""


class Scheduler:
    """Rows in slots, rows that wait for one, and the order of passes.

    Args:
        loaded: the model.
        rows: what to continue.
        budget: how much may be in flight at a time; shrinks when memory runs out.
        decode: token ids to text, without control tokens.
        deliver: called with each row's index and what it gave.
        joining: for an open queue, whose rows come while others are in flight, each with its own adapters.
    """

    def __init__(
        self,
        loaded: Loaded,
        rows: list[Row],
        budget: Budget,
        decode: Decode,
        deliver: Callable[[int, Generated | None], None],
        joining: Joining | None = None,
    ) -> None:
        from harness_models.hf.slots import Slots

        self._loaded = loaded
        self._joining = joining
        self._budget = budget
        self._decode = decode
        self._deliver = deliver
        self._waiting = Waiting(rows, sharing=True)
        self._live: list[Row] = []
        """The row in each slot in use."""
        self._slots = Slots(loaded)
        self._prefix: tuple[int, Slots] | None = None
        """The cluster whose prefix is at hand, and its keys and values."""
        self._done: list[tuple[int, Generated | None]] = []
        """Not delivered yet: what a receiver does is not to be taken for lost memory of ours."""
        self._idle = 0
        """Slots that were free, added up over the steps since rows last entered."""
        self._pass = PASS_ON_GPU if loaded.place.device.startswith("cuda") else PASS_ON_CPU

    def run(self) -> None:
        """Generate until every row is delivered."""
        while self.rows:
            self.turn()

    @property
    def rows(self) -> int:
        """Rows in flight and waiting."""
        return len(self._waiting) + len(self._live)

    @property
    def budget(self) -> Budget:
        """How much may be in flight now."""
        return self._budget

    def turn(self) -> None:
        """Let rows enter, run one step, and deliver what is finished."""
        if out_of_memory(self._round):
            self._shrink()
        while self._done:
            self._deliver(*self._done.pop())

    def add(self, row: Row) -> None:
        """Let a row join behind those that wait."""
        self._waiting.add(row)

    def drop(self, row: Row) -> None:
        """Give up a row, in flight or waiting; its slot is free at once."""
        if row in self._live:
            self._leave(row)
        else:
            self._waiting.remove(row)

    def _using(self, rows: Sequence[Row]) -> AbstractContextManager[None]:
        """Return what makes the adapters of the rows of a pass active."""
        return nullcontext() if self._joining is None else self._joining.use([row.adapters for row in rows])

    def _round(self) -> None:
        # A pass of its own costs the new rows about what a step costs all: rows enter when the free slots of the
        # steps so far add up to one step.
        if self._waiting and (self._joining is not None or self._idle >= len(self._live)):
            self._idle = 0
            while self._enter():
                pass
        if self._live:
            self._step()
        self._idle += max(0, min(self._budget.rows, len(self._live) + len(self._waiting)) - len(self._live))

    # ------------------------------------------------------------ passes

    def _enter(self) -> bool:
        """Let the next rows of like length enter together; tell whether there were any."""
        group = self._waiting.take(self._fits, self._pass)
        if not group:
            return False
        first = len(self._live)
        self._live += group
        prefix, slots, columns = self._prefix_of(group[0]), self._slots, self._columns(group)
        if slots.tokens + len(group) * slots.width(columns) > self._budget.cached:
            slots.trim()
        slots.enter(len(group), columns, self._followers(first, columns))
        for row in self._live:
            row.join(len(self._live))
        with self._using(group):
            tokens = next_tokens(self._loaded, slots.fill([row.ids for row in group], prefix, group[0].prefix), group)
        for row in group:
            if row.kept is not None:
                row.kept, row.prefix = None, 0
        self._take(first, tokens)
        return True

    def _followers(self, before: int, columns: int) -> int:
        """Return how many waiting rows to make room for at once, beside those that enter behind so many others."""
        slots, entering = self._slots, len(self._live) - before
        width = slots.width(columns)
        if self._loaded.shelves:
            alike = sum(slots.width(self._columns([row])) == width for row in self._waiting)
            free = (self._budget.cached - slots.tokens) // width - entering
        else:
            alike = len(self._waiting)
            free = self._budget.cached // max([width, *map(slots.room, range(before))]) - len(self._live)
        return max(0, min(alike, free, self._budget.rows - len(self._live)))

    def _step(self) -> None:
        """Run the newest token of each row, and add the next one."""
        self._make_room()
        with self._using(self._live):
            hidden = self._slots.step([row.tokens[-1] for row in self._live], [row.length - 1 for row in self._live])
            tokens = next_tokens(self._loaded, hidden, self._live)
        self._take(0, tokens)

    def _take(self, first: int, tokens: Sequence[int]) -> None:
        """Add a token to each row from slot `first` on; those that end leave."""
        rows = self._live[first:]
        finished = []
        for row, token in zip(rows, tokens, strict=True):
            generated = row.take(token, self._loaded.end_ids, self._decode)
            if generated is not None:
                finished.append(row)
                self._done.append((row.index, generated))
        for row in finished:
            if self._joining is not None:
                self._joining.leave(row, self._slots, self._live.index(row))
            self._leave(row)

    def _leave(self, row: Row) -> None:
        """Free a row's slot; the row in the last slot moves there."""
        place, last = self._live.index(row), self._live.pop()
        if last is not row:
            self._live[place] = last
        self._slots.leave(place)

    # ------------------------------------------------------------ memory

    def _fits(self, group: Sequence[Row]) -> bool:
        """Tell whether a group may enter: into the slots, and through one pass. A row always fits alone."""
        rows = len(self._live) + len(group)
        if rows == 1:
            return True
        width = max(row.length for row in group) - group[0].prefix
        return (
            rows <= self._budget.rows
            and self._held(group) <= self._budget.cached
            and (len(group) == 1 or len(group) * width <= self._budget.tokens)
        )

    def _columns(self, rows: Sequence[Row]) -> int:
        """Return how many columns the rows need for now."""
        return max(min(row.full_length, row.length + FORESIGHT) for row in rows)

    def _make_room(self) -> None:
        """Widen the slots where a row needs that; where the budget forbids it, rows go back into the queue.

        They keep what they have said, and go on from there.
        """
        slots, back = self._slots, []
        grown = [row for place, row in enumerate(self._live) if row.length > slots.room(place)]
        while grown and len(self._live) > 1 and self._held([], grown) > self._budget.cached:
            youngest = min(self._live, key=lambda row: len(row.tokens))
            self._leave(youngest)
            grown = [row for row in grown if row is not youngest]
            back.append(youngest)
        self._waiting.put_back(back)
        for row in grown:
            slots.widen(self._live.index(row), self._columns([row]))
        if slots.tokens > self._budget.cached:
            slots.trim()

    def _held(self, entering: Sequence[Row], grown: Sequence[Row] = ()) -> int:
        """Return the tokens of the slots in use, with rows that enter together or need wider ones."""
        slots = self._slots
        more = slots.width(self._columns(entering)) if entering else 0
        widths = [
            slots.width(self._columns([row])) if row in grown else slots.room(place)
            for place, row in enumerate(self._live)
        ]
        if self._loaded.shelves:
            return sum(widths) + len(entering) * more
        return (len(widths) + len(entering)) * max([*widths, more])

    def _prefix_of(self, row: Row) -> Slots | None:
        """Return the keys and values of what the row's cluster has in common, computed when first asked for."""
        if not row.prefix or row.kept is not None:
            return row.kept
        if self._prefix is None or self._prefix[0] != row.cluster:
            self._prefix = None
            prefix = self._slots.empty()
            prefix.enter(1, row.prefix)
            prefix.fill([row.ask.prompt[: row.prefix]])
            self._prefix = (row.cluster, prefix)
        return self._prefix[1]

    def _shrink(self) -> None:
        """Go on with less after memory ran out; rows in flight go back into the queue with what they have said."""
        rows, self._live = self._live, []
        self._slots, self._prefix = self._slots.empty(), None
        self._budget.rows = min(self._budget.rows, max(1, len(rows)))
        if self._budget.halve() or len(rows) != 1:
            self._waiting.put_back(rows)
        else:
            self._done.append((rows[0].index, None))
