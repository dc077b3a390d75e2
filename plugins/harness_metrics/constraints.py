"""Constraints on a reply that code can verify, as the `constraints` of a sample's metadata state them.

A constraint is `{"type": "max_words", "value": 30}`. A reply without a letter or a digit satisfies none: saying nothing
is not following an instruction. docs/suites/instructions.md lists every type.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.api import InputError, nearest
from harness_metrics.text import contains_span, normalise, words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.api import Sample

_ABBREVIATIONS = ("Mr", "Mrs", "Ms", "Dr", "Prof", "St", "vs", "e.g", "i.e")
# Their dots are masked before sentences are counted. Abbreviations that often end a sentence (etc., a.m.) are left out.
_MASKED = re.compile(r"\b(?:" + "|".join(re.escape(short) for short in _ABBREVIATIONS) + r")\.(?=\s+\S)")
_SENTENCE_END = re.compile(r"[.!?…。！？]+[\"'”’)\]*_]*(?=\s|$)")
_BULLET = re.compile(r"^\s*[-*•]\s+\S", re.MULTILINE)
_NUMBERED = re.compile(r"^\s*(\d+)[.)]\s+\S", re.MULTILINE)
_TITLE = re.compile(r"\[\[[^\[\]\n]*\w[^\[\]\n]*\]\]")
_EMPHASIS = re.compile(r"(?<![\w*])\*{1,2}(?=[^\s*])[^*\n]*[^\s*]\*{1,2}(?![\w*])|(?<![\w*])\*{1,2}\w\*{1,2}(?![\w*])")
_FENCE = re.compile(r"\A```[a-zA-Z]*\s*\n(.*?)\n?```\Z", re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.,])[-−]?\d+(?:,\d{3})*(?:\.\d+)?(?![\w])")


# ---------------------------------------------------------------- what is counted


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


# ---------------------------------------------------------------- how values are read


class _WrongValueError(Exception):
    """The value of a constraint is not what its type needs; the message says what it needs."""


def _nothing(value: object) -> None:
    if value is not None:
        raise _WrongValueError("takes no value")


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _WrongValueError("needs a whole number of at least 1")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _WrongValueError("needs a text")
    return value


def _words(value: object) -> tuple[str, ...]:
    if (
        not isinstance(value, list | tuple)
        or not value
        or not all(isinstance(item, str) and item.strip() for item in value)
    ):
        raise _WrongValueError('needs a list of texts, such as ["sea", "sky"]')
    if not all(normalise(item) for item in value):
        raise _WrongValueError("needs texts with a letter or digit in each")
    return tuple(value)


def _keys(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise _WrongValueError('needs a list of keys, such as ["name", "age"]')
    return tuple(value)


def _range(value: object) -> tuple[float, float]:
    ends = list(value) if isinstance(value, list | tuple) else []
    if len(ends) != 2 or not all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends):
        raise _WrongValueError("needs two numbers, such as [1, 10]")
    low, high = float(ends[0]), float(ends[1])
    if not low <= high:
        raise _WrongValueError("needs two numbers, the lower one first")
    return low, high


def _letter(value: object) -> str:
    if not isinstance(value, str) or len(value) != 1 or not value.isalpha():
        raise _WrongValueError("needs one letter")
    return value.casefold()


def _times(value: object) -> tuple[str, int]:
    if not isinstance(value, dict) or set(value) != {"word", "times"} or len(words(str(value["word"]))) != 1:
        raise _WrongValueError('needs a word and a number, such as {"word": "sea", "times": 2}')
    return words(str(value["word"]))[0], _count(value["times"])


def _parts(value: object) -> tuple[str, int]:
    if not isinstance(value, dict) or set(value) != {"separator", "count"}:
        raise _WrongValueError('needs a separator and a number, such as {"separator": "***", "count": 2}')
    return _text(value["separator"]), _count(value["count"])


# ---------------------------------------------------------------- what is checked


def _holds(text: str, word: str) -> bool:
    return contains_span(normalise(text), normalise(word))


def _letters(word: str) -> int:
    return sum(char.isalnum() for char in word)


def _is_cased(text: str, as_cased: str) -> bool:
    return text == as_cased and any(char.isalpha() for char in text)


def _is_title_case(text: str) -> bool:
    pieces = [next((char for char in piece if char.isalpha()), "") for piece in text.split()]
    letters = [letter for letter in pieces if letter]
    return bool(letters) and all(not letter.islower() for letter in letters)


def _is_script(text: str, script: str) -> bool:
    letters = [char for char in text if char.isalpha()]
    return bool(letters) and all(unicodedata.name(char, "").startswith(script.upper() + " ") for char in letters)


def _is_quoted(text: str) -> bool:
    inner = text.strip()
    pairs = (('"', '"'), ("“", "”"))
    return len(inner) > 2 and any(inner[0] == left and inner[-1] == right for left, right in pairs)


def _json(text: str) -> object:
    """Return the JSON value that the whole reply, or its one code fence, is; None where it is none."""
    body = text.strip()
    fenced = _FENCE.match(body)
    try:
        value: object = json.loads(fenced.group(1) if fenced else body)
    except (ValueError, RecursionError):
        return None
    return value


def _has_keys(text: str, keys: tuple[str, ...]) -> bool:
    value = _json(text)
    return isinstance(value, dict) and (set(value) == set(keys) if keys else True)


def _is_list(text: str, length: int) -> bool:
    value = _json(text)
    return isinstance(value, list) and len(value) == length


def _in_order(text: str) -> bool:
    keys = [" ".join(words(re.sub(r"^\s*(?:[-*•]|\d+[.)])\s+", "", line))) for line in lines(text)]
    return len(keys) > 1 and keys == sorted(keys)


def _split_in(text: str, separator: str, count: int) -> bool:
    pieces = text.split(separator)
    return len(pieces) == count and all(any(char.isalnum() for char in piece) for piece in pieces)


@dataclass(frozen=True)
class _Kind:
    read: Callable[[object], Any]
    check: Callable[[str, Any], bool]
    about: str


_KINDS: Mapping[str, _Kind] = {
    "max_words": _Kind(_count, lambda t, v: count_words(t) <= v, "at most this many words"),
    "min_words": _Kind(_count, lambda t, v: count_words(t) >= v, "at least this many words"),
    "exact_words": _Kind(_count, lambda t, v: count_words(t) == v, "exactly this many words"),
    "max_characters": _Kind(_count, lambda t, v: len(t.strip()) <= v, "at most this many characters"),
    "max_sentences": _Kind(_count, lambda t, v: count_sentences(t) <= v, "at most this many sentences"),
    "min_sentences": _Kind(_count, lambda t, v: count_sentences(t) >= v, "at least this many sentences"),
    "exact_sentences": _Kind(_count, lambda t, v: count_sentences(t) == v, "exactly this many sentences"),
    "exact_paragraphs": _Kind(_count, lambda t, v: len(paragraphs(t)) == v, "this many blocks between blank lines"),
    "exact_lines": _Kind(_count, lambda t, v: len(lines(t)) == v, "this many lines that are not blank"),
    "exact_bullets": _Kind(_count, lambda t, v: len(_BULLET.findall(t)) == v, "this many lines with -, * or •"),
    "exact_numbered": _Kind(
        _count, lambda t, v: [int(n) for n in _NUMBERED.findall(t)] == list(range(1, v + 1)),
        "a list numbered from 1 to this number, as 1. or 1)",
    ),
    "exact_emphasis": _Kind(_count, lambda t, v: len(_EMPHASIS.findall(t)) == v, "this many passages in *asterisks*"),
    "max_word_length": _Kind(_count, lambda t, v: all(_letters(w) <= v for w in words(t)), "no word with more letters"),
    "starts_with": _Kind(_text, lambda t, v: t.lstrip().startswith(v), "starts with this text, letter by letter"),
    "ends_with": _Kind(_text, lambda t, v: t.rstrip().endswith(v), "ends with this text, letter by letter"),
    "contains_text": _Kind(_text, lambda t, v: v in t, "contains this text, letter by letter"),
    "each_line_starts_with": _Kind(
        _text, lambda t, v: all(line.startswith(v) for line in lines(t)), "every line starts with this text"
    ),
    "includes_words": _Kind(_words, lambda t, v: all(_holds(t, w) for w in v), "has each of these as whole words"),
    "avoids_words": _Kind(_words, lambda t, v: not any(_holds(t, w) for w in v), "has none of these as whole words"),
    "one_of": _Kind(
        _words, lambda t, v: normalise(t) in {normalise(w) for w in v}, "is one of these, ignoring case and punctuation"
    ),
    "word_exactly": _Kind(_times, lambda t, v: Counter(words(t))[v[0]] == v[1], "has a word exactly this often"),
    "word_at_least": _Kind(_times, lambda t, v: Counter(words(t))[v[0]] >= v[1], "has a word at least this often"),
    "lower_case": _Kind(_nothing, lambda t, _: _is_cased(t, t.lower()), "no capital letter"),
    "upper_case": _Kind(_nothing, lambda t, _: _is_cased(t, t.upper()), "no small letter"),
    "title_case": _Kind(_nothing, lambda t, _: _is_title_case(t), "every word starts with a capital letter"),
    "no_commas": _Kind(_nothing, lambda t, _: not set(t) & set(",，、"), "no comma"),
    "no_digits": _Kind(_nothing, lambda t, _: not any(char.isdigit() for char in t), "no digit"),
    "no_letter": _Kind(_letter, lambda t, v: v not in t.casefold(), "nowhere this letter"),
    "words_start_with": _Kind(_letter, lambda t, v: all(w[0] == v for w in words(t)), "every word starts so"),
    "letters_of": _Kind(_text, _is_script, "every letter is of this script, such as Latin or Greek"),
    "question": _Kind(_nothing, lambda t, _: t.rstrip().endswith("?"), "ends with a question mark"),
    "quoted": _Kind(_nothing, lambda t, _: _is_quoted(t), "stands whole in double quotation marks"),
    "title_in_brackets": _Kind(_nothing, lambda t, _: len(_TITLE.findall(t)) == 1, "has one title, as [[title]]"),
    "json_object": _Kind(_keys, _has_keys, "is a JSON object with exactly these keys, or any if the list is empty"),
    "json_list": _Kind(_count, _is_list, "is a JSON list of this many items"),
    "number_between": _Kind(
        _range, lambda t, v: any(v[0] <= n <= v[1] for n in numbers(t)), "has a number from the first to the second"
    ),
    "alphabetical_lines": _Kind(_nothing, lambda t, _: _in_order(t), "two or more lines, in alphabetical order"),
    "parts": _Kind(_parts, lambda t, v: _split_in(t, *v), "this many parts with the separator between them"),
}  # fmt: skip

ABOUT: Mapping[str, str] = {name: kind.about for name, kind in _KINDS.items()}
"""What each type of constraint asks, for the documentation."""


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """One constraint, read and checked."""

    type: str
    value: Any

    def satisfied(self, text: str) -> bool:
        """Tell whether the reply follows it. A reply without a letter or digit never does."""
        return any(char.isalnum() for char in text) and _KINDS[self.type].check(text, self.value)


def read_constraints(sample: Sample) -> tuple[Constraint, ...]:
    """Return the constraints of a sample; empty where it has none.

    Raises:
        InputError: naming the sample and the constraint, for an unknown type or a value that the type cannot take.
    """
    given = sample.metadata.get("constraints", ())
    if not isinstance(given, list | tuple):
        raise InputError(
            f"sample {sample.id!r}: must be a list of constraints", key="metadata.constraints",
            hint='write it as [{"type": "max_words", "value": 30}]',
        )  # fmt: skip
    return tuple(_read(sample.id, f"metadata.constraints[{index}]", item) for index, item in enumerate(given))


def _read(sample: str, key: str, item: object) -> Constraint:
    if not isinstance(item, dict) or not isinstance(item.get("type"), str) or set(item) - {"type", "value"}:
        raise InputError(
            f"sample {sample!r}: a constraint has the keys type and value, and no others", key=key,
            hint='write it as {"type": "max_words", "value": 30}',
        )  # fmt: skip
    name = item["type"]
    kind = _KINDS.get(name)
    if kind is None:
        close = nearest(name, _KINDS)
        hint = f"did you mean {close!r}?" if close else f"known types: {', '.join(sorted(_KINDS))}"
        raise InputError(f"sample {sample!r}: no constraint is called {name!r}", key=key, hint=hint)
    try:
        value = kind.read(item.get("value"))
    except _WrongValueError as error:
        raise InputError(
            f"sample {sample!r}: the constraint {name} {error}",
            key=f"{key}.value",
            hint="see docs/suites/instructions.md",
        ) from error
    return Constraint(type=name, value=value)
