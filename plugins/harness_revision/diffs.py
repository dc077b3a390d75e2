"""What changed between two versions of a reply, for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.api.commands import safe_text, word_changes

if TYPE_CHECKING:
    from rich.text import Text


def drawn(before: str, after: str) -> Text:
    """Return the difference word by word; without colours it is marked by brackets."""
    from rich.text import Text

    text = Text()
    for kind, piece in word_changes(safe_text(before), safe_text(after)):
        body = piece.lstrip()
        text.append(piece[: len(piece) - len(body)])
        if kind == "kept":
            text.append(body)
        elif kind == "removed":
            text.append(f"[-{body}-]", style="red")
        else:
            text.append(f"{{+{body}+}}", style="green")
    return text
