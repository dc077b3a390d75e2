"""How much work a plan is: what a pass costs is a sum over a few counts, and these are the counts.

A pass over B rows of L tokens behind D cached ones costs something for itself, for each of its B L tokens (padding too)
and for each of its B L (D + L) pairs of tokens that attention looks at, more where a mask must say which; and logits
cost something for each state that predicts. A step of generation costs something for itself, for each row, and for
each cached token that a row looks back at. `calibration` finds out the prices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from harness_models.hf.planning import Branches, plan, separate
from harness_models.hf.scoring import batched

if TYPE_CHECKING:
    from harness_models.hf.batching import Budget


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What some work is made of."""

    passes: float = 0.0
    tokens: float = 0.0
    """Rows times length, padding included."""
    pairs: float = 0.0
    """That attention looks at under the plain causal mask."""
    masked: float = 0.0
    """That it looks at under a mask of our own."""
    states: float = 0.0
    """That logits are made for."""
    steps: float = 0.0
    """Of generation."""
    rows: float = 0.0
    """Summed over the steps."""
    columns: float = 0.0
    """Cached tokens looked back at, summed over rows and steps."""

    def plus(self, other: Counts) -> Counts:
        """Return both together."""
        return Counts(**{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)})

    @property
    def vector(self) -> tuple[float, ...]:
        """The counts in the order of their declaration."""
        return tuple(float(getattr(self, field.name)) for field in fields(self))


@dataclass(frozen=True, kw_only=True)
class Work:
    """The work of some requests."""

    counts: Counts
    distinct: int
    """Tokens that go through the model, each shared one once and padding aside."""
    together: int
    """Most tokens of one pass, padding included."""
    cached: int
    """Most tokens whose keys and values are held at a time."""


NOTHING = Work(counts=Counts(), distinct=0, together=0, cached=0)


def scoring(rows: Sequence[Branches], budget: Budget, *, shares: bool, window: int) -> Work:
    """Return the work of `harness_models.hf.scoring.score` on these rows."""
    if not rows:
        return NOTHING
    trie = plan(rows, pack_tokens=budget.pack, window=window) if shares else separate(rows)
    passes = tokens = pairs = masked = together = cached = 0
    for group in trie.groups:
        if group.prefix is not None:
            length, above = len(group.prefix.tokens), group.prefix.depth - len(group.prefix.tokens)
            passes, tokens, pairs = passes + 1, tokens + length, pairs + length * (above + length)
        for batch in batched(group.packs, budget):
            longest = max(pack.size for pack in batch)
            here = len(batch) * longest
            passes, tokens = passes + 1, tokens + here
            seen = here * (group.depth + longest)
            pairs, masked = (pairs, masked + seen) if batch[0].branching else (pairs + seen, masked)
            together, cached = max(together, here), max(cached, len(batch) * group.depth)
    states = sum(1 + sum(len(continuation) - 1 for continuation in row.continuations) for row in rows)
    counts = Counts(passes=passes, tokens=tokens, pairs=pairs, masked=masked, states=states)
    return Work(counts=counts, distinct=trie.tokens, together=together, cached=cached)
