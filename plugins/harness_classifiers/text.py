"""Makes any text safe to hand to tokenizers, without moving a character."""

from __future__ import annotations

import re

_SURROGATE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """Return the text with each lone surrogate and NUL replaced by U+FFFD.

    Tokenizers written in Rust or C refuse lone surrogates, which are not encodable. One character stands for one, so
    that offsets into the result are offsets into the text.
    """
    return _SURROGATE.sub("\ufffd", text).replace("\x00", "\ufffd")
