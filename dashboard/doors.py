"""Who may come in? Every request, a page's or a WebSocket's, passes here before Streamlit sees it.

A foreign Host is refused (a name that some other site has pointed at this machine), a foreign Origin (a page
of another site), and, where the dashboard was started with a token, whoever does not bring it. The token is
brought once, in the address that was printed (?token=...), and kept as a cookie; it leaves the address at
once, so that it stands in no link that is passed on. docs/security.md says what this does not cover."""

import hashlib
import hmac
import ipaddress
import os
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What `python -m sweeper dashboard` says to the process it becomes.
TOKEN, HOSTS, ACTIONS = "SWEEPER_TOKEN", "SWEEPER_ALLOW_HOSTS", "SWEEPER_ACTIONS"
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[\w.-]+)(?::\d{1,5})?")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANY_ADDRESS = "*"  # among the hosts: every IP address, but no other name

NO_TOKEN = "This dashboard asks for a token: open the address that was printed where it was started."
NO_HOST = "This dashboard is not known by that name; --allow-host NAME, where it is started, makes it known."
NO_ORIGIN = "This dashboard answers no other site's pages."
_ALWAYS = {
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
}


class Doors(NamedTuple):
    """hosts: names that the dashboard is known by. token: '' where none is asked for."""

    hosts: tuple[str, ...]
    token: str

    @classmethod
    def of_environment(cls) -> "Doors":
        return cls((*LOOPBACK, *os.environ.get(HOSTS, "").split()), os.environ.get(TOKEN, ""))

    def knows(self, host: str | None) -> bool:
        """host: 'name', 'name:8501', '[::1]:8501'; whose port plays no part."""
        said = _HOST.fullmatch((host or "").lower())
        name = said[1].strip("[]").rstrip(".") if said else ""
        return bool(name) and (
            name in (each.lower() for each in self.hosts) or (ANY_ADDRESS in self.hosts and _is_address(name))
        )

    def own(self, origin: str, host: str | None) -> bool:
        """Whether a page that says it is from this origin is the dashboard's own. Behind a proxy the page has
        the proxy's name, which --allow-host has made known; a page of another port of this machine is not
        ours."""
        there = origin.lower().partition("://")[2]
        return there == (host or "").lower() or (not Doors(LOOPBACK, "").knows(there) and self.knows(there))

    @property
    def cookie(self) -> str:
        """Its name: cookies are shared by all ports of a machine, where other dashboards may listen."""
        return f"sweeper-{hashlib.sha256(self.token.encode()).hexdigest()[:12]}"

    def admits(self, cookies: Mapping[str, str]) -> bool:
        return not self.token or same(cookies.get(self.cookie, ""), self.token)


def actions_allowed(cookies: Mapping[str, str]) -> bool:
    """Whether this visitor may ask something of a sweep: --actions was said, and the token is brought."""
    doors = Doors.of_environment()
    return bool(os.environ.get(ACTIONS)) and bool(doors.token) and doors.admits(cookies)


def same(said: str, token: str) -> bool:
    """In a time that does not depend on where they differ."""
    return hmac.compare_digest(said.encode(errors="replace"), token.encode())


class Guard:
    """The ASGI middleware."""

    def __init__(self, app: ASGIApp):
        self._app, self._doors = app, Doors.of_environment()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):  # the server's own start and end
            await self._app(scope, receive, send)
            return
        answer = self._answer(scope)
        if answer is None:
            await self._app(_without_origin(scope), receive, _marked(scope, send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: HTTP 403
        else:
            await answer(scope, receive, _marked(scope, send))

    def _answer(self, scope: Scope) -> Response | None:
        """None: come in."""
        asked = HTTPConnection(scope)
        hosts, origin = asked.headers.getlist("host"), asked.headers.get("origin")
        if len(hosts) != 1 or not self._doors.knows(hosts[0]):
            return PlainTextResponse(NO_HOST, 421)
        if origin is not None and not self._doors.own(origin, hosts[0]):
            return PlainTextResponse(NO_ORIGIN, 403)
        query = parse_qsl(asked.url.query, keep_blank_values=True)
        tokens = [value for name, value in query if name == "token"]
        if self._doors.token and tokens and same(tokens[0], self._doors.token):
            return self._kept(asked, [(name, value) for name, value in query if name != "token"])
        return None if self._doors.admits(asked.cookies) else PlainTextResponse(NO_TOKEN, 403)

    def _kept(self, asked: HTTPConnection, query: list[tuple[str, str]]) -> Response:
        """Back to the same page, the token in a cookie that scripts and other sites do not get."""
        path = "/" + asked.url.path.lstrip("/\\")  # '//name' would be another site
        answer = RedirectResponse(f"{path}?{urlencode(query)}" if query else path, 303)
        answer.headers["cache-control"] = "no-store"
        secure = asked.headers.get("x-forwarded-proto", asked.url.scheme) == "https"
        answer.set_cookie(self._doors.cookie, self._doors.token, httponly=True, samesite="lax", secure=secure)
        return answer


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _without_origin(scope: Scope) -> Scope:
    """Of a WebSocket. The Origin has been looked at; Streamlit would, to compare it, ask another site for
    this machine's address."""
    if scope["type"] != "websocket":
        return scope
    headers = Headers(scope=scope).raw
    return {**scope, "headers": [(name, value) for name, value in headers if name != b"origin"]}


def _marked(scope: Scope, send: Send) -> Send:
    """With what every answer says to the browser."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _ALWAYS.items():
                headers.setdefault(name, value)
        await send(message)

    return sent if scope["type"] == "http" else send
