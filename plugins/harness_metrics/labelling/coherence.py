"""Whether anything can be read from a reply at all.

The rules ask for evidence of breakage, never for good prose: short answers, lists, code, JSON, tables, poems and other
languages must pass. They see the text's surface alone, so fluent nonsense passes too.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from harness_metrics.labelling.function_words import FUNCTION_WORDS
from harness_metrics.text import ngrams, normalise, words

_FENCE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_CODE_MARK = re.compile(r"[{}()\[\];=<>_/\\|`\"#$%&*+:]")
_CODE_START = re.compile(
    r"\s*(?:import \w|from \w+ import|def \w+\(|class \w+|return\b|#include|public |private |function \w*\(|const "
    r"\w+ =|let \w+ =|var \w+ =|SELECT |INSERT |\|)"
)
_GLUED = re.compile(r"[^\W\d_][?!]+[^\W\d_]|[^\W\d_]{3,}[.,][^\W\d_]{3,}")
_ADDRESS = re.compile(
    r"\S*(?:://|www\.|@|/|\\|_|\d)\S*|\b[\w.-]+\.(?:com|org|net|io|py|js|txt|gov|edu|json|csv|md|html)\b"
)
_PHRASE = re.compile(r"[^\w\s'’\-]+|\n+")
_LATIN_WORD = re.compile(r"[A-Za-zÀ-ɏḀ-ỿ][A-Za-zÀ-ɏḀ-ỿ'’]*")
_ASKS_TO_REPEAT = re.compile(
    r"\b(?:repeat|times|again and again|over and over|copies|loop|chant|recite|refrain)\b", re.IGNORECASE
)
_EMOTICON = re.compile(r"[:;=]['’]?-?[()\[\]/|*<>]+|[\^>-]_+[\^<-]|<3+")
_RUN = re.compile(r"(\S)\1{5,}")
_SCRIPTS = (
    "LATIN",
    "CYRILLIC",
    "GREEK",
    "ARABIC",
    "HEBREW",
    "DEVANAGARI",
    "THAI",
    "BENGALI",
    "TAMIL",
    "TELUGU",
    "GEORGIAN",
    "ARMENIAN",
    "HANGUL",
)
_EAST_ASIAN = ("CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "IDEOGRAPHIC", "FULLWIDTH")


def incoherence(prompt: str, reply: str) -> str | None:
    """Return what is broken about a reply, as a clause; None where nothing is.

    Args:
        prompt: the request, to notice a reply that only repeats it.
        reply: the model's text.
    """
    text = unicodedata.normalize("NFC", reply)
    if not text.strip():
        return "it is empty"
    return (
        _symbols(text)
        or _echo(prompt, text)
        or _run_together(text)
        or _scripts(text)
        or (None if _ASKS_TO_REPEAT.search(prompt) else _loop(text) or _soup(text))
    )


def _symbols(text: str) -> str | None:
    """Broken characters, blank space, or next to no letters."""
    length = len(text)
    broken = sum(
        char == "\ufffd" or (unicodedata.category(char) in {"Cc", "Co", "Cn"} and char not in "\n\r\t") for char in text
    )
    if broken >= 2 and broken / length > 0.03:
        return "its characters are broken"
    visible = [char for char in text if not char.isspace()]
    # Indentation is no blank space: code has much of it.
    flush = "\n".join(line.lstrip(" \t") for line in text.split("\n"))
    if length >= 40 and len(visible) / len(flush) < 0.45:
        return "it is mostly blank"
    kinds = [unicodedata.category(char)[0] for char in visible]
    readable = sum(kind in "LNM" for kind in kinds)
    pictures = sum(unicodedata.category(char) in {"So", "Sk"} or char in "\u200d\ufe0f" for char in visible)
    if (readable + pictures == 0 and not _EMOTICON.fullmatch(text.strip())) or (
        pictures > 40 and readable < pictures / 10
    ):
        return "it holds only symbols"
    if len(visible) >= 20 and (readable + pictures) / len(visible) < 0.35:
        return "it is mostly symbols"
    runs = sum(
        len(match.group()) for match in _RUN.finditer(text) if match.group(1).isalnum() or match.group(1) in "!?"
    )
    if len(visible) >= 20 and runs / len(visible) > 0.5:
        return "it repeats one character"
    return None


def _echo(prompt: str, text: str) -> str | None:
    asked, said = normalise(prompt), normalise(text)
    if len(asked.split()) >= 4 and said and not said.replace(asked, "").strip():
        return "it only repeats the prompt"
    return None


def _loop(text: str) -> str | None:
    """A few words, or one stretch of characters, over and over."""
    found = words(text)
    kinds = len(set(found))
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if (
        len(lines) >= 8
        and len(set(lines)) / len(lines) <= 0.6
        and len(found) / len(lines) <= 3
        and not all(w.isdigit() for w in found)
    ):
        return "it repeats its lines"
    if len(found) >= 12 and not all(word.isdigit() for word in found):
        if kinds <= 2 or (kinds <= 7 and kinds / len(found) < 0.25):
            return "it repeats a few words"
        if len(found) >= 40 and kinds / len(found) < 0.08:
            return "it repeats itself"
        grams = ngrams(found, 2)
        if (
            len(found) >= 24
            and kinds <= 12
            and len(set(grams)) / len(grams) < 0.5
            and kinds / len(found) < 0.3
            and not _sentence_like(found)
        ):
            return "it repeats a few words"
    dense = "".join(text.split())
    pieces = {dense[i : i + 5] for i in range(len(dense) - 4)}
    if (
        len(dense) >= 60
        and len(pieces) / (len(dense) - 4) < 0.12
        and len(found) < len(dense) / 9
        and any(c.isalpha() for c in dense)
    ):
        return "it repeats a few syllables"
    return None


def _sentence_like(found: list[str]) -> bool:
    kinds = set(found)
    return len(kinds & FUNCTION_WORDS) >= 0.25 * len(kinds)


def _prose(text: str) -> str:
    """Return the text without code, table rows, addresses and file names."""
    kept = [line for line in _FENCE.sub("\n", text).split("\n") if not _is_code(line)]
    return _ADDRESS.sub(" ", "\n".join(kept))


def _is_code(line: str) -> bool:
    dense = "".join(line.split())
    return _CODE_START.match(line) is not None or (
        len(_CODE_MARK.findall(dense)) > 0.12 * len(dense) and " " in line.strip()
    )


def _run_together(text: str) -> str | None:
    """Words of impossible length, as a model emits that never ends one."""
    prose = _prose(text)
    found = _LATIN_WORD.findall(prose)
    letters = sum(map(len, found))
    long = [len(word) for word in found if len(word) > 34]
    if letters >= 40 and sum(long) / letters > 0.3 and (len(long) > 1 or max(long) > 60):
        return "its words run together"
    if letters >= 60 and len(found) >= 5 and letters / len(found) > 13:
        return "its words run together"
    glued = len(_GLUED.findall(prose))
    return "its words run together" if glued >= 4 and glued / len(found) > 0.12 else None


def _script(char: str) -> str | None:
    if not char.isalpha():
        return None
    name = unicodedata.name(char, "")
    if name.startswith(_EAST_ASIAN):
        return "EAST ASIAN"
    return next((script for script in _SCRIPTS if name.startswith(script)), "OTHER")


def _scripts(text: str) -> str | None:
    """Three scripts or more that follow each other with nothing but spaces between."""
    counts: dict[str, int] = {}
    switches, letters, before, bare = 0, 0, None, True
    for char in text:
        script = _script(char)
        if script is None:
            bare = bare and (char == " " or unicodedata.category(char).startswith("M"))
            continue
        letters += 1
        counts[script] = counts.get(script, 0) + 1
        if before is not None and script != before and bare:
            switches += 1
        before, bare = script, True
    frequent = [script for script, count in counts.items() if count >= 3]
    if len(frequent) >= 3 and switches >= 5 and switches / letters > 0.03:
        return "its scripts are mixed at random"
    return None


def _odd(word: str) -> bool:
    """A Latin word as no language spells it: capitals inside it, or four consonants and no vowel."""
    inner = any(a.islower() and b.isupper() for a, b in pairwise(word))
    plain = unicodedata.normalize("NFD", word.casefold())
    vowelless = len(word) >= 4 and not word.isupper() and not re.search(r"[aeiouyæøœıư]", plain)
    return inner or vowelless


def _soup(text: str) -> str | None:
    """Words after words with nothing that joins them."""
    prose = _prose(text)
    total, bare, odd, small, in_phrases = 0, 0, 0, 0, 0
    for phrase in _PHRASE.split(prose):
        found = _LATIN_WORD.findall(phrase)
        joined = sum(word.casefold().replace("’", "'") in FUNCTION_WORDS for word in found)
        total += len(found)
        odd += sum(_odd(word) for word in found)
        if len(found) >= 6:
            in_phrases += len(found)
            small += joined
            if joined / len(found) < 0.1:
                bare += len(found)
    latin = sum(map(len, _LATIN_WORD.findall(text)))
    letters = sum(char.isalpha() for char in text)
    # Languages that write many accents join words with endings instead, and their small words are too many to list.
    accented = sum(char.isalpha() and not char.isascii() for char in prose)
    if total < 10 or latin < 0.6 * letters or accented > 0.02 * letters:
        return None
    if bare >= 12 and bare / total > 0.5 and small / max(1, in_phrases) < 0.12:
        return "its words do not form sentences"
    if odd / total > 0.35:
        return "its words are not words"
    return None
