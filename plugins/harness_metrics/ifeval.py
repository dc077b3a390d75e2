"""IFEval's 25 instructions by their authors' names, arguments and definitions (Zhou et al. 2023, arXiv:2311.07911).

Where the authors lean on other libraries, ours differ: sentences are counted by `count_sentences` instead of NLTK's
punkt, words in capitals between white space instead of by its tokenizer, the language is told by py3langid instead of
langdetect, and keywords are looked for as they are written, not as regular expressions.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness_metrics import constraint_values as values
from harness_metrics.counting import count_sentences
from harness_metrics.languages import is_language, language_code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_RELATIONS = ("at least", "less than")
_ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


@dataclass(frozen=True)
class Instruction:
    """One type: how each of its arguments is read, and what tells whether a reply follows it."""

    check: Callable[[str, Mapping[str, Any]], bool]
    arguments: Mapping[str, Callable[[object], Any]] = field(default_factory=dict)


def read_arguments(name: str, given: object) -> dict[str, Any]:
    """Return the arguments of an instruction; those that are null are left out, as copies on the hub have them.

    Raises:
        WrongValueError: where one is missing, unknown or of another type.
    """
    readers = INSTRUCTIONS[name].arguments
    found = {key: value for key, value in given.items() if value is not None} if isinstance(given, dict) else {}
    if (given is not None and not isinstance(given, dict)) or set(found) != set(readers):
        raise values.WrongValueError(f"needs the arguments {', '.join(readers)}" if readers else "takes no arguments")
    read = {}
    for key, reader in readers.items():
        try:
            read[key] = reader(found[key])
        except values.WrongValueError as error:
            raise values.WrongValueError(f"{error} as {key}") from error
    return read


def loosened(text: str) -> Iterator[str]:
    """Yield a reply as the authors' loose score reads it: without its first line, its last or both, and each of these
    four without asterisks."""  # fmt: skip
    lines = text.split("\n")
    for kept in (lines, lines[1:], lines[:-1], lines[1:-1]):
        shorter = "\n".join(kept).strip() if kept is not lines else text
        yield shorter
        yield shorter.replace("*", "")


def _relation(value: object) -> str:
    if value not in _RELATIONS:
        raise values.WrongValueError('needs "at least" or "less than"')
    return str(value)


def _letter(value: object) -> str:
    if not isinstance(value, str) or len(value) != 1 or value.isspace():  # the authors' file has ! and # too
        raise values.WrongValueError("needs one character")
    return value.lower()


def _number(value: object) -> int:
    if isinstance(value, float) and value.is_integer():  # copies through pandas have 3.0
        value = int(value)
    return values.count(value)


def _holds(found: int, number: int, relation: str) -> bool:
    return found >= number if relation == "at least" else found < number


def _times(text: str, keyword: str) -> int:
    return len(re.findall(re.escape(keyword), text, re.IGNORECASE))


def _whole(text: str, word: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) is not None


def _bullets(text: str) -> int:
    return len(re.findall(r"^\s*\*[^*].*$", text, re.MULTILINE)) + len(re.findall(r"^\s*-.*$", text, re.MULTILINE))


def _highlights(text: str) -> int:
    single = sum(bool(one.strip("*").strip()) for one in re.findall(r"\*[^\n*]*\*", text))
    return single + sum(bool(one[2:-2].strip()) for one in re.findall(r"\*\*[^\n*]*\*\*", text))


def _sections(text: str, name: str) -> int:
    return len(re.findall(rf"\s?{re.escape(name)}\s?\d+\s?", text))


def _starred(text: str, number: int) -> bool:
    pieces = re.split(r"\s?\*\*\*\s?", text)
    inner = all(piece.strip() for piece in pieces[1:-1])
    return inner and sum(bool(piece.strip()) for piece in pieces) == number


def _postscript(text: str, marker: str) -> bool:
    known = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
    return re.search(known.get(marker, re.escape(marker.lower())), text.lower()) is not None


def _json(text: str) -> bool:
    body = text.strip()
    for fence in ("```json", "```Json", "```JSON", "```"):
        body = body.removeprefix(fence)
    try:
        json.loads(body.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def _first_word(text: str, number: int, nth: int, word: str) -> bool:
    pieces = text.split("\n\n")
    filled = sum(bool(piece.strip()) for piece in pieces)
    if filled != number or nth > filled or not pieces[nth - 1].strip():
        return False
    first = pieces[nth - 1].split()[0].lstrip("'").lstrip('"')
    return re.split(r"[.,?!'\"]", first, maxsplit=1)[0].lower() == word.lower()


def _title(text: str) -> bool:
    return any(title.lstrip("<").rstrip(">").strip() for title in re.findall(r"<<[^\n]+>>", text))


def _two(text: str) -> bool:
    pieces = text.split("******")
    if not all(piece.strip() for piece in pieces[1:-1]):
        return False
    said = [piece.strip() for piece in pieces if piece.strip()]
    return len(said) == 2 and said[0] != said[1]


def _capitals(text: str) -> int:
    return sum(piece.isupper() for piece in text.split())


def _quoted(text: str) -> bool:
    body = text.strip()
    return len(body) > 1 and body[0] == body[-1] == '"'


def _ends(text: str, phrase: str) -> bool:
    return text.strip().strip('"').lower().endswith(phrase.strip().lower())


def _repeats(text: str, prompt: str) -> bool:
    return text.strip().lower().startswith(prompt.strip().lower())


_I = Instruction
INSTRUCTIONS: Mapping[str, Instruction] = {
    "keywords:existence": _I(
        lambda t, a: all(_times(t, word) for word in a["keywords"]), {"keywords": values.word_list}
    ),
    "keywords:frequency": _I(
        lambda t, a: _holds(_times(t, a["keyword"]), a["frequency"], a["relation"]),
        {"keyword": values.text, "frequency": _number, "relation": _relation},
    ),
    "keywords:forbidden_words": _I(
        lambda t, a: not any(_whole(t, word) for word in a["forbidden_words"]), {"forbidden_words": values.word_list}
    ),
    "keywords:letter_frequency": _I(
        lambda t, a: _holds(t.lower().count(a["letter"]), a["let_frequency"], a["let_relation"]),
        {"letter": _letter, "let_frequency": _number, "let_relation": _relation},
    ),
    "language:response_language": _I(lambda t, a: is_language(t, a["language"]), {"language": language_code}),
    "length_constraints:number_sentences": _I(
        lambda t, a: _holds(count_sentences(t), a["num_sentences"], a["relation"]),
        {"num_sentences": _number, "relation": _relation},
    ),
    "length_constraints:number_paragraphs": _I(
        lambda t, a: _starred(t, a["num_paragraphs"]), {"num_paragraphs": _number}
    ),
    "length_constraints:number_words": _I(
        lambda t, a: _holds(len(re.findall(r"\w+", t)), a["num_words"], a["relation"]),
        {"num_words": _number, "relation": _relation},
    ),
    "length_constraints:nth_paragraph_first_word": _I(
        lambda t, a: _first_word(t, a["num_paragraphs"], a["nth_paragraph"], a["first_word"]),
        {"num_paragraphs": _number, "nth_paragraph": _number, "first_word": values.text},
    ),
    "detectable_content:number_placeholders": _I(
        lambda t, a: len(re.findall(r"\[.*?\]", t)) >= a["num_placeholders"], {"num_placeholders": _number}
    ),
    "detectable_content:postscript": _I(
        lambda t, a: _postscript(t, a["postscript_marker"]), {"postscript_marker": values.text}
    ),
    "detectable_format:number_bullet_lists": _I(lambda t, a: _bullets(t) == a["num_bullets"], {"num_bullets": _number}),
    "detectable_format:constrained_response": _I(lambda t, _: any(answer in t for answer in _ANSWERS)),
    "detectable_format:number_highlighted_sections": _I(
        lambda t, a: _highlights(t) >= a["num_highlights"], {"num_highlights": _number}
    ),
    "detectable_format:multiple_sections": _I(
        lambda t, a: _sections(t, a["section_spliter"]) >= a["num_sections"],
        {"section_spliter": values.text, "num_sections": _number},
    ),
    "detectable_format:json_format": _I(lambda t, _: _json(t)),
    "detectable_format:title": _I(lambda t, _: _title(t)),
    "combination:two_responses": _I(lambda t, _: _two(t)),
    "combination:repeat_prompt": _I(lambda t, a: _repeats(t, a["prompt_to_repeat"]), {"prompt_to_repeat": values.text}),
    "startend:end_checker": _I(lambda t, a: _ends(t, a["end_phrase"]), {"end_phrase": values.text}),
    "startend:quotation": _I(lambda t, _: _quoted(t)),
    "change_case:capital_word_frequency": _I(
        lambda t, a: _holds(_capitals(t), a["capital_frequency"], a["capital_relation"]),
        {"capital_frequency": _number, "capital_relation": _relation},
    ),
    "change_case:english_capital": _I(lambda t, _: t.isupper() and is_language(t, "en")),
    "change_case:english_lowercase": _I(lambda t, _: t.islower() and is_language(t, "en")),
    "punctuation:no_comma": _I(lambda t, _: "," not in t),
}
