"""HTTP to one server: retries, time-outs, a bound on what is read, and a key that goes nowhere else."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import certifi

from harness.api import BrokenRunError, InputError
from harness_models.remote.answers import Answer, RequestFailedError, json_object, message, one_line, retry_after
from harness_models.remote.limits import Limits, wait_after
from harness_models.remote.pace import Pace

_MOST_BYTES = 16 * 2**20
_PUT_OFF = frozenset({429, 529})
_OVERLOADED = frozenset({429, 503, 529})
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_LOST_AFTER = 8
"""So many requests in a row that found no server, or only one that is overloaded: it is of no use to go on."""
_NEXT = "what was answered is kept: run again when it is there"
_FIRST = "start it, or mend its address, and run again: what was answered is kept"


class Client:
    """Posts JSON to one server; made and used in one event loop.

    Args:
        endpoint: the base URL, such as `http://localhost:8000/v1`.
        limits: how patient to be.
        at_once: most requests in flight.
        timeout: seconds for one attempt, from the first byte sent to the last received.
    """

    def __init__(self, endpoint: str, limits: Limits, *, at_once: int, timeout: float) -> None:
        self._endpoint = endpoint
        self._limits = limits
        self._timeout = timeout
        self._key = key_for(endpoint)
        self._pace = Pace(at_once, limits)
        self._lost = 0
        self._reached = False
        self._proxy = _proxy_for(endpoint)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=at_once, ssl=_certificates(endpoint)),
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=limits.connect),
            trust_env=False,  # it would also read ~/.netrc, and send what stands there instead of the key
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Post, and return the JSON object that came back.

        Raises:
            RequestFailedError: when this request cannot be answered.
            InputError: when no request will be: a wrong key, address or model.
            BrokenRunError: when the server cannot be reached, or no longer, or puts off everything.
        """
        tried = _Tried()
        while True:
            async with self._pace.turn() as began:
                text = await self._attempt(path, body, tried, began)
            if text is not None:
                return json_object(text)
            if self._enough(tried):
                self._give_up(tried)
            if not tried.put_off_last:  # else the pace itself makes it wait, with all others
                await asyncio.sleep(wait_after(tried.faults, self._limits, self._pace.share()))

    async def _attempt(self, path: str, body: Mapping[str, Any], tried: _Tried, began: float) -> str | None:
        """Make one attempt: return the text of a good answer, or note in `tried` why there is none."""
        tried.put_off_last = False
        try:
            answer = await self._send(path, body)
        except (aiohttp.ClientError, OSError) as error:
            tried.failed(error, self._timeout, self._key)
            return None
        self._reached = True
        if 200 <= answer.status < 300:
            self._lost = 0
            self._pace.answered()
            return answer.text
        tried.reason = self._refusal(answer)
        tried.lost = answer.status in _OVERLOADED
        if answer.status not in _RETRIED:
            self._lost = 0
            raise RequestFailedError(tried.reason)
        if answer.status in _PUT_OFF or answer.retry_after is not None:
            tried.put_off += 1
            tried.put_off_last = True
            wait = wait_after(self._pace.pauses + 1, self._limits, self._pace.share())
            self._pace.pause(began, answer.retry_after, wait)
        else:
            tried.faults += 1
            if tried.lost:
                self._pace.slow(began)
        return None

    def _enough(self, tried: _Tried) -> bool:
        """Tell whether to give a request up; where the server puts off everything, none need try as often again."""
        limits = self._limits
        if tried.put_off_last:
            return max(tried.put_off, self._pace.pauses) >= limits.put_off
        return tried.faults >= limits.attempts or tried.timeouts >= limits.timeouts

    def _give_up(self, tried: _Tried) -> NoReturn:
        if tried.lost:
            self._lost += 1
            if not self._reached:
                raise BrokenRunError(f"the server {self._endpoint} cannot be reached: {tried.reason}; {_FIRST}")
            if self._lost >= _LOST_AFTER:
                raise BrokenRunError(f"the server {self._endpoint} answers no more: {tried.reason}; {_NEXT}")
        raise RequestFailedError(tried.reason)

    async def _send(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Make one request; a server that drips, or never ends, is cut off."""
        async with self._http.post(
            f"{self._endpoint}/{path}",
            json=body,
            proxy=self._proxy,
            allow_redirects=False,  # a redirect could carry the key and the prompts to another host
        ) as response:
            read = bytearray()
            async for chunk in response.content.iter_any():
                read += chunk
                if len(read) > _MOST_BYTES:
                    raise RequestFailedError("the reply is larger than 16 MiB")
            return Answer(
                status=response.status,
                text=read.decode("utf-8", "replace"),
                location=response.headers.get("location"),
                retry_after=retry_after(response.headers.get("retry-after")),
            )

    def _refusal(self, answer: Answer) -> str:
        """Say why the server refused; raise where it will refuse every request alike."""
        said = one_line(message(answer.text), self._key)
        if 300 <= answer.status < 400:
            target = urlsplit(answer.location or "").hostname or "elsewhere"
            raise InputError(
                f"the server {self._endpoint} redirects to {target}", hint="give the address it redirects to"
            )
        if answer.status == 401:
            raise InputError(
                f"the server {self._endpoint} wants a key ({said})",
                hint=f"set the environment variable HARNESS_API_KEYS={_server(self._endpoint)}=KEY",
            )
        if answer.status == 404:
            raise InputError(
                f"the server {self._endpoint} knows no such model or path ({said})",
                hint="check the model's name, and that the address ends as the server's documentation says (often /v1)",
            )
        return f"the server answered {answer.status} ({said})"


@dataclass(kw_only=True)
class _Tried:
    """What became of one request's attempts so far."""

    faults: int = 0
    timeouts: int = 0
    put_off: int = 0
    put_off_last: bool = False
    lost: bool = False
    """Whether the last attempt found no server, or an overloaded one."""
    reason: str = ""

    def failed(self, error: Exception, timeout: float, key: str | None) -> None:
        """Note an attempt without an answer."""
        self.faults += 1
        self.timeouts += isinstance(error, TimeoutError)
        self.lost = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
        if self.lost:
            self.reason = one_line(_no_connection(error), key)
        elif isinstance(error, TimeoutError):
            self.reason = f"no answer within {timeout:g} s"
        else:
            self.reason = f"no answer ({type(error).__name__}: {one_line(str(error), key)})"


def _no_connection(error: Exception) -> str:
    """Say who did not take the connection and why, without the library's words for it."""
    if not isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection ({error})"
    where = f"{error.host}:{error.port}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the name {error.host} cannot be looked up"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"{where} shows a certificate that cannot be trusted ({error.certificate_error})"
    if error.os_error.errno == errno.ECONNREFUSED:
        return f"{where} refused the connection"
    return f"no connection to {where} ({error.os_error.strerror or error.os_error})"


def key_for(endpoint: str) -> str | None:
    """Return the key that the environment gives for this very server, and for no other.

    HARNESS_API_KEYS holds `host=KEY` or `host:port=KEY`, separated by spaces. OPENAI_API_KEY belongs to the host of
    OPENAI_BASE_URL, and to api.openai.com where that is not set; it is not sent in the clear to other machines.

    Raises:
        InputError: when HARNESS_API_KEYS is not written so, or a key does not say for whom it is.
    """
    server = _server(endpoint)
    for entry in os.environ.get("HARNESS_API_KEYS", "").split():
        host, equals, key = entry.partition("=")
        if not equals or not key:
            raise InputError("an entry of HARNESS_API_KEYS is not host=KEY", hint=f"write {server}=KEY")
        if host.lower() == server:
            return key
    vendor = _server(os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1")
    if server == vendor and (endpoint.startswith("https://") or _is_loopback(endpoint)):
        return os.environ.get("OPENAI_API_KEY") or None
    if os.environ.get("HARNESS_API_KEY"):
        raise InputError(
            "HARNESS_API_KEY does not say which server it is for", hint=f"set HARNESS_API_KEYS={server}=KEY instead"
        )
    return None


def _server(endpoint: str) -> str:
    """Return host, or host:port where the port is not the scheme's own."""
    parts = urlsplit(endpoint)
    host = (parts.hostname or "").lower()
    own = {"http": 80, "https": 443}.get(parts.scheme)
    return host if parts.port in {None, own} else f"{host}:{parts.port}"


def _is_loopback(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _proxy_for(endpoint: str) -> str | None:
    """Return the proxy that the environment names for a server; none stands between us and this machine."""
    parts = urlsplit(endpoint)
    if _is_loopback(endpoint) or proxy_bypass(parts.hostname or ""):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def _certificates(endpoint: str) -> ssl.SSLContext | bool:
    """Return the authorities of this machine and those of certifi, since some Pythons come without any."""
    if not endpoint.startswith("https://"):
        return True
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
