"""The commands about this machine: what a sweep would lack on it, and a browser's view of the sweeps."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from sweeper.cli.opening import LACKS, fail, say
from sweeper.cli.options import DEFAULT_URL, AsJson, Database, Files
from trainer.errors import lacks

app = typer.Typer()


@app.command()
def doctor(
    db: Database = DEFAULT_URL,
    files: Files = None,
    start: Annotated[bool, typer.Option("--start", help="Start Ray and import torch, too.")] = False,
    json: AsJson = False,
) -> None:
    """Say what a sweep would lack on this machine, and what to do about it. Changes nothing."""
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


@app.command()
def dashboard(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8501, db: Database = DEFAULT_URL
) -> None:
    """The leaderboard in a browser, live and read-only, for this machine alone."""
    from importlib.util import find_spec

    for package in ("streamlit", "plotly", "pandas"):
        if find_spec(package) is None:
            fail(LACKS, lacks("the dashboard", package, "dashboard"), json=False)
    app_file = Path(__file__).parents[2] / "dashboard" / "app.py"
    options = {
        "server.address": "127.0.0.1",
        "server.port": port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.showErrorDetails": "none",
        "client.toolbarMode": "minimal",
    }
    flags = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    say(f"http://127.0.0.1:{port}  (from elsewhere, first: ssh -L {port}:127.0.0.1:{port} THIS_MACHINE)")
    command = [sys.executable, "-m", "streamlit", "run", str(app_file), *flags]
    os.execve(sys.executable, command, {**os.environ, "SWEEPER_DB": db})
