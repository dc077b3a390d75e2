"""Terms of a corpus that its base spells out in several pieces: technical words, names in code, and entities."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_CODE = re.compile(
    r"(?<![\w.])(?:[A-Za-z]\w*_\w+|_+[a-z]\w+|[a-z]+(?:[A-Z][a-z0-9]+)+|[A-Za-z]\w*(?:\.[a-z]\w*)+(?=\())"
)
_WORD = re.compile(r"(?<![\w.])[A-Za-z][A-Za-z-]{4,}(?!\w)")
_NAME = re.compile(r"(?<=[a-z,;:] )[A-Z][a-z]+(?: [A-Z][a-z]+){0,2}(?!\w)")
_MOST_GOING_ON = 0.2
"""Largest share of a term's places in which a longer word goes on behind it."""


@dataclass(frozen=True, kw_only=True)
class Term:
    """A token to be."""

    text: str
    """With the space before it."""
    kind: str
    """`technical`, `code` or `entity`."""
    count: int
    pieces: int
    """Tokens that the base takes for it."""

    @property
    def saved(self) -> int:
        """How many tokens of the corpus it saves."""
        return self.count * (self.pieces - 1)


def mine(
    documents: Sequence[str], encode: Callable[[str], Sequence[int]], *, most: dict[str, int], least: int
) -> list[Term]:
    """Return the terms that save most tokens, by kind and then by what they save.

    A name in code is one with underscores, humps or dots before a bracket; an entity is one to three capitalised words
    in the middle of a sentence whose words do not stand in small letters elsewhere; a technical term is any other
    word of five letters and more. Each stands behind a space, and in few places goes on as a longer word.

    Args:
        documents: the corpus.
        encode: of the base's tokenizer.
        most: terms by kind.
        least: times that a term stands in the corpus.
    """
    code: Counter[str] = Counter()
    words: Counter[str] = Counter()
    names: Counter[str] = Counter()
    for text in documents:
        code.update(_CODE.findall(text))
        words.update(_WORD.findall(text))
        names.update(_NAME.findall(text))
    entities = Counter({
        name: count for name, count in names.items()
        if not any(words[part.lower()] for part in name.split()) and not any(code[part] for part in name.split())
    })  # fmt: skip
    taken = {part for name in entities for part in (name, *name.split())}
    technical = Counter({word: n for word, n in words.items() if word not in taken and word not in code})
    found: list[Term] = []
    whole = "\n".join(documents)
    for kind, counter in (("technical", technical), ("code", code), ("entity", entities)):
        ranked = []
        for text, count in counter.items():
            if count < least:
                continue
            pieces = len(encode(" " + text))
            if pieces > 1:
                ranked.append(Term(text=" " + text, kind=kind, count=count, pieces=pieces))
        ranked.sort(key=lambda term: (-term.saved, term.text))
        kept: list[Term] = []
        for term in ranked:
            if len(kept) == most[kind]:
                break
            if _goes_on(term, whole) <= _MOST_GOING_ON:
                kept.append(term)
        found += kept
    return found


def _goes_on(term: Term, whole: str) -> float:
    """Return the share of a term's places in which letters follow."""
    places = len(re.findall(re.escape(term.text), whole))
    return len(re.findall(re.escape(term.text) + r"\w", whole)) / places if places else 1.0
