"""One prompt while it is continued: what it has said, when it began, and when it is finished."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from harness_models.hf.sampling import uniforms
from harness_models.hf.stopping import Decode, Stops, TextStream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.api import AdapterSpec, Decoding
    from harness_models.hf.slots import Slots


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One prompt to continue."""

    prompt: tuple[int, ...]
    """Token ids, at least one."""
    decoding: Decoding
    room: int
    """Most new tokens, at least one: `max_new_tokens`, or less where the window ends."""
    draw: int = 0


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What one prompt gave."""

    text: str
    ids: tuple[int, ...]
    """Tokens generated, the end of the turn included."""
    tokens: int
    """Tokens generated, the end of the turn included."""
    finish: Literal["stop", "length"]
    seconds: float
    """From when the row entered a batch to its end."""
    first_token: float
    """From when the row entered a batch to its first token."""
    batch: int
    """Most rows that were generated together with it, itself included."""


@dataclass(kw_only=True, eq=False)
class Row:
    """A row on its way from the queue to its end."""

    index: int
    ask: Ask
    stops: Stops
    stream: TextStream | None
    uniforms: Sequence[float]
    """A number in [0, 1) for each token to draw; empty where the most probable one is taken."""
    tokens: list[int] = field(default_factory=list)
    prefix: int = 0
    """Leading tokens of the prompt that are computed once for all rows of its cluster."""
    cluster: int = 0
    ends: frozenset[int] = frozenset()
    """Control tokens that are stop strings of its own; no decoded text shows them."""
    begin: float | None = None
    first_token: float = 0.0
    batch: int = 0
    adapters: tuple[AdapterSpec, ...] = ()
    """Those that it is generated with, where rows of several share a scheduler."""
    kept: Slots | None = None
    """What its first `prefix` tokens are copied from; None where its cluster computes them."""

    @property
    def length(self) -> int:
        """Tokens so far, the prompt's included."""
        return len(self.ask.prompt) + len(self.tokens)

    @property
    def full_length(self) -> int:
        """Most tokens it can come to."""
        return len(self.ask.prompt) + self.ask.room

    @property
    def ids(self) -> list[int]:
        """The tokens so far, the prompt's included."""
        return [*self.ask.prompt, *self.tokens]

    def join(self, rows: int) -> None:
        """Note that it is now generated as one of so many rows."""
        if self.begin is None:
            self.begin = time.perf_counter()
        self.batch = max(self.batch, rows)

    def take(self, token: int, end_ids: frozenset[int], decode: Decode) -> Generated | None:
        """Add a token; return the result if it was the last."""
        self.tokens.append(token)
        if len(self.tokens) == 1:
            self.first_token = self._elapsed()
        if token in end_ids or token in self.ends:
            return self._finish(self.tokens[:-1], "stop", decode)
        if self.stops.met(self.tokens):
            found = self._finish(self.tokens, None, decode)
            if found is not None:
                return found
        if len(self.tokens) >= self.ask.room:
            return self._finish(self.tokens, "length", decode)
        if self.stream is not None:
            self.stream.push(self.tokens)
        return None

    def _finish(
        self, said: Sequence[int], finish: Literal["stop", "length"] | None, decode: Decode
    ) -> Generated | None:
        """Return the result, cut at the first stop string; None where `finish` is None and no stop string is there."""
        whole = decode(said)
        cut = self.stops.cut(whole)
        if cut is not None:
            finish = "stop"
        if finish is None:
            return None
        text = whole if cut is None else cut
        if self.stream is not None:
            self.stream.close(text)
        return Generated(
            text=text,
            ids=tuple(self.tokens),
            tokens=len(self.tokens),
            finish=finish,
            seconds=self._elapsed(),
            first_token=self.first_token,
            batch=self.batch,
        )

    def _elapsed(self) -> float:
        return 0.0 if self.begin is None else time.perf_counter() - self.begin


def rows_of(
    asks: Sequence[Ask],
    decode: Decode,
    stream: Callable[[int, Stops], TextStream] | None = None,
    controls: Mapping[str, int] | None = None,
) -> list[Row]:
    """Make a row of each ask; equal lists of stop strings share what they learn about tokens.

    Args:
        asks: what to continue.
        decode: token ids to text.
        stream: makes the stream of an index, where its text is wanted while it grows.
        controls: control tokens by how they are written.
    """
    known: dict[tuple[str, ...], Stops] = {}
    rows = []
    for index, ask in enumerate(asks):
        stops = known.setdefault(ask.decoding.stop, Stops(ask.decoding.stop, decode))
        drawn = uniforms(ask.prompt, ask.decoding, ask.draw, ask.room)
        growing = None if stream is None else stream(index, stops)
        ends = frozenset(controls[stop] for stop in ask.decoding.stop if stop in controls) if controls else frozenset()
        rows.append(Row(index=index, ask=ask, stops=stops, stream=growing, uniforms=drawn, ends=ends))
    return rows
