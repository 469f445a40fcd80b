"""A real Streamlit process seen by a real browser, while another process writes to the store."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import dashboard
from tests.sweeper.filled import fill

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install -e .[dev]"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"
)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
HOSTILE = "<img src=x onerror=alert(1)>"
LOOPBACK = "0100007F"  # as /proc/net/tcp prints 127.0.0.1

# Run by another process: ends the trial that runs, with a value below all others.
WRITE = """
import math, sys
from sweeper.store.queries import Reader
from sweeper.store.records import MetricRow
from sweeper.store.store import Store
from tests.sweeper.filled import HOLDER, STEPS, evaluation
url = sys.argv[1]
trial = next(each for each in Reader(url).trials(1) if each.state == "running")
found = evaluation("valid", STEPS, 5.2, block_size=4, seed=0, noise="new")
rows = [MetricRow("val_nelbo", STEPS, found.nelbo), MetricRow("val_ppl", STEPS, math.exp(found.nelbo))]
writer = Store(url).writer(1, HOLDER)
assert writer.add_rows(trial.id, trial.attempt, rows, [found])
assert writer.end_trial(trial.id, trial.attempt, "complete")
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/sweeps.db"


@pytest.fixture(scope="module")
def port(url: str) -> Iterator[int]:
    """A dashboard, started before there is any store, with no flags: its own config.toml makes it safe."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(Path(dashboard.__file__).parent / "app.py")]
    server = subprocess.Popen(
        [*command, "--server.port", str(port)],
        env={**os.environ, "SWEEPER_DB": url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5)
                break
            except OSError:
                assert server.poll() is None, "the dashboard ended at its start"
                assert time.monotonic() < deadline, "the dashboard did not start within a minute"
                time.sleep(0.1)
        yield port
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


@pytest.fixture(scope="module")
def page(port: int) -> Iterator["sync_api.Page"]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.set_default_timeout(60_000)
        sync_api.expect.set_options(timeout=60_000)
        yield page
        browser.close()


def rows(page: "sync_api.Page") -> "sync_api.Locator":
    """The table's rows: Streamlit paints them, and keeps a copy as text for screen readers."""
    return page.locator("[data-testid=stDataFrame]").first.locator("canvas [role=row]")


def tick(page: "sync_api.Page", *places: int) -> None:
    """The boxes of the table's rows, from 1; waits until the page knows."""
    canvas = page.locator("[data-testid=stDataFrame] canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    before = len(chosen(page))
    for count, place in enumerate(places, start=before + 1):
        page.mouse.click(box["x"] + 18, box["y"] + 35 * (place + 0.5))
        page.get_by_text(f"{count} selected").wait_for()


def chosen(page: "sync_api.Page") -> list[str]:
    """Of the address: configurations."""
    found = urllib.parse.parse_qs(urllib.parse.urlparse(page.url).query)
    return found["rows"][0].split(",") if "rows" in found else []


def test_a_sweep_is_followed_from_the_start(page: "sync_api.Page", port: int, url: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))

    page.goto(f"http://127.0.0.1:{port}/leaderboard")
    page.get_by_text("No sweep yet").wait_for()

    fill(url, HOSTILE)
    page.get_by_role("heading", name="Leaderboard").wait_for()  # by itself: nothing is reloaded
    page.get_by_text("10 of 12").wait_for()
    sync_api.expect(rows(page).filter(has_text="running")).to_have_count(1)
    sync_api.expect(rows(page).nth(1)).not_to_contain_text("cosine")

    subprocess.run([sys.executable, "-c", WRITE, url], check=True, timeout=60)
    page.get_by_text("11 of 12").wait_for()
    sync_api.expect(rows(page).nth(1)).to_contain_text("cosine")  # what the other process ended is first now
    sync_api.expect(rows(page).filter(has_text="running")).to_have_count(0)

    tick(page, 1)
    page.get_by_role("heading", name=re.compile(r"Configuration \d+")).wait_for()
    page.locator("[data-testid=stPlotlyChart] .js-plotly-plot").first.wait_for()

    assert page.get_by_text(HOSTILE).filter(visible=True).first.is_visible()
    assert page.locator("img[src=x]").count() == 0
    assert not dialogs
    elsewhere = [
        each for each in asked if not each.startswith((f"http://127.0.0.1:{port}/", "data:", "blob:"))
    ]
    assert not elsewhere, f"the page asked another site: {elsewhere}"


@pytest.mark.long
def test_what_a_person_chose_outlives_other_pages_and_a_reload(
    page: "sync_api.Page", port: int, url: str
) -> None:
    """Three rows, the pinned one, a filter, the order and the columns."""
    address = f"http://127.0.0.1:{port}/leaderboard?sort=val_ppl&descending=true&where=val_ppl+>+0&columns=rank,val_ppl,seeds"
    page.goto(address)
    page.get_by_role("heading", name="Leaderboard").wait_for()
    rows(page).nth(3).wait_for(state="attached")
    tick(page, 1)
    page.get_by_role("button", name="Pin", exact=True).click()
    pinned = f"Unpin no. {chosen(page)[0]}"
    page.get_by_role("button", name=pinned).wait_for()
    tick(page, 3, 4)
    three = chosen(page)
    assert len(three) == 3

    def everything_is_kept(page: "sync_api.Page" = page) -> None:
        page.get_by_role("heading", name="Leaderboard").wait_for()
        page.get_by_text("3 selected").wait_for()
        page.get_by_role("button", name=pinned).wait_for()
        sync_api.expect(page.get_by_role("textbox", name="Filter")).to_have_value("val_ppl > 0")
        sync_api.expect(rows(page).nth(0)).to_have_text("rank▼ val_pplseeds")
        assert chosen(page) == three
        values = [
            float(cell) for cell in rows(page).locator("[role=gridcell]:nth-child(2)").all_inner_texts()
        ]
        assert values == sorted(values, reverse=True)

    everything_is_kept()
    links = page.locator("[data-testid=stMain]").get_by_role("link")
    links.filter(has_text="Compare").click()
    page.get_by_role("heading", name="Paired differences").wait_for()
    for each in three:
        page.get_by_text(f"no. {each}:").first.wait_for()
    links.filter(has_text="Back to the leaderboard").click()
    everything_is_kept()
    page.reload()
    everything_is_kept()
    links.filter(has_text="Curves").click()
    page.get_by_role("heading", name="Curves").wait_for()
    page.get_by_role("link", name="Leaderboard").click()
    everything_is_kept()
    browser = page.context.browser
    assert browser is not None
    another = browser.new_context().new_page()  # of somebody to whom the link was sent
    another.set_default_timeout(60_000)
    another.goto(page.url)
    everything_is_kept(another)
    another.context.close()
    assert page.locator("[data-testid=stException]").count() == 0


@pytest.mark.long
@pytest.mark.parametrize(
    "path", ["sweeps", "compare", "curves", "search", "schedules", "stages", "report", "cluster", "metrics"]
)
def test_every_page_is_drawn_without_an_error(path: str, page: "sync_api.Page", port: int, url: str) -> None:
    page.goto(f"http://127.0.0.1:{port}/{path}")
    page.get_by_role("heading", name=path.capitalize()).first.wait_for()
    drawn = "[data-testid=stPlotlyChart] .js-plotly-plot, [data-testid=stDataFrame] canvas"
    page.locator(f"[data-testid=stMain] :is({drawn}, [data-testid=stCode])").first.wait_for()
    assert page.locator("[data-testid=stException]").count() == 0


@pytest.mark.long
def test_a_store_that_is_moved_away_is_waited_for(page: "sync_api.Page", port: int, url: str) -> None:
    page.goto(f"http://127.0.0.1:{port}/leaderboard")
    rows(page).nth(3).wait_for(state="attached")
    place = Path(url.removeprefix("sqlite:///")).parent
    place.rename(place.with_name("elsewhere"))
    try:
        page.get_by_text("The store cannot be read now").first.wait_for()
        assert page.locator("[data-testid=stException]").count() == 0
    finally:
        place.with_name("elsewhere").rename(place)
    sync_api.expect(page.get_by_text("The store cannot be read now")).to_have_count(0)
    rows(page).nth(3).wait_for(state="attached")  # by itself: nothing is reloaded


@pytest.mark.skipif(
    not Path("/proc/net/tcp").exists(), reason="only Linux lists its sockets in /proc/net/tcp"
)
def test_only_loopback_listens(port: int) -> None:
    listening = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:] if Path(table).exists() else []:
            address, state = line.split()[1], line.split()[3]
            host, _, number = address.partition(":")
            if state == "0A" and int(number, 16) == port:
                listening.append(host)
    assert listening == [LOOPBACK]
