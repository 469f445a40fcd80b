"""python -m benchmarks.pictures [--db URL] [--out FOLDER]: leaderboard.png, README's picture.

The dashboard's first page, of the newest sweep of a store, as a Chromium shows it that playwright starts:
`make run`, then this. Nothing is trained, and nothing in the store is changed.
"""

import argparse
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import dashboard
from benchmarks.document import DOCS
from benchmarks.drawing import FLAGS, found
from sweeper.store.queries import Reader

WIDTH, HEIGHT = 1440, 1180  # pixels
PATIENCE = 60.0  # seconds until a page must be there


@contextmanager
def shown(url: str) -> Iterator[str]:
    """The address of a dashboard over this store."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = Path(dashboard.__file__).parent / "app.py"
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(app), "--server.port", str(port)],
        env={**os.environ, "SWEEPER_DB": url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(server, f"http://127.0.0.1:{port}/_stcore/health")
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(20)


def _wait(server: "subprocess.Popen[bytes]", health: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            urllib.request.urlopen(health, timeout=5).close()
            return
        except urllib.error.URLError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the dashboard did not start") from None
            time.sleep(0.1)


def picture(address: str, path: Path) -> Path:
    """Of the leaderboard that a dashboard begins with."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found(), args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(address)
        page.get_by_role("heading", name="Leaderboard").wait_for()
        page.locator("[data-testid=stDataFrame] canvas").first.wait_for()
        page.locator("[data-testid=stPlotlyChart] .js-plotly-plot").first.wait_for()
        page.wait_for_timeout(1000)  # what is painted on a canvas says nothing of when it is done
        page.screenshot(path=path)
        browser.close()
    return path


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--db", default="sqlite:///sweeps.db")
    given.add_argument("--out", type=Path, default=DOCS)
    said = given.parse_args()
    with closing(Reader(said.db)) as reader:
        if not reader.sweeps():
            raise SystemExit("no sweep has been run yet in this database")
    with shown(said.db) as address:
        print(picture(address, said.out / "leaderboard.png"))


if __name__ == "__main__":
    main()
