"""Text of unknown origin, made safe to show in a terminal, and what people typed, without the secrets in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Literal

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC, such as a window's title or a link
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|[\x1b\x9b]\[?[0-9;:?<=>!]*[ -/]*[@-~]"  # CSI, such as colours and cursor moves
)
_INVISIBLE = (
    # The category Cf and all else that is default-ignorable (tags, fillers, variation selectors), and separators of
    # lines, as of Unicode 16. The Cf that are seen, such as Arabic number signs, are left out.
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e0fff"
)
_CONTROLS = re.compile(
    rf"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff{_INVISIBLE}]"
    # Joiners stay between letters of scripts that need them and between emoji; an emoji's selector stays behind one.
    r"|(?<![^\x00-\x7f\u200c\u200d])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f\u200c\u200d])"
    r"|(?<![\u2000-\ufe0d\ufe10-\U0010ffff#*0-9©®])[\ufe0e\ufe0f]"
)
_WORD = re.compile(r"\s*\S+\s*$|\s*\S+|\s+$")
Change = Literal["kept", "removed", "added"]
_SECRETS = (
    (re.compile(r"(?<=://)[^\s'\"]*@"), "…@"),  # the user and password of an address
    (re.compile(r"(://[^\s'\"?#]*[?#])[^\s'\"]+"), r"\1…"),  # its query and fragment
    (re.compile(r"(?i)((?:api[-_]?key|token|secret|password)=)[^\s'\"]+"), r"\1…"),
    (re.compile(r"\b(sk-|hf_|Bearer )[\w.-]{8,}"), r"\1…"),
)


def redacted(text: str) -> str:
    """Return the text with an ellipsis for what is a secret by its form: parts of addresses, keys and tokens."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def safe_text(text: str, *, limit: int | None = None, one_line: bool = False) -> str:
    """Return the text without anything a terminal would obey.

    Escape sequences are dropped; other control characters, what nobody sees or what turns the direction of writing, and
    lone surrogates become U+FFFD.

    Args:
        text: from a model, a data file or a plugin.
        limit: cut to this many characters, with an ellipsis.
        one_line: fold white space, line breaks included, to single spaces.
    """
    clean = _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", _ESCAPES.sub("", text.replace("\r\n", "\n")))
    if one_line:
        clean = " ".join(clean.split())
    if limit is not None and len(clean) > limit:
        clean = clean[: max(0, limit - 1)] + "…"
    return clean


def word_changes(before: str, after: str) -> Iterator[tuple[Change, str]]:
    """Yield the pieces of two texts in order: the kept and removed ones make the first, kept and added the second."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            yield "kept", "".join(old[a:b])
            continue
        if a < b:
            yield "removed", "".join(old[a:b])
        if c < d:
            yield "added", "".join(new[c:d])
