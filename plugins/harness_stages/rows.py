"""Training rows as people keep them: Alpaca, chat messages, and prompt/completion, in JSON or JSON Lines.

Every format becomes a conversation whose assistant turns are learned. The format is told by its keys, and a file keeps
to one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from harness.api import InputError, Message, Role
from harness_stages.reading import Rows, gather, kind_of

FORMATS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "chat": (("messages",), ("system",)),
    "alpaca": (("instruction", "output"), ("input", "system")),
    "prompt/completion": (("prompt", "completion"), ("system",)),
}
"""Required and optional keys by format. Other keys, such as `id` or `tags`, are ignored unless they look misspelt."""

_ROLES: tuple[str, ...] = get_args(Role)


@dataclass(frozen=True, kw_only=True)
class TrainingRow:
    """One conversation to learn from."""

    messages: tuple[Message, ...]
    """Ends with an assistant turn."""
    line: int
    """1-based line of the file; for a JSON array, the 1-based number of the row."""
    source: str = ""
    """What the row says of where its last answer comes from, such as `revision`."""
    cut: bool = False
    """Whether the last answer was cut by its length (`finish: length`), so that nothing ends it."""


def read_rows(path: Path) -> tuple[TrainingRow, ...]:
    """Read a file of training rows; `.gz` is unpacked.

    Raises:
        InputError: naming file, line and key, where the file or a row is not what it should be.
    """
    return gather_rows(path).good


def gather_rows(path: Path, *, most_bad: float = 0.0) -> Rows[TrainingRow]:
    """Read a file of training rows, and leave out bad ones up to a share; raises as `read_rows`."""
    first: tuple[str, int] | None = None

    def parse(value: object, line: int) -> TrainingRow:
        nonlocal first
        if not isinstance(value, dict):
            raise InputError(f"a training row must be a JSON object, this is {kind_of(value)}", file=path, line=line)
        form = _format_of(value, path, line)
        if first is None:
            first = (form, line)
        elif form != first[0]:
            raise InputError(
                f"this row is {form} and line {first[1]} is {first[0]}", file=path, line=line,
                hint="keep each format in a file of its own",
            )  # fmt: skip
        return TrainingRow(
            messages=_messages(form, value, path, line), line=line, source=str(value.get("source", "")),
            cut=value.get("finish") == "length",
        )  # fmt: skip

    return gather(path, parse, most_bad=most_bad, what="training rows")


def parse_row(value: Mapping[str, Any], path: Path, line: int) -> TrainingRow:
    """Return the training row that a JSON object is; raises as `read_rows`."""
    return TrainingRow(messages=_messages(_format_of(value, path, line), value, path, line), line=line)


def _format_of(row: Mapping[str, Any], path: Path, line: int) -> str:
    matching = [form for form, (required, _) in FORMATS.items() if all(key in row for key in required)]
    if len(matching) > 1:
        raise InputError(
            f"the row's keys fit both {matching[0]} and {matching[1]}", file=path, line=line,
            hint="keep the keys of one format",
        )  # fmt: skip
    if not matching:
        raise _unknown_format(row, path, line)
    required, optional = FORMATS[matching[0]]
    for key in row:
        if key not in required and key not in optional:
            close = get_close_matches(key, [name for name in optional if name not in row], n=1, cutoff=0.8)
            if close:
                raise InputError("unknown key", file=path, line=line, key=key, hint=f"did you mean {close[0]!r}?")
    return matching[0]


def _unknown_format(row: Mapping[str, Any], path: Path, line: int) -> InputError:
    for required, _ in FORMATS.values():
        missing = [key for key in required if key not in row]
        others = [key for key in row if key not in required]
        if len(missing) == 1:
            close = get_close_matches(missing[0], others, n=1, cutoff=0.7)
            if close:
                return InputError(
                    "unknown key", file=path, line=line, key=close[0], hint=f"did you mean {missing[0]!r}?"
                )
            if len(required) > 1:
                return InputError(f"the key {missing[0]!r} is missing", file=path, line=line, hint="add it")
    shapes = ", ".join(" + ".join(required) + f" ({form})" for form, (required, _) in FORMATS.items())
    found = ", ".join(map(repr, list(row)[:6])) or "none"
    return InputError(f"the row's keys ({found}) fit no format", file=path, line=line, hint=f"known: {shapes}")


def _messages(form: str, row: Mapping[str, Any], path: Path, line: int) -> tuple[Message, ...]:
    if form == "alpaca":
        prompt = read_field(row, "instruction", path, line)
        if row.get("input") not in ("", None):
            prompt += "\n\n" + read_field(row, "input", path, line)
        messages = [Message(role="user", content=prompt), _answer(read_field(row, "output", path, line))]
    elif form == "chat":
        messages = read_turns(row["messages"], "messages", path, line)
    else:
        messages = _side(row, "prompt", "user", path, line) + _side(row, "completion", "assistant", path, line)
    if row.get("system") is not None:
        if messages[0].role == "system":
            raise InputError("there are two system prompts", file=path, line=line, key="system", hint="keep one")
        messages.insert(0, Message(role="system", content=read_field(row, "system", path, line)))
    _check_order(messages, form, path, line)
    return tuple(messages)


def _answer(text: str) -> Message:
    return Message(role="assistant", content=text)


def _side(row: Mapping[str, Any], key: str, role: Role, path: Path, line: int) -> list[Message]:
    if isinstance(row[key], list):
        return read_turns(row[key], key, path, line)
    return [Message(role=role, content=read_field(row, key, path, line))]


def read_turns(turns: object, key: str, path: Path, line: int) -> list[Message]:
    if not isinstance(turns, Sequence) or isinstance(turns, str) or not turns:
        raise InputError(
            f"must be a list of messages, this is {kind_of(turns)}", file=path, line=line, key=key,
            hint='write [{"role": "user", "content": "…"}, …]',
        )  # fmt: skip
    messages: list[Message] = []
    for index, turn in enumerate(turns):
        place = f"{key}[{index}]"
        if not isinstance(turn, dict):
            raise InputError(f"must be an object with role and content, this is {kind_of(turn)}", file=path, line=line,
                             key=place)  # fmt: skip
        for name in ("role", "content"):
            if name not in turn:
                raise InputError(f"the key {name!r} is missing", file=path, line=line, key=place, hint="add it")
        if turn["role"] not in _ROLES:
            raise InputError(
                f"no role is called {turn['role']!r}", file=path, line=line, key=f"{place}.role",
                hint=f"known: {', '.join(_ROLES)}",
            )  # fmt: skip
        messages.append(Message(role=turn["role"], content=read_field(turn, "content", path, line, place=place)))
    return messages


def read_field(row: Mapping[str, Any], key: str, path: Path, line: int, *, place: str = "") -> str:
    """Return a text of a row; raises InputError where it is none or empty."""
    value = row[key]
    where = f"{place}.{key}" if place else key
    if not isinstance(value, str):
        raise InputError(f"must be text, this is {kind_of(value)}", file=path, line=line, key=where)
    if not value.strip():
        raise InputError("is empty", file=path, line=line, key=where, hint="write the text or leave the row out")
    return value


def _check_order(messages: Sequence[Message], form: str, path: Path, line: int) -> None:
    """A conversation is an optional system prompt, then user and assistant in turn, the assistant last."""
    turns = messages[1:] if messages[0].role == "system" else messages
    for index, message in enumerate(turns):
        expected = "user" if index % 2 == 0 else "assistant"
        if message.role != expected:
            raise InputError(
                f"turn {index + 1} is the {message.role}'s where the {expected}'s is due", file=path, line=line,
                key="messages" if form == "chat" else None, hint="let user and assistant take turns, the user first",
            )  # fmt: skip
    if not turns or len(turns) % 2:
        raise InputError(
            "the conversation does not end with an assistant's answer, so there is nothing to learn",
            file=path, line=line, key="messages" if form == "chat" else None, hint="add the answer",
        )  # fmt: skip
