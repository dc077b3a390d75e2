"""What constraints count: words, sentences, paragraphs, lines and numbers."""

from __future__ import annotations

import re

_ABBREVIATIONS = ("Mr", "Mrs", "Ms", "Dr", "Prof", "St", "vs", "e.g", "i.e")
# Their dots are masked before sentences are counted. Abbreviations that often end a sentence (etc., a.m.) are left out.
_MASKED = re.compile(r"\b(?:" + "|".join(re.escape(short) for short in _ABBREVIATIONS) + r")\.(?=\s+\S)")
_SENTENCE_END = re.compile(r"[.!?…。！？]+[\"'”’)\]*_]*(?=\s|$)")
_NUMBER = re.compile(r"(?<![\w.,])[-−]?\d+(?:,\d{3})*(?:\.\d+)?(?![\w])")


def count_words(text: str) -> int:
    """Return the pieces between white space that hold a letter or digit: `well-known` is one word, `-` is none."""
    return sum(any(char.isalnum() for char in piece) for piece in text.split())


def count_sentences(text: str) -> int:
    """Return the sentences: ended by . ! ? or …, by a blank line or by the end. List numbers and initials such as
    `Dr.` end none; a line break alone ends none."""  # fmt: skip
    total = 0
    for paragraph in paragraphs(text):
        plain = re.sub(r"^\s*\d+[.)]\s+", "", paragraph, flags=re.MULTILINE)
        plain = _MASKED.sub(lambda match: match.group().replace(".", ""), plain)
        total += sum(any(char.isalnum() for char in piece) for piece in _SENTENCE_END.split(plain))
    return total


def paragraphs(text: str) -> list[str]:
    """Return the blocks of text between blank lines."""
    return [block for block in re.split(r"\n[^\S\n]*\n", text) if block.strip()]


def lines(text: str) -> list[str]:
    """Return the lines that are not blank, without white space at their ends."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def numbers(text: str) -> list[float]:
    """Return the decimal numbers that stand alone: 1,250 and −3.5, not the 2 of H2O nor the parts of 1.2.3."""
    found = []
    for match in _NUMBER.finditer(text):
        after = text[match.end() : match.end() + 2]
        if not re.match(r"[.,]\d", after):
            found.append(float(match.group().replace(",", "").replace("−", "-")))
    return found
