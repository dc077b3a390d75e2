"""Sentences of replies: where a cut reply can end, and how many replies share the same ones."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.api import Completion

_END = re.compile(r"(?<=[.!?…])[\"')\]]*(?=\s|$)")
_DANGLING = re.compile(r"\n\s*(?:\d+[.)]|[-*#]+)\s*$")


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, in small letters and with single spaces."""
    parts = re.split(r"(?<=[.!?…])[\"')\]]*\s+|\n+", text.strip())
    return [" ".join(part.lower().split()) for part in parts if any(letter.isalpha() for letter in part)]


def whole_sentences(reply: Completion) -> str:
    """Return a reply up to its last whole sentence, where it was cut by its length; empty where there is none."""
    if reply.finish == "stop":
        return reply.text.strip()
    ends = list(_END.finditer(reply.text.rstrip()))
    return _DANGLING.sub("", reply.text[: ends[-1].end()]).strip() if ends else ""


def commonest_share(texts: Sequence[str], most: int = 10) -> float:
    """Return the share of texts that hold at least one of the sentences which stand in most of them.

    Args:
        texts: replies.
        most: how many sentences count as the commonest; one that stands in a single text is none.

    Returns:
        A share in [0, 1]; 0 for no texts.
    """
    found = [set(sentences(text)) for text in texts]
    counts = Counter(sentence for own in found for sentence in own)
    common = {sentence for sentence, count in counts.most_common(most) if count > 1}
    return sum(1 for own in found if own & common) / len(found) if found else 0.0
