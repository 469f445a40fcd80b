"""The commands about this machine: what a sweep would lack on it, and a browser's view of the sweeps."""

import ipaddress
import os
import secrets
import socket
import sys
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from sweeper.cli.opening import LACKS, USAGE, fail, tell
from sweeper.cli.options import DEFAULT_URL, AsJson, Database, Files
from trainer.errors import lacks

LOOPBACK = "127.0.0.1"
SHORTEST_TOKEN = 16  # characters of one that is given

app = typer.Typer()


@app.command()
def doctor(
    db: Database = DEFAULT_URL,
    files: Files = None,
    start: Annotated[bool, typer.Option("--start", help="Start Ray and import torch, too.")] = False,
    json: AsJson = False,
) -> None:
    """Say what a sweep would lack on this machine, and what to do about it. Changes nothing.

    Example: python -m sweeper doctor --start
    """
    from sweeper.cli.doctor import examine
    from sweeper.terminal.console import print_json, print_text

    findings = []
    for each in examine(db, files, start=start):
        findings.append(each)
        if not json:
            todo = [f"{'':18} {each.todo}"] if each.todo else []
            print_text(f"{each.level:8} {each.part:9} {each.text}", *todo)
    if json:
        print_json({"findings": [each._asdict() for each in findings]})
    if any(each.level == "problem" for each in findings):
        raise typer.Exit(LACKS)


class Listening(NamedTuple):
    """Where the dashboard listens."""

    host: str
    port: int

    @property
    def on_loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def everywhere(self) -> bool:
        return self.host in ("0.0.0.0", "::")

    def url(self, token: str) -> str:
        """To be opened. token: '' where none is asked for."""
        host = socket.gethostname() if self.everywhere else self.host
        query = f"/?token={token}" if token else ""
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}{query}"

    def hosts(self, allowed: list[str]) -> list[str]:
        """Names that it is known by there, beside those of loopback. '*': any address, but no other name."""
        own = [] if self.on_loopback else [self.host, socket.gethostname()]
        return [*own, *(["*"] if self.everywhere else []), *allowed]

    def problem(self) -> str:
        """Why nothing can listen there, or ''."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((self.host, self.port))
        except (OSError, UnicodeError) as error:
            return (
                f"cannot listen on {self.host}, port {self.port}: {getattr(error, 'strerror', '') or error}"
            )
        return ""


@app.command()
def dashboard(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8501,
    db: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Where sweeps are stored; several are shown together. SWEEPER_DB."),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Beyond 127.0.0.1 a token is asked for: SWEEPER_TOKEN or a new one."
        ),
    ] = LOOPBACK,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Answer to this name, too: a proxy's.")
    ] = None,
    actions: Annotated[
        bool, typer.Option("--actions", help="Let the page stop, pause and extend sweeps; asks for a token.")
    ] = False,
) -> None:
    """The leaderboard in a browser, live, for this machine alone, and read-only unless --actions is said.

    Example: python -m sweeper dashboard --port 8502
    """
    from importlib.util import find_spec

    for package in ("streamlit", "plotly", "pandas"):
        if find_spec(package) is None:
            fail(LACKS, lacks("the dashboard", package, "dashboard"), json=False)
    listening = Listening(host, port)
    given = os.environ.get("SWEEPER_TOKEN", "")
    if given and (len(given) < SHORTEST_TOKEN or not given.isascii() or not given.isprintable()):
        fail(USAGE, f"SWEEPER_TOKEN is no token: it has {SHORTEST_TOKEN} or more printable characters", False)
    if bad := [each for each in db or [] if "\n" in each]:
        fail(USAGE, f"{bad[0]!r} is no database URL: it has two lines", False)
    if bad := [each for each in allow_host or [] if not each or set(each) & set(" \t\n/:@*")]:
        fail(USAGE, f"{bad[0]!r} is no host's name: say it without a port, as in sweeps.example.org", False)
    if problem := listening.problem():
        fail(LACKS, problem, False)
    asks = actions or not listening.on_loopback
    token = given or (secrets.token_urlsafe(32) if asks else "")
    options = {
        "server.address": host,
        "server.port": port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "server.allowedHosts": "*",  # dashboard/doors.py looks, at pages, too
        "browser.gatherUsageStats": "false",
        "client.showErrorDetails": "none",
        "client.toolbarMode": "minimal",
        "logger.hideWelcomeMessage": "true",  # which asks another site for this machine's address
    }
    flags = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    tunnel = f"  (from elsewhere, first: ssh -L {port}:127.0.0.1:{port} THIS_MACHINE)"
    tell(f"{listening.url('$SWEEPER_TOKEN' if given else token)}{tunnel if listening.on_loopback else ''}")
    app_file = Path(__file__).parents[2] / "dashboard" / "serve.py"
    command = [sys.executable, "-m", "streamlit", "run", str(app_file), *flags]
    environment = {
        "SWEEPER_DB": "\n".join(db) if db else os.environ.get("SWEEPER_DB", DEFAULT_URL),
        "SWEEPER_TOKEN": token,
        "SWEEPER_ALLOW_HOSTS": "\n".join(listening.hosts(allow_host or [])),
        "SWEEPER_ACTIONS": "yes" if actions else "",
    }
    os.execve(sys.executable, command, {**os.environ, **environment})
