"""What comes back over HTTP, which may be anything: one answer, its words, and how long it asks us to wait."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any


class RequestFailedError(Exception):
    """This request got no usable answer; the message says why, and holds no secret."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One HTTP answer, read whole."""

    status: int
    text: str
    location: str | None = None
    """Where a redirect points."""
    retry_after: float | None = None
    """Seconds that the server asks us to wait."""


def retry_after(value: str | None) -> float | None:
    """Seconds from a Retry-After header, which holds seconds or a date; None where it holds neither."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        pass
    else:
        return max(0.0, seconds) if seconds < float("inf") else None
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def json_object(text: str) -> dict[str, Any]:
    """Return the JSON object that a text is.

    Raises:
        RequestFailedError: when it is none.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestFailedError("the server's reply is not JSON") from error
    if not isinstance(value, dict):
        raise RequestFailedError("the server's reply is not a JSON object")
    return value


def message(text: str) -> str:
    """Return the server's own words, wherever it puts them."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    error = value.get("error", value) if isinstance(value, dict) else value
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error
    return str(error)


def one_line(text: str, key: str | None) -> str:
    """Cut to one line, without the key, which some servers repeat."""
    if key:
        text = text.replace(key, "…")
    return " ".join(text.split())[:200] or "no message"
