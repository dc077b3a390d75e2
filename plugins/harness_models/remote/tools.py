"""Tools by a server's own interface: what a suite declares as text becomes `tools`, and `tool_calls` become text.

Conversations hold tools as text (`# Tools`, `<tool_call>…</tool_call>`, `<tool_response>…</tool_response>`), so that
every model can be asked, and metrics read one form. A chat server is sent schemas, calls and results in its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from harness.api import is_response, read_calls

if TYPE_CHECKING:
    from harness.api import Message

_DECLARED = re.compile(r"(?:\A|\n\n)# Tools\n.*?\nThe functions:\n(.+)\Z", re.DOTALL)
_RESPONSE = re.compile(r"<tool_response>(.*?)</tool_response>", re.DOTALL)
_FIRST_CALL = "<tool_call>"


def native(messages: Sequence[Message]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return a conversation's turns and tools as a chat server takes them; no tools where it declares none."""
    tools = _tools(messages[0].content) if messages and messages[0].role == "system" else []
    if not tools:
        return [{"role": one.role, "content": one.content} for one in messages], []
    own = _DECLARED.sub("", messages[0].content)
    turns: list[dict[str, Any]] = [{"role": "system", "content": own}] if own.strip() else []
    place = 1
    while place < len(messages):
        one, behind = messages[place], messages[place + 1] if place + 1 < len(messages) else None
        pair = _called(one, behind, place)
        turns += pair or [{"role": one.role, "content": one.content}]
        place += 2 if pair else 1
    return turns, tools


def _tools(system: str) -> list[dict[str, Any]]:
    found = _DECLARED.search(system)
    try:
        listed = [] if found is None else [json.loads(line) for line in found[1].splitlines()]
    except (ValueError, RecursionError):  # somebody's own prompt that only looks like it
        return []
    return [{"type": "function", "function": one} for one in listed if isinstance(one, dict)]


def _called(turn: Message, behind: Message | None, place: int) -> list[dict[str, Any]]:
    """Return a turn with calls and the one with their results; nothing where they are not such a pair."""
    calls = read_calls(turn.content) if turn.role == "assistant" else ()
    if not calls or behind is None or not is_response(behind) or any(call.problem for call in calls):
        return []
    results = _RESPONSE.findall(behind.content)
    if len(results) != len(calls):
        return []
    ids = [f"call_{place}_{number}" for number in range(len(calls))]
    said = turn.content.partition(_FIRST_CALL)[0].strip()
    made = [
        {"id": name, "type": "function",
         "function": {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)}}
        for name, call in zip(ids, calls, strict=True)
    ]  # fmt: skip
    answered = [
        {"role": "tool", "tool_call_id": name, "content": result} for name, result in zip(ids, results, strict=True)
    ]
    return [{"role": "assistant", "content": said or None, "tool_calls": made}, *answered]


def as_text(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer whose calls stand in its text; one without calls as it is."""
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    if not isinstance(calls, list) or not calls or not isinstance(first, dict) or not isinstance(message, dict):
        return answer
    said = message.get("content")
    text = "\n".join([*([said] if isinstance(said, str) and said else []), *map(_written, calls)])
    return {**answer, "choices": [{**first, "message": {**message, "content": text}}]}


def _written(call: object) -> str:
    function = call.get("function") if isinstance(call, Mapping) else None
    name, arguments = (
        (function.get("name"), function.get("arguments")) if isinstance(function, Mapping) else (None, None)
    )
    if isinstance(arguments, str):
        with suppress(ValueError, RecursionError):  # else it stays a text, and who reads the call says what is wrong
            arguments = json.loads(arguments or "{}")
    return f"{_FIRST_CALL}{json.dumps({'name': name, 'arguments': arguments}, ensure_ascii=False)}</tool_call>"
