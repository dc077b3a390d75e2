"""Who may read the report: those who have its token, under a name of this machine.

A port of this machine is open to everyone with an account on it, and any web page may send requests there. The token
is in the address that `harness report` prints; the first page moves it to a cookie, so that it stays in no history.
Names are checked against DNS rebinding, by which a page makes its own name point here.
"""

from __future__ import annotations

from collections.abc import Collection
from secrets import compare_digest
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost")
"""Names of this machine."""


class Access:
    """ASGI middleware that lets requests and websockets through only with the token, and from the report's own pages.

    Args:
        app: what is guarded.
        token: what a visitor must know.
        hosts: names that the address may have, without port.
        cookie: the cookie's name; two reports on one machine need two, since cookies do not know ports.
    """

    def __init__(self, app: ASGIApp, *, token: str, hosts: Collection[str], cookie: str) -> None:
        self._app, self._token, self._hosts, self._cookie = app, token, frozenset(hosts), cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        answer = self._answer(HTTPConnection(scope)) if scope["type"] in {"http", "websocket"} else None
        if answer is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await answer(scope, receive, send)

    def _answer(self, asked: HTTPConnection) -> Response | None:
        """Return what is said instead of the report; None where the report may answer."""
        host, origin = asked.headers.get("host", ""), asked.headers.get("origin")
        if _name(host) not in self._hosts:
            return _refused("this report is served to this machine alone: use the address that harness report printed")
        if origin is not None and urlsplit(origin).netloc != host:
            return _refused("another page may not read this report")
        if self._knows(asked.query_params.get("token")):
            rest = [(name, value) for name, value in asked.query_params.multi_items() if name != "token"]
            here = "/" + asked.url.path.lstrip("/")  # two slashes would lead to another machine
            moved = RedirectResponse(f"{here}?{urlencode(rest)}" if rest else here, status_code=303)
            # Not `strict`: the browser would keep the cookie to itself when it is led here by another page.
            moved.set_cookie(self._cookie, self._token, httponly=True, samesite="lax")
            return moved
        if self._knows(asked.cookies.get(self._cookie)):
            return None
        return _refused("this report wants the token in its address: use the one that harness report printed")

    def _knows(self, given: str | None) -> bool:
        return given is not None and compare_digest(given.encode(), self._token.encode())


def _name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _refused(sentence: str) -> Response:
    return PlainTextResponse(f"{sentence}\n", status_code=403)
