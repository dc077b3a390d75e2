"""Training data that stands in a suite: word for word, in a long run of words, or near in meaning.

Runs of 13 words are the measure of GPT-3's authors (arXiv 2005.14165, appendix C); nearness is the cosine of MiniLM's
sentence embeddings.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.api import Sample
    from harness_guards.trained_texts import TrainedText

Kind = Literal["exact", "13-gram", "near"]
GRAM = 13
"""Words of a run."""
COMMON = 10
"""Samples of a suite from which on a run of words is its template, and says nothing."""
NEAR = 0.75
"""Cosine from which on two prompts ask the same; docs/training.md has the recall and the false alarms."""
_BLOCK = 1024
_WORD = re.compile(r"\w+", re.UNICODE)
Encode = Callable[[Sequence[str]], "NDArray[np.float32]"]


@dataclass(frozen=True, kw_only=True)
class Match:
    """A row of training data, and the sample that it gives away."""

    kind: Kind
    """The strictest that holds."""
    line: int
    """Of the training file."""
    suite: str
    sample: str
    """Its id."""
    score: float
    """Cosine; 1 for the other two kinds."""
    trained: str
    """What the row says."""
    evaluated: str
    """What the sample says."""


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What a sample says."""

    suite: str
    sample: str
    asked: tuple[str, ...]
    words: str


def evaluated(suite: str, samples: Iterable[Sample]) -> Iterator[Evaluated]:
    """Yield what a suite's samples say: what a user asks, and all of it with references and choices."""
    for sample in samples:
        asked = [message.content for message in sample.messages if message.role == "user"] + list(sample.turns)
        said = [message.content for message in sample.messages if message.role == "assistant"]
        yield Evaluated(
            suite=suite, sample=sample.id, asked=tuple(text for text in asked if text.strip()),
            words="\n".join((*asked, *said, *sample.choices, *sample.target)),
        )  # fmt: skip


def words_of(text: str) -> list[str]:
    """Return a text's words: folded case, no punctuation, compatible forms of Unicode made one."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def find_matches(
    trained: Sequence[TrainedText], against: Sequence[Evaluated], *, encode: Encode | None, near: float = NEAR
) -> list[Match]:
    """Return the rows that stand in a suite, each sample of a row once, with the strictest kind that holds.

    Args:
        trained: rows.
        against: samples of all suites.
        encode: turns prompts into unit vectors of shape (n, d); None leaves out what is near in meaning.
        near: cosine from which on prompts count as near, in (0, 1].
    """
    found: dict[tuple[int, str, str], Match] = {}

    def note(kind: Kind, row: TrainedText, sample: Evaluated, score: float, texts: tuple[str, str]) -> None:
        found.setdefault((row.line, sample.suite, sample.sample), Match(
            kind=kind, line=row.line, suite=sample.suite, sample=sample.sample, score=score, trained=texts[0],
            evaluated=texts[1],
        ))  # fmt: skip

    _exact(trained, against, note)
    _runs(trained, against, note)
    if encode is not None:
        _near(trained, against, encode, near, note)
    return sorted(found.values(), key=lambda match: (match.line, match.suite, match.sample))


_Note = Callable[["Kind", "TrainedText", Evaluated, float, tuple[str, str]], None]


def _exact(trained: Sequence[TrainedText], against: Sequence[Evaluated], note: _Note) -> None:
    places: dict[tuple[str, ...], list[tuple[Evaluated, str]]] = defaultdict(list)
    for sample in against:
        for text in sample.asked or (sample.words,):
            places[tuple(words_of(text))].append((sample, text))
    places.pop((), None)
    for row in trained:
        for text in row.asked or (row.words,):
            for sample, other in places.get(tuple(words_of(text)), ()):
                note("exact", row, sample, 1.0, (text, other))


def _runs(trained: Sequence[TrainedText], against: Sequence[Evaluated], note: _Note) -> None:
    holders: dict[tuple[str, ...], list[Evaluated]] = defaultdict(list)
    for sample in against:
        for gram in set(_grams(sample.words)):
            holders[gram].append(sample)
    template = {
        gram for gram, samples in holders.items() if max(Counter(one.suite for one in samples).values()) > COMMON
    }
    for row in trained:
        for gram in _grams(row.words):
            if gram in holders and gram not in template:
                for sample in holders[gram]:
                    note("13-gram", row, sample, 1.0, (" ".join(gram), sample.words))


def _grams(text: str) -> Iterator[tuple[str, ...]]:
    words = words_of(text)
    return (tuple(words[at : at + GRAM]) for at in range(len(words) - GRAM + 1))


def _near(
    trained: Sequence[TrainedText], against: Sequence[Evaluated], encode: Encode, near: float, note: _Note
) -> None:
    rows = [(row, text) for row in trained for text in row.asked]
    samples = [(sample, text) for sample in against for text in sample.asked]
    if not rows or not samples:
        return
    texts = list(dict.fromkeys(text for _, text in (*rows, *samples)))
    vectors = encode(texts)
    place = {text: index for index, text in enumerate(texts)}
    theirs = vectors[[place[text] for _, text in samples]]
    for start in range(0, len(rows), _BLOCK):
        some = rows[start : start + _BLOCK]
        cosines = vectors[[place[text] for _, text in some]] @ theirs.T
        for at, other in zip(*np.nonzero(cosines >= near), strict=True):
            (row, text), (sample, asked) = some[int(at)], samples[int(other)]
            note("near", row, sample, round(float(cosines[at, other]), 4), (text, asked))
