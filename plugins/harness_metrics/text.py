"""Words, n-grams and normal forms of texts, in any script."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

# Scripts written without spaces: each character counts as a word, as CJK tokenizers for BLEU do.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f"
_LETTER = rf"[^\W_{_UNSPACED}]"
# Vowel signs and accents continue a word though Unicode does not call them letters.
_MARK = (
    "[\u0300-\u036f\u0591-\u05c7\u0610-\u065f\u0670\u0900-\u0903\u093a-\u094f\u0980-\u0983\u09bc-\u09cd\u0a00-\u0dff]"
)
_WORD = re.compile(rf"[{_UNSPACED}]|{_LETTER}(?:{_LETTER}|{_MARK}|['’](?={_LETTER}))*")
_MAYBE_PUNCTUATION = re.compile(r"[^\w\s]|_")
"""All punctuation, and symbols: of most texts a few characters, so that few are looked up."""
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def words(text: str) -> list[str]:
    """Return the words, casefolded: runs of letters and digits, with inner apostrophes; each character where the
    script has no spaces. Punctuation is no word."""  # fmt: skip
    return _WORD.findall(unicodedata.normalize("NFC", text).casefold())


def ngrams(tokens: Sequence[T], n: int) -> list[tuple[T, ...]]:
    """Return the n-grams in order; none where there are fewer than n tokens."""
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


def normalise(text: str, *, case: bool = True, punctuation: bool = True, articles: bool = False) -> str:
    """Return a normal form for comparing answers.

    Always: Unicode NFKC, runs of white space as one space, none at the ends. `case`: casefold. `punctuation`: every
    character of a Unicode punctuation category becomes a space. `articles`: English a, an, the are dropped (as the
    SQuAD script does), unless nothing else is left.
    """
    out = unicodedata.normalize("NFKC", text)
    if case:
        out = out.casefold()
    if punctuation:
        out = _MAYBE_PUNCTUATION.sub(_without_punctuation, out)
    out = " ".join(out.split())
    if articles:
        without = " ".join(_ARTICLES.sub(" ", out).split())
        out = without or out
    return out


def _without_punctuation(found: re.Match[str]) -> str:
    char = found.group()
    return " " if unicodedata.category(char).startswith("P") else char


def contains_span(text: str, part: str) -> bool:
    """Tell whether `part` stands in `text` as whole words; both already normalised. An empty part never does."""
    if not part:
        return False
    # A boundary is asked for only at an end that is a letter or digit of a script with spaces.
    before = f"(?<!{_LETTER})" if re.match(_LETTER, part[0]) else ""
    after = f"(?!{_LETTER})" if re.match(_LETTER, part[-1]) else ""
    return re.search(before + re.escape(part) + after, text) is not None
