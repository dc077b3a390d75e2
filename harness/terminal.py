"""Text of unknown origin, made safe to show in a terminal."""

from __future__ import annotations

import re

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC, such as a window's title or a link
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|[\x1b\x9b]\[?[0-9;:?<=>!]*[ -/]*[@-~]"  # CSI, such as colours and cursor moves
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def safe_text(text: str, *, limit: int | None = None, one_line: bool = False) -> str:
    """Return the text without anything a terminal would obey.

    Escape sequences are dropped; other control characters, direction overrides and lone surrogates become U+FFFD.

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
