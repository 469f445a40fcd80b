"""What a page is told of its server: in HTML alone, whole, and nothing else is touched."""

import asyncio
from typing import Any

import pytest

from dashboard.root import SAID, Root

PAGE = b"<!DOCTYPE html><html><head><title>x</title></head></html>"


def answered(accept: bytes, kind: bytes, body: bytes) -> tuple[dict[str, str], bytes, dict[str, str]]:
    """(headers, body) of an answer of this kind, and the headers that the app was asked with."""
    sent: list[Any] = []
    asked: dict[str, str] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.update({name.decode(): value.decode() for name, value in scope["headers"]})
        headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), (b"etag", b"of the file")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    headers = [(b"accept", accept), (b"accept-encoding", b"gzip")]
    scope = {"type": "http", "method": "GET", "path": "/compare", "headers": headers}
    asyncio.run(Root(app)(scope, receive, send))
    start, last = sent
    return {name.decode(): value.decode() for name, value in start["headers"]}, last["body"], asked


def test_a_page_is_told_before_any_of_its_scripts() -> None:
    headers, body, asked = answered(b"text/html,*/*", b"text/html; charset=utf-8", PAGE)
    assert body == PAGE.replace(b"<head>", b"<head>" + SAID)
    assert set(headers) == {"content-type"}  # the length and the mark were the file's
    assert "accept-encoding" not in asked


@pytest.mark.parametrize(
    ("accept", "kind"), [(b"*/*", b"text/html"), (b"text/html", b"text/javascript"), (b"", b"text/html")]
)
def test_what_is_no_page_is_left_as_it_is(accept: bytes, kind: bytes) -> None:
    headers, body, asked = answered(accept, kind, PAGE)
    assert body == PAGE
    assert headers["content-length"] == str(len(PAGE))
    assert ("accept-encoding" in asked) == (b"text/html" not in accept)
