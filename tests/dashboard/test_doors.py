"""Who comes in: by rule, and at a dashboard that listens, over sockets of our own making."""

import asyncio
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from dashboard.doors import ACTIONS, HOSTS, TOKEN, Doors, Guard, actions_allowed
from tests.sweeper.filled import fill
from tests.sweeper.processes import launch, wait_for

SECRET = "a-token-of-nobody-at-all"
HERE = (b"host", b"127.0.0.1:8501")


@pytest.fixture(autouse=True)
def unsaid(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (TOKEN, HOSTS, ACTIONS):
        monkeypatch.delenv(name, raising=False)


def answer(
    *headers: tuple[bytes, bytes], path: str = "/", query: str = "", kind: str = "http"
) -> tuple[int, dict[str, str]]:
    """(status, headers) of one request; 200 and what the app was given where it was let in."""
    sent: list[Any] = []
    seen: dict[str, str] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update({name.decode(): value.decode() for name, value in scope["headers"]})
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {
        "type": kind, "method": "GET", "path": path, "query_string": query.encode(),
        "headers": list(headers), "scheme": "http", "server": ("127.0.0.1", 8501),
    }  # fmt: skip
    asyncio.run(Guard(app)(scope, receive, send))
    first = sent[0]
    if first["type"] == "websocket.close":
        return 403, {}
    said = {name.decode(): value.decode() for name, value in first["headers"]}
    return first["status"], seen if seen and kind == "websocket" else said


@pytest.mark.parametrize("host", ["127.0.0.1:8501", "localhost", "LOCALHOST:1", "[::1]:8501", "localhost."])
def test_it_is_known_by_the_names_of_loopback(host: str) -> None:
    assert answer((b"host", host.encode()))[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8501", "127.0.0.1.evil.example", "localhost@evil.example"),
        *("", "192.168.1.9:8501", "[::1", "*", "localhost/evil.example", "127.0.0.1:8501, evil.example"),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_it_is_known_by_no_other(host: str, kind: str) -> None:
    assert answer((b"host", host.encode()), kind=kind)[0] == (421 if kind == "http" else 403)


def test_one_host_is_said() -> None:
    assert answer()[0] == 421
    assert answer(HERE, (b"host", b"localhost"))[0] == 421


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("origin", "own"),
    [
        ("http://127.0.0.1:8501", True),
        ("http://evil.example", False),
        ("null", False),
        ("", False),
        ("http://127.0.0.1:9999", False),  # somebody else's page on this machine
        ("http://localhost:9999", False),
        ("http://[::1", False),
    ],
)
def test_another_sites_page_is_not_answered(origin: str, own: bool, kind: str) -> None:
    status, seen = answer(HERE, (b"origin", origin.encode()), kind=kind)
    assert status == (200 if own else 403)
    assert "origin" not in seen or kind == "http"  # Streamlit would ask another site what its address is


def test_a_proxys_name_is_made_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOSTS, "sweeps.example.org\nBOX")
    assert answer((b"host", b"sweeps.example.org"), (b"origin", b"https://sweeps.example.org"))[0] == 200
    assert answer(HERE, (b"origin", b"https://sweeps.example.org"))[0] == 200  # it names us by our address
    assert answer((b"host", b"box:8501"))[0] == 200
    assert answer((b"host", b"other.example.org"))[0] == 421


def test_every_address_but_no_name_is_known_where_it_listens_everywhere() -> None:
    everywhere = Doors(("*",), "")
    assert everywhere.knows("192.168.1.9:8501")
    assert everywhere.knows("[fe80::1]:8501")
    assert not everywhere.knows("evil.example")
    assert not everywhere.knows("*")


def test_the_token_is_brought_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SECRET)
    for kind in ("http", "websocket"):
        assert answer(HERE, kind=kind)[0] == 403
        assert answer(HERE, kind=kind, query=f"token={SECRET}x")[0] == 403
        assert answer(HERE, (b"cookie", b"sweeper-x=" + SECRET.encode()), kind=kind)[0] == 403
    status, said = answer(HERE, path="//evil.example/curves", query=f"sweep=a+b&token={SECRET}&rows=1")
    assert (status, said["location"]) == (303, "/evil.example/curves?sweep=a+b&rows=1")
    cookie = said["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    brought = (b"cookie", cookie.partition(";")[0].encode())
    for kind in ("http", "websocket"):
        assert answer(HERE, brought, kind=kind)[0] == 200
        assert answer((b"host", b"evil.example"), brought, kind=kind)[0] in (403, 421)


def test_actions_take_the_option_and_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ACTIONS, "yes")
    assert not actions_allowed({})  # nobody was asked for a token
    monkeypatch.setenv(TOKEN, SECRET)
    brought = {Doors((), SECRET).cookie: SECRET}
    assert actions_allowed(brought)
    assert not actions_allowed({})
    monkeypatch.delenv(ACTIONS)
    assert not actions_allowed(brought)


# --- a dashboard that listens -------------------------------------------------------------------
@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    """(port, token) of one that is started with --actions, of a store whose path has a space."""
    folder = tmp_path_factory.mktemp("my sweeps")
    url = f"sqlite:///{folder}/s.db"
    fill(url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = launch("sweeper", "dashboard", "--port", str(port), "--db", url, "--actions", SWEEPER_TOKEN="")
    try:
        wait_for(lambda: _listens(port), server)
        assert server.stdout is not None
        found = re.search(r"\?token=(\S+)", server.stdout.readline())
        assert found is not None
        yield port, found[1]
    finally:
        server.terminate()
        server.communicate(timeout=30)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def ask(port: int, path: str, *headers: str, host: str = "", upgrade: bool = False) -> tuple[int, str, str]:
    """(status, headers, body) of one request as it is written here."""
    more = ["Connection: close"]
    if upgrade:
        more = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
        more.append("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    lines = [f"GET {path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{port}'}", *more, *headers]
    with socket.create_connection(("127.0.0.1", port), 60) as there:
        there.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        got = b""
        while chunk := there.recv(65536):
            got += chunk
            if upgrade and b"\r\n\r\n" in got:
                break
    head, _, body = got.decode(errors="replace").partition("\r\n\r\n")
    return int(head.split()[1]), head, body


PATHS = ("/", "/curves", "/_stcore/health", "/_stcore/host-config", "/media/x", "/static/js/index.js")


@pytest.mark.long
def test_no_path_answers_a_stranger(served: tuple[int, str]) -> None:
    port, token = served
    _, head, _ = ask(port, f"/?token={token}&sweep=schedules")
    cookie = re.search(r"(?im)^set-cookie: (sweeper-[^;]+)", head)
    assert cookie is not None
    assert re.search(r"(?im)^location: /\?sweep=schedules\s*$", head)
    brought = f"Cookie: {cookie[1]}"
    stream, own = "/_stcore/stream", f"Origin: http://127.0.0.1:{port}"
    assert ask(port, "/_stcore/health", brought)[0] == 200
    assert "frame-options" in ask(port, "/", brought)[1].lower()
    assert ask(port, stream, brought, own, upgrade=True)[0] == 101
    for path in PATHS:
        assert ask(port, path)[::2] == (403, ask(port, "/")[2])
        assert ask(port, path, brought, host="evil.example")[0] == 421
        assert ask(port, path, brought, "Origin: http://evil.example")[0] == 403
        assert ask(port, path, "Cookie: " + cookie[1][:-1])[0] == 403
    assert ask(port, "/")[2].count("\n") == 0  # a sentence, and nothing else
    assert ask(port, stream, own, upgrade=True)[0] == 403
    assert ask(port, stream, brought, own, host="evil.example", upgrade=True)[0] == 403
    assert ask(port, stream, brought, "Origin: http://evil.example", upgrade=True)[0] == 403
