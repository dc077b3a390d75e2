"""Log-probabilities of a few texts of our own under two forms of one model."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedTokenizerBase

TEXTS = (
    "The lighthouse stood on a narrow rock, and its lamp was lit every evening at dusk.",
    "To bake bread, mix flour, water, salt and yeast; let the dough rest until it has doubled.",
    "def mean(values):\n    return sum(values) / len(values)\n",
    "In 1884, 25 delegates met to choose a prime meridian; 22 of them voted for Greenwich.",
    "Could you tell me which train leaves first? Yes: the 9.40 to the coast, from platform 3.",
)
_WINDOW = 64


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a model says of the texts."""

    log_probabilities: Sequence[float]
    """Of each token behind the first of its text, in nats."""
    best: Sequence[int]
    """The likeliest token in each of these places."""
    seconds: float


def score(forward: Callable[[list[int]], Any], tokenizer: PreTrainedTokenizerBase) -> Scores:
    """Return the log-probabilities of the texts' tokens.

    Args:
        forward: returns logits of shape (tokens, vocabulary) for token ids.
        tokenizer: of the original.
    """
    encoded = [list(tokenizer(text, add_special_tokens=False)["input_ids"])[:_WINDOW] for text in TEXTS]
    forward(encoded[0])  # what is set up at the first call is not counted
    log_probabilities: list[float] = []
    best: list[int] = []
    seconds = 0.0
    for ids in encoded:
        began = time.monotonic()
        logits = forward(ids)
        seconds += time.monotonic() - began
        for place, token in enumerate(ids[1:]):
            row: np.ndarray = logits[place].astype("float64")
            top = float(row.max())
            log_probabilities.append(float(row[token]) - top - math.log(float(sum(_exp(row - top)))))
            best.append(int(row.argmax()))
    return Scores(log_probabilities=log_probabilities, best=best, seconds=seconds)


def _exp(row: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.asarray(np.exp(row))


def compare(here: Scores, there: Scores) -> dict[str, float]:
    """Return how far two forms of a model are apart, and how fast each is.

    Returns:
        `mean_difference` and `largest_difference` of log-probabilities in nats per token, `perplexity` of both,
        `same_best` (the share of places with the same likeliest token), `tokens_per_second` of both on one text at a
        time.
    """
    pairs = list(zip(here.log_probabilities, there.log_probabilities, strict=True))
    gaps = [abs(one - other) if math.isfinite(other) else math.inf for one, other in pairs]
    same = [one == other for one, other in zip(here.best, there.best, strict=True)]
    count = len(pairs)
    return {
        "compared_tokens": float(count), "mean_difference": sum(gaps) / count, "largest_difference": max(gaps),
        "same_best": sum(same) / count, "perplexity": math.exp(-sum(here.log_probabilities) / count),
        "perplexity_read_again": math.exp(-sum(there.log_probabilities) / count),
        "tokens_per_second": count / max(here.seconds, 1e-9),
        "tokens_per_second_read_again": count / max(there.seconds, 1e-9),
    }  # fmt: skip
