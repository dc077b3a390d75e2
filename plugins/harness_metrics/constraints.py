"""Constraints on a reply that code can verify, as the `constraints` of a sample's metadata state them.

A constraint is `{"type": "max_words", "value": 30}`. A reply without a letter or a digit satisfies none: saying nothing
is not following an instruction. docs/suites/instructions.md lists every type. IFEval's own names
and arguments are types too: `harness_metrics.ifeval`.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.api import InputError, nearest
from harness_metrics import constraint_values as values
from harness_metrics.counting import count_sentences, count_words, lines, numbers, paragraphs
from harness_metrics.ifeval import INSTRUCTIONS, loosened, read_arguments
from harness_metrics.languages import is_language, language_code
from harness_metrics.text import contains_span, normalise, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.api import Sample

_BULLET = re.compile(r"^\s*[-*•]\s+\S", re.MULTILINE)
_NUMBERED = re.compile(r"^\s*(\d+)[.)]\s+\S", re.MULTILINE)
_TITLE = re.compile(r"\[\[[^\[\]\n]*\w[^\[\]\n]*\]\]")
_EMPHASIS = re.compile(r"(?<![\w*])\*{1,2}(?=[^\s*])[^*\n]*[^\s*]\*{1,2}(?![\w*])|(?<![\w*])\*{1,2}\w\*{1,2}(?![\w*])")
_FENCE = re.compile(r"\A```[a-zA-Z]*\s*\n(.*?)\n?```\Z", re.DOTALL)


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


def _of_ifeval(read: Callable[[object], Any], name: str, about: str) -> _Kind:
    """Return a type of ours that is one of IFEval's with a shorter value."""
    return _Kind(read, INSTRUCTIONS[name].check, about)


_KINDS: Mapping[str, _Kind] = {
    "max_words": _Kind(values.count, lambda t, v: count_words(t) <= v, "at most this many words"),
    "min_words": _Kind(values.count, lambda t, v: count_words(t) >= v, "at least this many words"),
    "exact_words": _Kind(values.count, lambda t, v: count_words(t) == v, "exactly this many words"),
    "max_characters": _Kind(values.count, lambda t, v: len(t.strip()) <= v, "at most this many characters"),
    "max_sentences": _Kind(values.count, lambda t, v: count_sentences(t) <= v, "at most this many sentences"),
    "min_sentences": _Kind(values.count, lambda t, v: count_sentences(t) >= v, "at least this many sentences"),
    "exact_sentences": _Kind(values.count, lambda t, v: count_sentences(t) == v, "exactly this many sentences"),
    "exact_paragraphs": _Kind(
        values.count, lambda t, v: len(paragraphs(t)) == v, "this many blocks between blank lines"
    ),
    "exact_lines": _Kind(values.count, lambda t, v: len(lines(t)) == v, "this many lines that are not blank"),
    "exact_bullets": _Kind(values.count, lambda t, v: len(_BULLET.findall(t)) == v, "this many lines with -, * or •"),
    "exact_numbered": _Kind(
        values.count,
        lambda t, v: [int(n) for n in _NUMBERED.findall(t)] == list(range(1, v + 1)),
        "a list numbered from 1 to this number, as 1. or 1)",
    ),
    "exact_emphasis": _Kind(
        values.count, lambda t, v: len(_EMPHASIS.findall(t)) == v, "this many passages in *asterisks*"
    ),
    "max_word_length": _Kind(
        values.count, lambda t, v: all(_letters(w) <= v for w in words(t)), "no word with more letters"
    ),
    "starts_with": _Kind(values.text, lambda t, v: t.lstrip().startswith(v), "starts with this text, letter by letter"),
    "ends_with": _Kind(values.text, lambda t, v: t.rstrip().endswith(v), "ends with this text, letter by letter"),
    "contains_text": _Kind(values.text, lambda t, v: v in t, "contains this text, letter by letter"),
    "each_line_starts_with": _Kind(
        values.text, lambda t, v: all(line.startswith(v) for line in lines(t)), "every line starts with this text"
    ),
    "includes_words": _Kind(
        values.word_list, lambda t, v: all(_holds(t, w) for w in v), "has each of these as whole words"
    ),
    "avoids_words": _Kind(
        values.word_list, lambda t, v: not any(_holds(t, w) for w in v), "has none of these as whole words"
    ),
    "one_of": _Kind(
        values.word_list,
        lambda t, v: normalise(t) in {normalise(w) for w in v},
        "is one of these, ignoring case and punctuation",
    ),
    "word_exactly": _Kind(
        values.word_times, lambda t, v: Counter(words(t))[v[0]] == v[1], "has a word exactly this often"
    ),
    "word_at_least": _Kind(
        values.word_times, lambda t, v: Counter(words(t))[v[0]] >= v[1], "has a word at least this often"
    ),
    "lower_case": _Kind(values.nothing, lambda t, _: _is_cased(t, t.lower()), "no capital letter"),
    "upper_case": _Kind(values.nothing, lambda t, _: _is_cased(t, t.upper()), "no small letter"),
    "title_case": _Kind(values.nothing, lambda t, _: _is_title_case(t), "every word starts with a capital letter"),
    "no_commas": _Kind(values.nothing, lambda t, _: not set(t) & set(",，、"), "no comma"),
    "no_digits": _Kind(values.nothing, lambda t, _: not any(char.isdigit() for char in t), "no digit"),
    "no_letter": _Kind(values.letter, lambda t, v: v not in t.casefold(), "nowhere this letter"),
    "words_start_with": _Kind(values.letter, lambda t, v: all(w[0] == v for w in words(t)), "every word starts so"),
    "letters_of": _Kind(values.text, _is_script, "every letter is of this script, such as Latin or Greek"),
    "question": _Kind(values.nothing, lambda t, _: t.rstrip().endswith("?"), "ends with a question mark"),
    "quoted": _Kind(values.nothing, lambda t, _: _is_quoted(t), "stands whole in double quotation marks"),
    "title_in_brackets": _Kind(values.nothing, lambda t, _: len(_TITLE.findall(t)) == 1, "has one title, as [[title]]"),
    "json_object": _Kind(
        values.key_list, _has_keys, "is a JSON object with exactly these keys, or any if the list is empty"
    ),
    "json_list": _Kind(values.count, _is_list, "is a JSON list of this many items"),
    "number_between": _Kind(
        values.span,
        lambda t, v: any(v[0] <= n <= v[1] for n in numbers(t)),
        "has a number from the first to the second",
    ),
    "alphabetical_lines": _Kind(values.nothing, lambda t, _: _in_order(t), "two or more lines, in alphabetical order"),
    "parts": _Kind(values.parts, lambda t, v: _split_in(t, *v), "this many parts with the separator between them"),
    "letter_frequency": _of_ifeval(
        values.letter_times, "keywords:letter_frequency", "has a letter at least so often, or less often"
    ),
    "capital_words": _of_ifeval(
        values.capital_words, "change_case:capital_word_frequency", "at least so many words in capitals, or fewer"
    ),
    "placeholders": _of_ifeval(
        lambda v: {"num_placeholders": values.count(v)},
        "detectable_content:number_placeholders",
        "at least this many placeholders in [square brackets]",
    ),
    "highlights": _of_ifeval(
        lambda v: {"num_highlights": values.count(v)},
        "detectable_format:number_highlighted_sections",
        "at least this many passages in *asterisks*",
    ),
    "sections": _of_ifeval(
        values.sections,
        "detectable_format:multiple_sections",
        "at least this many sections, each with the name and a number",
    ),
    "title": _of_ifeval(values.nothing, "detectable_format:title", "has a title, as <<title>>"),
    "paragraph_first_word": _of_ifeval(
        values.first_word,
        "length_constraints:nth_paragraph_first_word",
        "this many paragraphs, of which one begins with this word",
    ),
    "language": _Kind(language_code, is_language, "is in this language"),
}

ABOUT: Mapping[str, str] = {name: kind.about for name, kind in _KINDS.items()}
"""What each type of constraint asks, for the documentation."""


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """One constraint, read and checked."""

    type: str
    value: Any

    def satisfied(self, text: str, *, loose: bool = False) -> bool:
        """Tell whether the reply follows it. A reply without a letter or digit never does.

        Args:
            text: the reply.
            loose: whether it is enough that the reply does without its first or last line or its asterisks.
        """
        check = (_KINDS[self.type] if self.type in _KINDS else INSTRUCTIONS[self.type]).check
        return any(
            any(char.isalnum() for char in said) and check(said, self.value)
            for said in (loosened(text) if loose else (text,))
        )


def read_constraints(sample: Sample) -> tuple[Constraint, ...]:
    """Return the constraints of a sample; empty where it has none.

    They stand in the metadata as `constraints`, or as IFEval's file has them, in `instruction_id_list` and `kwargs`.

    Raises:
        InputError: naming the sample and the constraint, for an unknown type or a value that the type cannot take.
    """
    given = sample.metadata.get("constraints", ())
    if not isinstance(given, list | tuple):
        raise InputError(
            f"sample {sample.id!r}: must be a list of constraints", key="metadata.constraints",
            hint='write it as [{"type": "max_words", "value": 30}]',
        )  # fmt: skip
    own = (_read(sample.id, f"metadata.constraints[{index}]", item) for index, item in enumerate(given))
    return (*own, *_of_authors(sample))


def _of_authors(sample: Sample) -> Iterator[Constraint]:
    names, arguments = sample.metadata.get("instruction_id_list"), sample.metadata.get("kwargs")
    if names is None:
        return
    if not (isinstance(names, list | tuple) and isinstance(arguments, list | tuple) and len(names) == len(arguments)):
        raise InputError(
            f"sample {sample.id!r}: instruction_id_list and kwargs must be lists of the same length",
            key="metadata.instruction_id_list", hint="write them as IFEval's input_data.jsonl does",
        )  # fmt: skip
    for index, (name, value) in enumerate(zip(names, arguments, strict=True)):
        yield _made(sample.id, str(name), value, f"metadata.instruction_id_list[{index}]", f"metadata.kwargs[{index}]")


def _read(sample: str, key: str, item: object) -> Constraint:
    if not isinstance(item, dict) or not isinstance(item.get("type"), str) or set(item) - {"type", "value"}:
        raise InputError(
            f"sample {sample!r}: a constraint has the keys type and value, and no others", key=key,
            hint='write it as {"type": "max_words", "value": 30}',
        )  # fmt: skip
    return _made(sample, item["type"], item.get("value"), key, f"{key}.value")


def _made(sample: str, name: str, given: object, key: str, value_key: str) -> Constraint:
    known = {**_KINDS, **INSTRUCTIONS}
    if name not in known:
        close = nearest(name, known)
        hint = f"did you mean {close!r}?" if close else f"known types: {', '.join(sorted(known))}"
        raise InputError(f"sample {sample!r}: no constraint is called {name!r}", key=key, hint=hint)
    try:
        value = _KINDS[name].read(given) if name in _KINDS else read_arguments(name, given)
    except values.WrongValueError as error:
        raise InputError(
            f"sample {sample!r}: the constraint {name} {error}", key=value_key, hint="see docs/suites/instructions.md"
        ) from error
    return Constraint(type=name, value=value)
