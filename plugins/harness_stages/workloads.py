"""What a stage would have to do, by its data and options alone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness_stages.tuning import OptimiserOptions

CHARACTERS = 3.5
"""Of English text in one token of a usual vocabulary: a rule of thumb."""
MARKS = 12
"""Tokens that a chat template adds to a conversation, about."""


def workload(options: OptimiserOptions, lengths: Iterable[float]) -> dict[str, float]:
    """Return rows, tokens and steps.

    Args:
        options: of the stage.
        lengths: characters of each row; what is longer than `max_length` tokens is cut.
    """
    tokens = [min(options.max_length, length / CHARACTERS + MARKS) for length in lengths]
    per_step: float = options.batch_size * options.gradient_accumulation
    budget = getattr(options, "batch_tokens", None)
    if budget is not None and tokens:
        per_step = max(1.0, budget * len(tokens) / sum(tokens)) * options.gradient_accumulation
    steps = math.ceil(math.ceil(len(tokens) / per_step) * options.epochs)
    if options.max_steps is not None:
        steps = options.max_steps
    rows = steps * per_step if options.max_steps is not None else len(tokens) * options.epochs
    mean = sum(tokens) / max(1, len(tokens))
    return {"rows": float(len(tokens)), "tokens": float(round(rows * mean)), "steps": float(steps)}
