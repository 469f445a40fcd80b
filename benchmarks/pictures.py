"""python -m benchmarks.pictures [--db URL] [--out FOLDER]: docs/pictures, as docs/dashboard.md shows them.

Every page of the dashboard, of the newest sweep of a store, as a Chromium shows it that playwright starts:
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
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, NamedTuple

from PIL import Image

import dashboard
from benchmarks.document import DOCS
from benchmarks.drawing import FLAGS, found
from sweeper.results.leaderboard import leaderboard
from sweeper.store.queries import Reader

WIDTH, HEIGHT = 1280, 900  # pixels
PATIENCE = 60.0  # seconds until a page must be there
DRAWN = "[data-testid=stPlotlyChart] .js-plotly-plot, [data-testid=stDataFrame] canvas, [data-testid=stCode]"
COLOURS = 128  # of a picture's palette: a page is drawn in few, and a file of few is small
ROWS = "{rows}"  # in an address: the first three configurations of the board
NOT_RUN = "what_if=true&if_clip=0.4&if_clip=0.9&if_reweighting=edm"


class Picture(NamedTuple):
    """A page as its address has it."""

    name: str  # of the file
    path: str
    heading: str  # is there when the page is
    scheme: Literal["light", "dark"] = "light"
    height: int = HEIGHT


PICTURES = (
    Picture("answer", "", "Answer"),
    Picture("answer-dark", "", "Answer", "dark"),
    Picture("leaderboard", "leaderboard", "Leaderboard"),
    Picture("leaderboard-dark", "leaderboard", "Leaderboard", "dark"),
    Picture("compare", f"compare?rows={ROWS}", "Compare"),
    Picture("curves", f"curves?rows={ROWS}", "Curves"),
    Picture("trial", "trial", "Trial", height=760),  # below are folders of a machine
    Picture("search-history", "search", "Search"),
    Picture("search-slices", "search?section=Slices", "Search"),
    Picture("schedules", f"schedules?rows={ROWS}&{NOT_RUN}", "Schedules", height=1920),
    Picture("stages", "stages", "Stages"),
    Picture("cluster", "cluster", "Cluster", height=620),
    Picture("sweeps", "sweeps", "Sweeps", height=300),
)


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


def take(browser: Any, address: str, picture: Picture, rows: str, folder: Path) -> Path:
    """One picture, in a session of its own. rows: as they stand in an address."""
    page = browser.new_page(viewport={"width": WIDTH, "height": picture.height}, color_scheme=picture.scheme)
    page.set_default_timeout(1000 * PATIENCE)
    page.goto(address + picture.path.replace(ROWS, rows))
    page.get_by_role("heading", name=picture.heading, exact=True).wait_for()
    main = page.locator("[data-testid=stMain]")
    main.locator(DRAWN).filter(visible=True).first.wait_for()
    page.locator("[data-testid=stStatusWidget]").wait_for(state="detached")
    for table in main.locator("[data-testid=stDataFrame]").all():
        table.locator("canvas").first.wait_for()
    page.wait_for_timeout(2500)  # what is painted on a canvas says nothing of when it is done
    path = folder / f"{picture.name}.png"
    small(page.screenshot()).save(path, optimize=True)
    page.close()
    return path


def small(png: bytes) -> Image.Image:
    """In a palette of its own colours."""
    return Image.open(BytesIO(png)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)


def take_all(url: str, folder: Path, only: str = "") -> Iterator[Path]:
    """Every picture of the newest sweep. only: those whose name has this word."""
    from playwright.sync_api import sync_playwright

    with closing(Reader(url)) as reader:
        sweeps = reader.sweeps()
        if not sweeps:
            raise SystemExit("no sweep has been run yet in this database")
        board = leaderboard(reader, sweeps[-1].name)
    rows = ",".join(str(row.configuration) for row in board.rows[:3])
    folder.mkdir(parents=True, exist_ok=True)
    with shown(url) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found(), args=FLAGS)
        for picture in PICTURES:
            if only in picture.name:
                yield take(browser, address, picture, rows, folder)
        browser.close()


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--db", default="sqlite:///sweeps.db")
    given.add_argument("--out", type=Path, default=DOCS / "pictures")
    given.add_argument("--only", default="", help="A word in the names of those to be made.")
    said = given.parse_args()
    for path in take_all(said.db, said.out, said.only):
        print(path)


if __name__ == "__main__":
    main()
