"""Whether anything can be read from a reply at all.

The rules ask for evidence of breakage, never for good prose: short answers, lists, code, JSON, tables, poems and other
languages must pass. They see the text's surface alone, so fluent nonsense passes too.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from harness_metrics.labelling.code import FENCE, is_code, without_code
from harness_metrics.labelling.function_words import FUNCTION_WORDS
from harness_metrics.text import ngrams, normalise, words

_GLUED = re.compile(r"[^\W\d_][?!]+[^\W\d_]|[^\W\d_]{3,}[.,][^\W\d_]{3,}")
_ADDRESS = re.compile(
    r"\S*(?:://|www\.|@|/|\\|_|\d)\S*|\b[\w.-]+\.(?:com|org|net|io|py|js|txt|gov|edu|json|csv|md|html)\b"
)
_HEAP = re.compile(r"(?m)(?<!^)(?<![#!?&:;,^@])[#!?&:;,^@)(]{3,}")
_PIERCED = re.compile(r"[^\W\d_][:!?#;&]+(?=[^\W\d_])")
_ALPHABETS_MIXED = re.compile(r"[A-Za-z][\u0370-\u052f]|[\u0370-\u052f][A-Za-z]")
_PHRASE = re.compile(r"[^\w\s'’\-]+|\n+")
_LATIN_WORD = re.compile(r"[A-Za-zÀ-ɏḀ-ỿ][A-Za-zÀ-ɏḀ-ỿ'’]*")
_ASKS_TO_REPEAT = re.compile(
    r"\b(?:repeat|times|again and again|over and over|copies|loop|chant|recite|refrain)\b", re.IGNORECASE
)
_EMOTICON = re.compile(r"[:;=]['’]?-?[()\[\]/|*<>]+|[\^>-]_+[\^<-]|<3+")
_SYLLABLES = re.compile(r"(\S{1,8}?)\1{5,}")
_BLANK_LINES = re.compile(r"(?:[^\S\n]*\n){12}")
_GAPS = re.compile(r"\S[^\S\n]*\n(?:[^\S\n]*\n){2,}")
_LINK = re.compile(r"\S*(?:://|www\.|@|/)\S*")
_FRAYED = re.compile(
    r"(?<![\w_])_+\w+(?![\w_])|[^\W\d_]_+(?![\w_])|[-_<>]{2,}[^\W\d_]|[^\W\d_][-_]+(?:[_<>]|-_)|[^\W\d_]-(?=\s)"
)
_ITALIC = re.compile(r"(?<!\w)_{1,2}[^_\n]+_{1,2}(?!\w)|^\s*[-_*]{3,}\s*$", re.MULTILINE)
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
        _blank(text)
        or _symbols(text)
        or _litter(text)
        or _echo(prompt, text)
        or _run_together(text)
        or _scripts(text)
        or (None if _ASKS_TO_REPEAT.search(prompt) else _loop(text) or _soup(text))
    )


def _blank(text: str) -> str | None:
    """Mostly blank space; indentation is none, since code has much of it."""
    if _BLANK_LINES.search(text):
        return "it trails off into blank lines"
    flush = "\n".join(line.lstrip(" \t") for line in text.split("\n"))
    visible = sum(not char.isspace() for char in text)
    gaps = len(_GAPS.findall(text))
    sparse = len(text) >= 40 and visible / len(flush) < 0.45
    torn = gaps >= 3 and len(text.split()) < 8 * gaps and not is_code(FENCE.sub("", text))
    return "it is mostly blank" if sparse or torn else None


def _symbols(text: str) -> str | None:
    """Broken characters, or next to no letters."""
    length = len(text)
    broken = sum(
        char == "\ufffd" or (unicodedata.category(char) in {"Cc", "Cn"} and char not in "\n\r\t") for char in text
    )
    if broken >= 2 and broken / length > 0.03:
        return "its characters are broken"
    visible = [char for char in text if not char.isspace()]
    kinds = [unicodedata.category(char)[0] for char in visible]
    readable = sum(kind in "LNM" for kind in kinds)
    pictures = sum(unicodedata.category(char) in {"So", "Sk"} or char in "\u200d\ufe0f" for char in visible)
    if (readable + pictures == 0 and not _EMOTICON.fullmatch(text.strip())) or (
        pictures > 40 and readable < pictures / 10
    ):
        return "it holds only symbols"
    if len(visible) >= 30 and (readable + pictures) / len(visible) < 0.35:
        return "it is mostly symbols"
    runs = sum(
        len(match.group()) for match in _RUN.finditer(text) if match.group(1).isalnum() or match.group(1) in "!?"
    )
    if len(visible) >= 20 and runs / len(visible) > 0.5:
        return "it repeats one character"
    return None


def _litter(text: str) -> str | None:
    """Marks strewn among and within words, and letters that stand alone, as no prose or code has them."""
    plain = FENCE.sub("\n", text)
    dense = "".join(plain.split())
    heaps = sum(len(match.group()) for match in _HEAP.finditer(plain))
    if len(dense) >= 30 and heaps / len(dense) > 0.12:
        return "marks are strewn over it"
    found = words(plain)
    if len(found) < 12 or is_code(plain):
        return None
    frayed = len(_FRAYED.findall(_ITALIC.sub(" ", plain)))
    if frayed >= 4 and frayed / len(plain.split()) > 0.15:
        return "its words are frayed"
    pierced = len(_PIERCED.findall(_ADDRESS.sub(" ", plain)))
    if pierced >= 4 and pierced / len(found) > 0.12:
        return "its words run together"
    letters = [word for word in found if len(word) == 1 and word.isascii() and word.isalpha() and word not in "ai"]
    if len(letters) / len(found) > 0.3 and len(set(letters)) <= len(letters) / 2:
        return "its letters stand alone"
    return None


def _echo(prompt: str, text: str) -> str | None:
    asked, said = normalise(prompt), normalise(text)
    if len(asked.split()) >= 4 and said and not said.replace(asked, "").strip():
        return "it only repeats the prompt"
    return None


def _loop(text: str) -> str | None:
    """A few words, lines or syllables over and over. A whole sentence that loops can still be read."""
    found = words(text)
    if found and all(word.isdigit() for word in found):
        return None
    if _few_words(found):
        return "it repeats a few words"
    if _few_lines([line.strip() for line in text.split("\n") if line.strip()], len(found)):
        return "it repeats its lines"
    dense = "".join(text.split())
    syllables = sum(len(match.group()) for match in _SYLLABLES.finditer(dense) if any(map(str.isalpha, match.group())))
    if len(dense) >= 40 and syllables / len(dense) > 0.4 and len(found) < len(dense) / 9:
        return "it repeats a few syllables"
    pieces = {dense[i : i + 5] for i in range(len(dense) - 4)}
    if len(dense) >= 60 and len(pieces) / (len(dense) - 4) < 0.12 and len(found) < len(dense) / 9:
        return "it repeats a few syllables" if any(map(str.isalpha, dense)) else None
    return None


def _few_words(found: list[str]) -> bool:
    n, kinds = len(found), len(set(found))
    if n < 12:
        return False
    if kinds <= 2 or (kinds <= 7 and kinds / n < 0.25) or (n >= 40 and kinds / n < 0.08):
        return True
    if n >= 20 and max(_looped(found, period) for period in (1, 2, 3, 4)) > 0.4:
        return True
    grams = ngrams(found, 2)
    varied = len(set(grams)) / len(grams) >= 0.5 or kinds / n >= 0.3
    return n >= 24 and kinds <= 12 and not varied and not _sentence_like(found)


def _looped(found: list[str], period: int) -> float:
    """Return the share of the words within stretches that repeat with the period, three times or more."""
    covered, run = 0, 0
    for i in range(period, len(found) + 1):
        if i < len(found) and found[i] == found[i - period]:
            run += 1
            continue
        if run >= 2 * period:
            covered += run + period
        run = 0
    return covered / len(found)


def _few_lines(lines: list[str], count: int) -> bool:
    if len(lines) < 8:
        return False
    varied, length = len(set(lines)) / len(lines), count / len(lines)
    return (varied <= 0.6 and length <= 3) or (varied <= 0.4 and length <= 5)


def _sentence_like(found: list[str]) -> bool:
    kinds = set(found)
    return len(kinds & FUNCTION_WORDS) >= 0.25 * len(kinds)


def _prose(text: str) -> str:
    """Return the text without code, table rows, addresses and file names."""
    return _ADDRESS.sub(" ", without_code(text))


def _run_together(text: str) -> str | None:
    """Words of impossible length, as a model emits that never ends one."""
    plain = FENCE.sub("\n", text)
    linkless = _LINK.sub(" ", plain)
    pieces = linkless.split()
    latin = len(re.findall(r"[A-Za-z]", linkless))
    if len(pieces) >= 5 and latin >= 60 and latin > 13 * len(pieces) and not is_code(plain):
        return "its words run together"
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
    if len(_ALPHABETS_MIXED.findall(text)) >= 2 and letters >= 20:
        return "its words mix alphabets"
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
