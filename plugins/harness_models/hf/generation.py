"""Generates text over a loaded model, in batches whose rows leave as they finish.

Prompts are padded on the left; a prefix that all rows of a batch share is computed once. What a row generates does not
depend on what shares its batch, but for near ties between tokens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from harness_models.hf.batching import Budget, common_prefix, run_batches
from harness_models.hf.sampling import row_generator, sample

if TYPE_CHECKING:
    import torch

    from harness.types import Decoding
    from harness_models.hf.loading import Loaded

_SHORTEST_PREFIX = 16
_LEAVE_SHARE = 8
"""Finished rows leave the batch when they are at least one in so many: leaving copies the cache."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One prompt to continue."""

    prompt: tuple[int, ...]
    """Token ids, at least one."""
    decoding: Decoding
    room: int
    """Most new tokens: `max_new_tokens`, or less where the window ends."""
    draw: int = 0


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What one prompt gave."""

    text: str
    tokens: int
    """Tokens generated, the end of the turn included."""
    finish: Literal["stop", "length"]
    seconds: float
    first_token: float
    batch: int


@dataclass(kw_only=True)
class _Row:
    """A row while it is generated."""

    index: int
    ask: Ask
    generator: torch.Generator | None
    tokens: list[int] = field(default_factory=list)
    first_token: float = 0.0
    done: bool = False


def generate(
    loaded: Loaded,
    asks: Sequence[Ask],
    budget: Budget,
    decode: Callable[[Sequence[int]], str],
    deliver: Callable[[int, Generated | None], None],
) -> None:
    """Continue every prompt; `deliver(index, None)` where memory does not suffice for one row.

    Args:
        loaded: the model, with the wanted adapters active.
        asks: what to continue.
        budget: how much one batch may hold; shrinks when memory runs out.
        decode: token ids to text, without control tokens.
        deliver: called once for each index, as soon as its row is finished.
    """
    import torch

    delivered: set[int] = set()

    def once(index: int, generated: Generated | None) -> None:
        delivered.add(index)
        deliver(index, generated)

    def run(batch: list[int]) -> None:
        rows = [_row(index, asks[index]) for index in batch if index not in delivered]
        if rows:
            _Batch(loaded, rows, decode, once).run()

    with torch.inference_mode():
        lengths = [len(ask.prompt) + ask.room for ask in asks]
        run_batches(lengths, budget, run, lambda index: once(index, None))


def _row(index: int, ask: Ask) -> _Row:
    sampled = ask.decoding.temperature > 0
    generator = row_generator(ask.prompt, ask.decoding, ask.draw) if sampled else None
    return _Row(index=index, ask=ask, generator=generator)


class _Batch:
    """Rows that are decoded together, one token at a time."""

    def __init__(
        self,
        loaded: Loaded,
        rows: list[_Row],
        decode: Callable[[Sequence[int]], str],
        deliver: Callable[[int, Generated | None], None],
    ) -> None:
        self._loaded = loaded
        self._rows = rows
        self._decode = decode
        self._deliver = deliver
        self._size = len(rows)
        self._begin = time.perf_counter()

    def run(self) -> None:
        """Generate until every row is finished."""
        cache, mask, hidden = self._prefill()
        lengths = self._loaded.tensor([len(row.ask.prompt) for row in self._rows])
        padded = mask is not None
        while True:
            chosen = self._choose(self._loaded.logits(hidden[:, -1]))
            live = [place for place, row in enumerate(self._rows) if not row.done]
            if not live:
                return
            if (len(self._rows) - len(live)) * _LEAVE_SHARE >= len(self._rows):
                kept = self._loaded.tensor(live)
                self._rows = [self._rows[place] for place in live]
                cache.batch_select_indices(kept)
                chosen, lengths = chosen[kept], lengths[kept]
                mask = mask[kept] if mask is not None else None
            if mask is not None:
                mask = _with_one_more(mask)
            hidden = self._loaded.hidden(
                chosen[:, None], mask=mask, positions=lengths[:, None] if padded else None, cache=cache
            )
            lengths = lengths + 1

    def _prefill(self) -> tuple[Any, torch.Tensor | None, torch.Tensor]:
        """Run the prompts; return the cache, the padding mask (None where nothing is padded) and the hidden states."""
        import torch

        prompts = [row.ask.prompt for row in self._rows]
        shortest, longest = min(map(len, prompts)), max(map(len, prompts))
        cache = self._new_cache(longest + max(row.ask.room for row in self._rows))
        prefix = 0
        if self._loaded.shares and len(prompts) > 1:
            prefix = min(common_prefix(prompts), shortest - 1)
            prefix = prefix if prefix >= _SHORTEST_PREFIX else 0
        if prefix:
            self._fill_prefix(prompts[0][:prefix], cache)
        rest = [prompt[prefix:] for prompt in prompts]
        width = longest - prefix
        ids = self._loaded.tensor([[0] * (width - len(tail)) + list(tail) for tail in rest])
        mask = positions = None
        if shortest < longest:
            device = ids.device
            real = (
                torch.arange(width, device=device) >= self._loaded.tensor([width - len(tail) for tail in rest])[:, None]
            )
            mask = torch.cat([real.new_ones(len(rest), prefix), real], dim=1).long()
            positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, prefix:]
        hidden = self._loaded.hidden(ids, mask=mask, positions=positions, cache=cache)
        return cache, mask, hidden

    def _fill_prefix(self, tokens: Sequence[int], cache: Any) -> None:  # noqa: ANN401 - a transformers cache
        once = self._loaded.new_cache()
        self._loaded.hidden(self._loaded.tensor([list(tokens)]), cache=once)
        rows = len(self._rows)
        for index, layer in enumerate(once.layers):
            cache.update(layer.keys.expand(rows, -1, -1, -1), layer.values.expand(rows, -1, -1, -1), index)

    def _new_cache(self, capacity: int) -> Any:  # noqa: ANN401 - a transformers cache
        if not self._loaded.shares:
            return self._loaded.new_cache()
        from harness_models.hf.cache import roomy_cache

        return roomy_cache(self._loaded.model.config.get_text_config().num_hidden_layers, capacity)

    def _choose(self, logits: torch.Tensor) -> torch.Tensor:
        """Pick each row's next token, and finish the rows that end with it. Returns the tokens (B,)."""
        chosen = logits.argmax(dim=-1)
        for place, row in enumerate(self._rows):
            if row.generator is not None and not row.done:
                chosen[place] = sample(logits[place], row.ask.decoding, row.generator)
        now = time.perf_counter() - self._begin
        for row, token in zip(self._rows, chosen.tolist(), strict=True):
            if not row.done:
                self._take(row, token, now)
        return chosen

    def _take(self, row: _Row, token: int, now: float) -> None:
        """Add a token to a row, and deliver the row if it ends there."""
        if not row.tokens:
            row.first_token = now
        row.tokens.append(token)
        if token in self._loaded.end_ids:
            self._finish(row, self._decode(row.tokens[:-1]), "stop")
            return
        full = len(row.tokens) >= row.ask.room
        if row.ask.decoding.stop or full:
            text = self._decode(row.tokens)
            cut = [place for place in map(text.find, row.ask.decoding.stop) if place >= 0]
            if cut:
                self._finish(row, text[: min(cut)], "stop")
            elif full:
                self._finish(row, text, "length")

    def _finish(self, row: _Row, text: str, finish: Literal["stop", "length"]) -> None:
        row.done = True
        self._deliver(
            row.index,
            Generated(
                text=text,
                tokens=len(row.tokens),
                finish=finish,
                seconds=time.perf_counter() - self._begin,
                first_token=row.first_token,
                batch=self._size,
            ),
        )


def _with_one_more(mask: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.cat([mask, mask.new_ones(mask.shape[0], 1)], dim=1)
