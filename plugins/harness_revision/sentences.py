"""Sentences of replies: those that open one, and how many replies share the same ones."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence

_BETWEEN = re.compile(r"(?<=[.!?…])[\"')\]]*\s+|\n+")


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, in small letters and with single spaces."""
    parts = _BETWEEN.split(text.strip())
    return [" ".join(part.lower().split()) for part in parts if any(letter.isalpha() for letter in part)]


def opening(text: str, count: int = 2) -> str:
    """Return the first sentences of a text, which tell whether it declines."""
    return " ".join(_BETWEEN.split(text.strip(), maxsplit=count)[:count])


def common_sentences(texts: Sequence[Collection[str]], most: int = 10) -> set[str]:
    """Return the sentences that stand in most texts.

    Args:
        texts: the sentences of each, without repeats.
        most: how many count as the commonest; one that stands in a single text is none.
    """
    counts = Counter(sentence for own in texts for sentence in sorted(own))
    return {sentence for sentence, count in counts.most_common(most) if count > 1}


def commonest_share(texts: Sequence[str]) -> float:
    """Return the share of texts that hold at least one of the ten sentences which stand in most of them.

    Returns:
        A share in [0, 1]; 0 for no texts.
    """
    found = [set(sentences(text)) for text in texts]
    common = common_sentences(found)
    return sum(1 for own in found if own & common) / len(found) if found else 0.0
