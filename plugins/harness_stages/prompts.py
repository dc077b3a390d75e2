"""Prompts to answer: rows of their own, or training rows whose last answer is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.api import InputError, Message
from harness_stages.reading import Rows, gather, kind_of
from harness_stages.rows import parse_row, read_field, read_turns


@dataclass(frozen=True, kw_only=True)
class PromptRow:
    """One conversation that ends with the user's turn."""

    messages: tuple[Message, ...]
    line: int
    harmful: bool = False
    """Whether the row says so of itself, as red-team prompts do."""
    tags: tuple[str, ...] = ()
    """The row's own, and `harmful` or `benign` where it says which, as samples of suites have them."""


def read_prompts(path: Path, *, most_bad: float = 0.0, system: str | None = None) -> Rows[PromptRow]:
    """Read `{"prompt": "…"}` (text, or messages), or training rows of any format; `.gz` is unpacked.

    Args:
        path: the file.
        most_bad: the largest share of rows that may be left out.
        system: prompt for rows that have none.

    Raises:
        InputError: naming file, line and key.
    """

    def parse(value: object, line: int) -> PromptRow:
        if not isinstance(value, dict):
            raise InputError(f"a prompt must be a JSON object, this is {kind_of(value)}", file=path, line=line)
        if "prompt" in value and "completion" not in value:
            messages = _prompt(value, path, line)
        else:
            messages = parse_row(value, path, line).messages[:-1]
        if system is not None and messages[0].role != "system":
            messages = (Message(role="system", content=system), *messages)
        harmful = value.get("harmful")
        return PromptRow(messages=messages, line=line, harmful=harmful is True, tags=_tags(value.get("tags"), harmful))

    return gather(path, parse, most_bad=most_bad, what="prompts")


def _tags(own: object, harmful: object) -> tuple[str, ...]:
    said = (("harmful",) if harmful else ("benign",)) if isinstance(harmful, bool) else ()
    given = [str(tag) for tag in own] if isinstance(own, list) else []
    return tuple(dict.fromkeys((*given, *said)))


def _prompt(row: Mapping[str, Any], path: Path, line: int) -> tuple[Message, ...]:
    if not isinstance(row["prompt"], list):
        return (Message(role="user", content=read_field(row, "prompt", path, line)),)
    turns = read_turns(row["prompt"], "prompt", path, line)
    if turns[-1].role != "user":
        raise InputError(f"ends with the {turns[-1].role}'s turn", file=path, line=line, key="prompt",
                         hint="end it with the user's")  # fmt: skip
    return tuple(turns)
