"""How varied, repetitive and long the replies are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.api import Completion, Unscored
from harness_metrics.replies import TextMetric, completion
from harness_metrics.text import ngrams, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from numpy.typing import NDArray

    from harness.api import Findings, Metric, Reply, Row, Sample

_REPEATED = 4
"""Length of the n-grams whose repetition counts, as seq-rep-4 of Welleck et al. 2020."""


class DistinctN(TextMetric):
    """Different n-grams over all n-grams, across every reply. Row: (different, all) within the reply."""

    kind = "corpus"
    direction = "higher"
    bounds = (0.0, 1.0)
    unit = "share"

    def __init__(self, n: int, name: str) -> None:
        self.n = n
        self.name = name
        self.about = (
            f"Different word {n}-grams over all word {n}-grams across every reply (distinct-{n}, Li et al. 2016); "
            f"falls as more "
            "text is read, so compare only runs over the same samples with the same max_new_tokens"
        )
        self._compiled: tuple[Sequence[object], list[NDArray[np.int64]], int] | None = None

    def row(self, sample: Sample, reply: Completion, findings: Mapping[str, Findings]) -> Row | Unscored:
        """Return the reply's own counts; a reply shorter than n words adds nothing."""
        found = ngrams(words(reply.text), self.n)
        return (float(len(set(found))), float(len(found)))

    def resample(self, records: Sequence[tuple[Sample, tuple[Reply, ...]]], indices: NDArray[np.int64]) -> float:
        """Return the share on the records at `indices`; NaN where they hold no n-gram."""
        grams, kinds = self._compile(records)
        total = sum(len(grams[i]) for i in indices)
        if total == 0:
            return float("nan")
        seen = np.zeros(kinds, dtype=bool)
        for i in np.unique(indices):
            seen[grams[i]] = True
        return float(seen.sum()) / total

    def _compile(self, records: Sequence[tuple[Sample, tuple[Reply, ...]]]) -> tuple[list[NDArray[np.int64]], int]:
        """Number the n-grams once per list of records: the bootstrap asks thousands of times for the same list."""
        if self._compiled is not None and self._compiled[0] is records:
            return self._compiled[1], self._compiled[2]
        numbers: dict[tuple[str, ...], int] = {}
        grams: list[NDArray[np.int64]] = []
        for _, replies in records:
            reply = completion(replies)
            found = ngrams(words(reply.text), self.n) if isinstance(reply, Completion) else []
            grams.append(np.array([numbers.setdefault(gram, len(numbers)) for gram in found], dtype=np.int64))
        self._compiled = (records, grams, len(numbers))
        return grams, len(numbers)


class Repetition(TextMetric):
    """Row: (share of the reply's 4-grams that occurred before in it, 1)."""

    name = "repetition"
    kind = "mean"
    direction = "lower"
    bounds = (0.0, 1.0)
    unit = "share"
    about = (
        "Mean over replies of 1 − different word 4-grams / word 4-grams (seq-rep-4, Welleck et al. 2020); 0 for a "
        "reply of "
        "fewer than four words"
    )

    def row(self, sample: Sample, reply: Completion, findings: Mapping[str, Findings]) -> Row | Unscored:
        """Return the row."""
        found = ngrams(words(reply.text), _REPEATED)
        return (1.0 - len(set(found)) / len(found) if found else 0.0, 1.0)


class Length(TextMetric):
    """Row: (length of the reply, 1)."""

    kind = "mean"

    def __init__(self, unit: Literal["words", "tokens", "characters"]) -> None:
        self.unit = unit
        self.name = f"length_{unit}"
        counted = "tokens as the model counts them" if unit == "tokens" else unit
        self.about = f"Mean {counted} per reply; replies cut at max_new_tokens count as long as they are"

    def row(self, sample: Sample, reply: Completion, findings: Mapping[str, Findings]) -> Row | Unscored:
        """Return the row; Unscored where the backend does not say how many tokens there are."""
        if self.unit == "tokens":
            if reply.completion_tokens is None:
                return Unscored(reason="the backend does not count tokens")
            return (float(reply.completion_tokens), 1.0)
        return (float(len(words(reply.text)) if self.unit == "words" else len(reply.text)), 1.0)


def distinct() -> Sequence[Metric]:
    """Return `distinct_1`, `distinct_2` and `trigram_diversity`."""
    return [DistinctN(1, "distinct_1"), DistinctN(2, "distinct_2"), DistinctN(3, "trigram_diversity")]


def lengths() -> Sequence[Metric]:
    """Return `length_words`, `length_tokens` and `length_characters`."""
    return [Length("words"), Length("tokens"), Length("characters")]
