"""How the values of constraints are read; a wrong one raises `WrongValueError`, which says what the type needs."""

from __future__ import annotations

from typing import Any

from harness_metrics.text import normalise, words

_RELATIONS = ("at_least", "less_than")


class WrongValueError(Exception):
    """The value of a constraint is not what its type needs; the message says what it needs."""


def nothing(value: object) -> None:
    """Refuse any value."""
    if value is not None:
        raise WrongValueError("takes no value")


def count(value: object) -> int:
    """Return a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise WrongValueError("needs a whole number of at least 1")
    return value


def text(value: object) -> str:
    """Return a text that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise WrongValueError("needs a text")
    return value


def word_list(value: object) -> tuple[str, ...]:
    """Return texts with a letter or digit in each."""
    if (
        not isinstance(value, list | tuple)
        or not value
        or not all(isinstance(item, str) and item.strip() for item in value)
    ):
        raise WrongValueError('needs a list of texts, such as ["sea", "sky"]')
    if not all(normalise(item) for item in value):
        raise WrongValueError("needs texts with a letter or digit in each")
    return tuple(value)


def key_list(value: object) -> tuple[str, ...]:
    """Return the keys of an object."""
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise WrongValueError('needs a list of keys, such as ["name", "age"]')
    return tuple(value)


def span(value: object) -> tuple[float, float]:
    """Return two numbers, the lower one first."""
    ends = list(value) if isinstance(value, list | tuple) else []
    if len(ends) != 2 or not all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends):
        raise WrongValueError("needs two numbers, such as [1, 10]")
    low, high = float(ends[0]), float(ends[1])
    if not low <= high:
        raise WrongValueError("needs two numbers, the lower one first")
    return low, high


def letter(value: object) -> str:
    """Return one letter, casefolded."""
    if not isinstance(value, str) or len(value) != 1 or not value.isalpha():
        raise WrongValueError("needs one letter")
    return value.casefold()


def word_times(value: object) -> tuple[str, int]:
    """Return a word and how often."""
    if not isinstance(value, dict) or set(value) != {"word", "times"} or len(words(str(value["word"]))) != 1:
        raise WrongValueError('needs a word and a number, such as {"word": "sea", "times": 2}')
    return words(str(value["word"]))[0], count(value["times"])


def parts(value: object) -> tuple[str, int]:
    """Return a separator and a number of parts."""
    if not isinstance(value, dict) or set(value) != {"separator", "count"}:
        raise WrongValueError('needs a separator and a number, such as {"separator": "***", "count": 2}')
    return text(value["separator"]), count(value["count"])


def _related(value: object, others: set[str], example: str) -> tuple[dict[str, Any], int, str]:
    keys = set(value) if isinstance(value, dict) else set()
    bound = keys & set(_RELATIONS)
    if not isinstance(value, dict) or len(bound) != 1 or keys != others | bound:
        raise WrongValueError(f"needs at_least or less_than, such as {example}")
    (relation,) = bound
    return value, count(value[relation]), relation.replace("_", " ")


def letter_times(value: object) -> dict[str, Any]:
    """Return IFEval's arguments of a letter's frequency."""
    given, number, relation = _related(value, {"letter"}, '{"letter": "e", "at_least": 3}')
    return {"letter": letter(given["letter"]), "let_frequency": number, "let_relation": relation}


def capital_words(value: object) -> dict[str, Any]:
    """Return IFEval's arguments of the frequency of words in capitals."""
    _, number, relation = _related(value, set(), '{"at_least": 2}')
    return {"capital_frequency": number, "capital_relation": relation}


def sections(value: object) -> dict[str, Any]:
    """Return IFEval's arguments of numbered sections."""
    if not isinstance(value, dict) or set(value) != {"name", "count"}:
        raise WrongValueError('needs a name and a number, such as {"name": "Section", "count": 2}')
    return {"section_spliter": text(value["name"]), "num_sections": count(value["count"])}


def first_word(value: object) -> dict[str, Any]:
    """Return IFEval's arguments of a paragraph's first word."""
    if not isinstance(value, dict) or set(value) != {"paragraphs", "nth", "word"}:
        raise WrongValueError('needs three keys, such as {"paragraphs": 3, "nth": 2, "word": "rain"}')
    total, nth = count(value["paragraphs"]), count(value["nth"])
    if nth > total:
        raise WrongValueError("needs an nth that is no more than paragraphs")
    return {"num_paragraphs": total, "nth_paragraph": nth, "first_word": text(value["word"])}
