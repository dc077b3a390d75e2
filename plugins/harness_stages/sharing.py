"""Runs the beginning that all rows of a batch share once, in one pass with what stands behind it.

A chat template opens every row with the same tokens. What they become does not depend on what follows them, so that a
batch needs them once: the pass goes over one long row, the beginning and behind it the rows' rests, each of which
attends to the beginning and to itself. Losses and gradients change by rounding alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch

from harness_stages.encoding import IGNORED

LEAST = 4
"""Shared tokens below which nothing is gained."""
MOST = 256
"""Tokens of the rests up to which scores that are all kept cost less than torch's fused attention to whole rows."""
_NAME = "harness_shared_beginning"
_PLAIN = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Architectures in which tokens meet in attention alone, and that is no more than softmax(q·k)·v."""


@dataclass(frozen=True, kw_only=True)
class Shared:
    """How a batch lies in one row: `beginning` tokens, and then `rows` times `rest` tokens."""

    beginning: int
    rows: int
    rest: int

    def flat(self, ids: torch.Tensor) -> torch.Tensor:
        """Return token ids of shape (rows, beginning + rest) as one row, shape (1, tokens)."""
        return torch.cat([ids[0, : self.beginning], ids[:, self.beginning :].reshape(-1)])[None]

    def positions(self, device: torch.device) -> torch.Tensor:
        """Return each token's position in its own row, shape (1, tokens)."""
        rest = torch.arange(self.beginning, self.beginning + self.rest, device=device).repeat(self.rows)
        return torch.cat([torch.arange(self.beginning, device=device), rest])[None]

    def rests(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the rows' own hidden states, shape (rows, rest, width)."""
        return hidden[0, self.beginning :].view(self.rows, self.rest, -1)


_CURRENT: ContextVar[Shared] = ContextVar("shared")


def shared_beginning(ids: torch.Tensor, labels: torch.Tensor) -> Shared | None:
    """Return the beginning that all rows share and that predicts nothing which is learned.

    It is None where it is too short, and where what stands behind it is too long, to gain anything.

    Args:
        ids: of shape (rows, tokens), padded behind.
        labels: of the token that follows each, shape (rows, tokens).
    """
    rows, tokens = ids.shape
    differs = ((ids != ids[:1]) | (labels != IGNORED)).any(dim=0).nonzero()
    count = int(differs[0]) if len(differs) else tokens
    count = min(count, tokens - 1)
    if rows == 1 or count < LEAST or tokens - count > MOST:
        return None
    return Shared(beginning=count, rows=rows, rest=tokens - count)


def can_share(model: Any) -> bool:  # noqa: ANN401 - transformers is not typed
    """Tell whether the pass over one row is the same: by architecture, and as nothing is dropped out."""
    config = model.config.get_text_config()
    types = getattr(config, "layer_types", None) or ()
    if config.model_type not in _PLAIN or set(types) - {"full_attention"} or (not types and _slides(config)):
        return False
    if not model.training:
        return True
    drops = any(isinstance(module, torch.nn.Dropout) and module.p > 0 for module in model.modules())
    return not drops and not getattr(config, "attention_dropout", 0)


def _slides(config: Any) -> bool:  # noqa: ANN401 - transformers is not typed
    return bool(getattr(config, "use_sliding_window", True) and getattr(config, "sliding_window", None))


@contextmanager
def attending(model: Any) -> Iterator[None]:  # noqa: ANN401 - transformers is not typed
    """Let a model's attention take one row for what `sharing` says that it is."""
    from transformers import AttentionInterface

    AttentionInterface.register(_NAME, _attend)
    config = model.config.get_text_config()
    before = config._attn_implementation  # noqa: SLF001 - transformers has no public name for it
    config._attn_implementation = _NAME  # noqa: SLF001 - the same
    try:
        yield
    finally:
        config._attn_implementation = before  # noqa: SLF001 - the same


@contextmanager
def sharing(shared: Shared) -> Iterator[None]:
    """Say how the batch lies in its row, to this thread alone."""
    token = _CURRENT.set(shared)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def _attend(
    _: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_mask: Any, scaling: float, **_more: Any  # noqa: ANN401
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Attend within the beginning, and from each rest to the beginning and itself.

    Args:
        query: of shape (1, heads, tokens, width).
        key: of shape (1, heads of keys, tokens, width).
        value: as keys.
        scaling: of the scores.

    Returns:
        Shape (1, tokens, heads, width).
    """
    shared = _CURRENT.get()
    heads, keys, first, width = query.shape[1], key.shape[1], shared.beginning, query.shape[3]
    each, rows, rest = heads // keys, shared.rows, shared.rest  # as many neighbouring heads share keys
    query, key, value = query[0] * scaling, key[0], value[0]
    early_keys, early_values = key[:, :first].transpose(1, 2), value[:, :first]
    scores = query[:, :first].reshape(keys, -1, first, width) @ early_keys[:, None] + _ahead(first, query)
    begun = _shares(scores) @ early_values[:, None]
    # One product for all rests with the beginning, and one for each rest with itself.
    back = query[:, first:].reshape(keys, -1, width) @ early_keys
    own = query[:, first:].reshape(-1, rest, width)

    def own_of(one: torch.Tensor) -> torch.Tensor:
        apart = one[:, first:].reshape(keys, 1, rows, rest, width)
        return apart.expand(keys, each, rows, rest, width).reshape(-1, rest, width)

    within = own @ own_of(key).transpose(1, 2) + _ahead(rest, query)
    weights = _shares(torch.cat([back.view(-1, rest, first), within], dim=2))
    behind = (weights[..., :first].reshape(keys, -1, first) @ early_values).view(heads, -1, width)
    behind = behind + (weights[..., first:] @ own_of(value)).view(heads, -1, width)
    return torch.cat([begun.reshape(heads, first, width), behind], dim=1).transpose(0, 1)[None].contiguous(), None


def _shares(scores: torch.Tensor) -> torch.Tensor:
    return scores.softmax(dim=-1, dtype=torch.float32).to(scores.dtype)


def _ahead(tokens: int, like: torch.Tensor) -> torch.Tensor:
    """Return what hides tokens that come later, to be added to scores; shape (tokens, tokens)."""
    return torch.full((tokens, tokens), float("-inf"), device=like.device, dtype=like.dtype).triu(1)
