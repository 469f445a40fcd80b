"""Where is the server? Each page is told: it would ask below its own path first, and get two 404.

Streamlit's page looks for the server under its own address (/compare/_stcore/health), then at the root,
unless `window.__streamlit` names a place. A page lies beside the server, also behind a proxy that adds
a path.
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEAD = b"<head>"
SAID = b'<script>window.__streamlit = {BACKEND_BASE_URL: new URL(".", location.href).href}</script>'


class Root:
    """The ASGI middleware: pages alone are touched."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "text/html" not in Headers(scope=scope).get("accept", ""):
            await self._app(scope, receive, send)
            return
        uncompressed = [each for each in scope["headers"] if each[0] != b"accept-encoding"]
        await self._app({**scope, "headers": uncompressed}, receive, _told(send))


def _told(send: Send) -> Send:
    is_page = False

    async def sent(message: Message) -> None:
        nonlocal is_page
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            is_page = headers.get("content-type", "").startswith("text/html")
            for name in ("content-length", "etag", "last-modified") if is_page else ():
                del headers[name]  # of the file, which is longer now
        elif is_page and HEAD in message.get("body", b""):
            message = {**message, "body": message["body"].replace(HEAD, HEAD + SAID, 1)}
        await send(message)

    return sent
