"""HTML that is safe by construction: every text is escaped and stripped of control characters unless it is `Html`."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from harness.terminal import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&@\"'^=/])")
_VOID = {"meta", "br", "hr", "line", "circle", "rect", "path"}


class Html(str):
    """Markup that this package made. Nothing from a model, a file or a plugin may be wrapped in it."""

    __slots__ = ()


def text(value: object) -> Html:
    """Return the value as escaped text, with control characters and direction overrides made visible."""
    return Html(html.escape(safe_text(str(value)), quote=True))


def el(name: str, /, *children: str | Html, cls: str = "", **attributes: str | float) -> Html:
    """Return an element. Children that are not `Html` are escaped; so are attributes' values.

    A trailing underscore of an attribute's name is dropped and others become hyphens: `for_`, `stroke_width`.
    """
    pairs = {"class": cls} if cls else {}
    pairs |= {key.rstrip("_").replace("_", "-"): str(value) for key, value in attributes.items()}
    head = name + "".join(f' {key}="{text(value)}"' for key, value in pairs.items())
    if name in _VOID:
        return Html(f"<{head}/>")
    return Html(f"<{head}>{join(children)}</{name}>")


def join(parts: Iterable[str | Html], separator: str = "") -> Html:
    """Return the parts after each other, escaping those that are not `Html`."""
    return Html(separator.join(part if isinstance(part, Html) else text(part) for part in parts))


def plain_label(value: object, *, limit: int = 120) -> str:
    """Return text for a widget's label, where Streamlit reads Markdown: everything it could obey is escaped."""
    return _SPECIAL.sub(r"\\\1", safe_text(str(value), limit=limit, one_line=True))
