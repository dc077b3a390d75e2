"""Untrusted text as quoted material: whatever it says, it stays inside the quotation.

Every quoted line begins with `> `, so no line of it can look like the judge's own instructions or end the quotation.
The control tokens of chat templates are broken up, because a tokenizer would read them as the end of the turn.
"""

from __future__ import annotations

import re
import unicodedata

_CONTROL_TOKENS = re.compile(
    r"<(?=[|｜])|(?<=[|｜])>"  # <|im_end|>, <|eot_id|> and their full-width kin
    r"|<(?=/?(?:s|bos|eos|pad|unk|mask|start_of_turn|end_of_turn|think)>)"
    r"|<(?=/?<?SYS>)|\[(?=/?(?:INST|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT)\])",
    re.IGNORECASE,
)
_LOOKALIKES = {"<": "‹", ">": "›", "[": "("}


def clean(text: str) -> str:
    """Return the text with control tokens broken up, and invisible and control characters removed.

    Line ends of every kind become a line feed; lone surrogates become U+FFFD.
    """
    lines = (_visible(line) for line in text.splitlines())
    # Removing invisible characters may join the halves of a token, so tokens are broken up last.
    return _CONTROL_TOKENS.sub(lambda match: _LOOKALIKES[match.group()], "\n".join(lines))


def _visible(line: str) -> str:
    kept = []
    for character in line:
        category = unicodedata.category(character)
        if category == "Cs":
            kept.append("\ufffd")
        elif character == "\t" or category not in {"Cc", "Cf"}:
            kept.append(character)
    return "".join(kept)


def quote(text: str, *, limit: int) -> tuple[str, int]:
    """Return the text as quoted lines, and how many characters were left out.

    Args:
        text: untrusted.
        limit: characters kept at most; a longer text loses its middle, in whose place stands an unquoted note.
    """
    safe = clean(text)
    if len(safe) <= limit:
        return _quoted(safe), 0
    head = (limit + 1) // 2
    tail = limit - head
    left_out = len(safe) - limit
    end = safe[len(safe) - tail :] if tail else ""
    return f"{_quoted(safe[:head])}\n({left_out} characters left out here)\n{_quoted(end)}", left_out


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.split("\n"))
