"""What changed between two versions of a reply, word by word."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.text import Text

Change = Literal["kept", "removed", "added"]
_WORD = re.compile(r"\s*\S+\s*$|\s*\S+")


def changes(before: str, after: str) -> Iterator[tuple[Change, str]]:
    """Yield the pieces of both texts in order; the kept and the added ones make the second."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            yield "kept", "".join(old[a:b])
            continue
        if a < b:
            yield "removed", "".join(old[a:b])
        if c < d:
            yield "added", "".join(new[c:d])


def drawn(before: str, after: str) -> Text:
    """Return the difference for a terminal; without colours it is marked by brackets."""
    from rich.text import Text

    from harness.api.commands import safe_text

    text = Text()
    for kind, piece in changes(safe_text(before), safe_text(after)):
        lead = piece[: len(piece) - len(piece.lstrip())]
        body = piece[len(lead) :]
        text.append(lead)
        if kind == "kept":
            text.append(body)
        elif kind == "removed":
            text.append(f"[-{body}-]", style="red")
        else:
            text.append(f"{{+{body}+}}", style="green")
    return text
