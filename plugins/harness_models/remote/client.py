"""HTTP to one server: retries with jitter, time-outs, a bound on what is read, and a key that goes nowhere else."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from harness.errors import BrokenRunError, InputError

_MOST_BYTES = 16 * 2**20
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_LOST_AFTER = 8
"""So many requests in a row without a connection: the server is gone."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How patient the client is, in seconds."""

    attempts: int = 5
    timeouts: int = 2
    """Attempts that may run out of time; each costs `total`."""
    connect: float = 10.0
    total: float = 300.0
    """For one attempt, from the first byte sent to the last received."""
    first_wait: float = 1.0
    """Before the first retry; doubles with each, with jitter."""
    longest_wait: float = 60.0


class RequestFailedError(Exception):
    """This request got no usable answer; the message says why, and holds no secret."""


class Client:
    """Posts JSON to one server; usable from several threads.

    Args:
        endpoint: the base URL, such as `http://localhost:8000/v1`.
        limits: how patient to be.
        sleep: waits so many seconds; replaced in tests.
    """

    def __init__(
        self, endpoint: str, limits: Limits | None = None, *, sleep: Callable[[float], object] | None = None
    ) -> None:
        self._endpoint = endpoint
        self._limits = limits or Limits()
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait
        self._key = _key_for(endpoint)
        self._lock = threading.Lock()
        self._lost = 0
        self._reached = False
        self._random = random.Random()  # noqa: S311 - jitter
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx.Timeout(self._limits.total, connect=self._limits.connect, pool=None),
            follow_redirects=False,  # a redirect could carry the key and the prompts to another host
            trust_env=not _is_loopback(endpoint),
        )

    def close(self) -> None:
        """Close the connections; requests under way end soon, without a retry."""
        self._stopped.set()
        self._http.close()

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Post, and return the JSON object that came back.

        Raises:
            RequestFailedError: when this request cannot be answered.
            InputError: when no request will be: a wrong key, address or model.
            BrokenRunError: when the server cannot be reached, or no longer.
        """
        reason, timeouts = "the request was called off", 0
        for attempt in range(self._limits.attempts):
            if self._stopped.is_set():
                break
            try:
                status, headers, text = self._send(path, body)
            except httpx.TransportError as error:
                reason = f"no answer ({type(error).__name__}: {_one_line(str(error), self._key)})"
                status, headers, text = 0, {}, ""
                if isinstance(error, httpx.ConnectError):
                    reason = f"no connection ({_one_line(str(error), self._key)})"
                timeouts += isinstance(error, httpx.TimeoutException)
            if 200 <= status < 300:
                self._found()
                return _object(text)
            if status:
                self._found()
                reason = self._refusal(status, headers, text)
            if (status and status not in _RETRIED) or timeouts >= self._limits.timeouts:
                break
            if attempt + 1 < self._limits.attempts:
                self._sleep(self._wait(attempt, headers.get("retry-after")))
        if reason.startswith("no connection"):
            self._count_lost(reason)
        raise RequestFailedError(reason)

    def _send(self, path: str, body: Mapping[str, Any]) -> tuple[int, dict[str, str], str]:
        """Make one attempt; a server that drips, or never ends, is cut off."""
        deadline = time.monotonic() + self._limits.total
        with self._http.stream("POST", f"{self._endpoint}/{path}", json=body) as response:
            read = bytearray()
            for chunk in response.iter_bytes():
                read += chunk
                if len(read) > _MOST_BYTES:
                    raise RequestFailedError("the reply is larger than 16 MiB")
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("the reply took too long")
            headers = {name.lower(): value for name, value in response.headers.items()}
            return response.status_code, headers, read.decode("utf-8", "replace")

    def _refusal(self, status: int, headers: Mapping[str, str], text: str) -> str:
        """Say why the server refused; raise where it will refuse every request alike."""
        said = _one_line(_message(text), self._key)
        if 300 <= status < 400:
            target = urlsplit(headers.get("location", "")).hostname or "elsewhere"
            raise InputError(
                f"the server {self._endpoint} redirects to {target}", hint="give the address it redirects to"
            )
        if status == 401:
            raise InputError(
                f"the server {self._endpoint} wants a key ({said})",
                hint="set the environment variable HARNESS_API_KEY (or OPENAI_API_KEY)",
            )
        if status == 404:
            raise InputError(
                f"the server {self._endpoint} knows no such model or path ({said})",
                hint="check the model's name, and that the address ends as the server's documentation says (often /v1)",
            )
        return f"the server answered {status} ({said})"

    def _found(self) -> None:
        with self._lock:
            self._reached, self._lost = True, 0

    def _count_lost(self, reason: str) -> None:
        with self._lock:
            self._lost += 1
            lost, reached = self._lost, self._reached
        if not reached or lost >= _LOST_AFTER:
            raise BrokenRunError(
                f"the server {self._endpoint} cannot be reached: {reason}; start it, or check the address: what was"
                " answered is kept"
            )

    def _wait(self, attempt: int, retry_after: str | None) -> float:
        asked = _retry_after(retry_after)
        if asked is not None:
            return min(asked, 2 * self._limits.longest_wait)
        longest = min(self._limits.longest_wait, self._limits.first_wait * float(2**attempt))
        return longest * self._random.uniform(0.5, 1.0)


def _key_for(endpoint: str) -> str | None:
    """Return the key from the environment. The vendor's own variable is not sent in the clear to other machines."""
    own = os.environ.get("HARNESS_API_KEY")
    if own:
        return own
    if endpoint.startswith("https://") or _is_loopback(endpoint):
        return os.environ.get("OPENAI_API_KEY") or None
    return None


def _is_loopback(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _retry_after(value: str | None) -> float | None:
    """Seconds from a Retry-After header, which holds seconds or a date; None where it holds neither."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise RequestFailedError("the server's reply is not JSON") from error
    if not isinstance(value, dict):
        raise RequestFailedError("the server's reply is not a JSON object")
    return value


def _message(text: str) -> str:
    """The server's own words, wherever it puts them."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    error = value.get("error", value) if isinstance(value, dict) else value
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error
    return str(error)


def _one_line(text: str, key: str | None) -> str:
    """Cut to one line, without the key, which some servers repeat."""
    if key:
        text = text.replace(key, "…")
    return " ".join(text.split())[:200] or "no message"
