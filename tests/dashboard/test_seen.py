"""Every page as a browser shows it, light and dark: words that can be read, words for who cannot see, and
nothing to complain of; and a table that stays as it was sorted and scrolled."""

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.drawing import FLAGS, found
from dashboard.columns import FIELDS
from tests.dashboard.test_browser import free_port
from tests.sweeper.filled import fill
from tests.sweeper.processes import launch

pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e .[dev]")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(found() is None, reason="no Chromium on this machine: apt-get install chromium"),
]
PALE = (Path(__file__).parent / "contrast.js").read_text()
SECTIONS = ("History", "Importance", "Slices", "Two parameters", "Parallel", "Pruning", "Distribution")
PAGES = (
    *("", "leaderboard?rows=1,2&pinned=1", "sweeps", "compare?rows=1,2", "curves?rows=1,2"),
    *(
        "trial?trial_defaults=true",
        "schedules?rows=1,2&what_if=true",
        "stages",
        "report",
        "cluster",
        "metrics",
    ),
    *(f"search?section={each}".replace(" ", "+") for each in (*SECTIONS, "Workers", "Pareto")),
)
COLUMNS = (  # more than fit
    *("rank", "standing", "val_ppl", "interval", "above", "above_margin", "p_best", "p_within", "regret"),
    *("difference", "margin", "rank_low", "rank_high", "state", "step", "note"),
)
NAMELESS = """() => [...document.querySelectorAll("[data-testid=stPlotlyChart], [data-testid=stDataFrame]")]
  .filter((each) => !each.closest("[aria-label]") && !each.querySelector("[aria-label]")).length"""
PLACE = (
    "() => (({scrollLeft, scrollTop}) => [scrollLeft, scrollTop])(document.querySelector('.dvn-scroller'))"
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a dashboard as the command starts it."""
    url, port = f"sqlite:///{tmp_path_factory.mktemp('store')}/sweeps.db", free_port()
    fill(url)
    server = launch("sweeper", "dashboard", "--db", url, "--port", str(port))
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except OSError:
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.communicate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=[("light", 1280), ("dark", 1920)], ids=["light", "dark"])
def window(request: pytest.FixtureRequest, browser: Any) -> Iterator[Any]:
    scheme, width = request.param
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 3000})
    context.set_default_timeout(120_000)
    yield context
    context.close()


def is_drawn(page: Any, heading: str = "") -> None:
    page.locator("[data-testid=stMain] :is(h2, h3)").filter(has_text=heading).first.wait_for()
    page.wait_for_function("() => !document.querySelector('[data-testid=stSkeleton]')")
    page.locator("[data-testid=stStatusWidget]").wait_for(state="detached")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_can_be_read_and_complains_of_nothing(path: str, window: Any, address: str) -> None:
    page, wrong = window.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    own = (address, "data:", "blob:")
    page.on("request", lambda asked: None if asked.url.startswith(own) else wrong.append(asked.url))
    page.goto(address + path)
    is_drawn(page)
    assert page.evaluate(PALE) == []
    assert page.evaluate(NAMELESS) == 0
    assert page.locator("[data-testid=stException]").count() == 0
    assert wrong == []
    page.close()


def test_a_table_stays_as_it_was_sorted_and_scrolled(browser: Any, address: str) -> None:
    """Over a change of page, a reload, and in another browser that opens the address."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(120_000)
    page.goto(f"{address}leaderboard?columns={','.join(COLUMNS)}")
    is_drawn(page, "Leaderboard")
    heads = page.locator("[data-testid=stDataFrame]").first.locator("canvas [role=row]").nth(0)
    sort_by_head(page, "val_ppl")
    page.wait_for_url(re.compile("[?&]sort=val_ppl"))
    heads.get_by_text("▲ val_ppl").wait_for(state="attached")
    sort_by_head(page, "▲ val_ppl")
    page.wait_for_url(re.compile("[?&]descending=true"))
    heads.get_by_text("▼ val_ppl").wait_for(state="attached")
    page.evaluate("document.querySelector('.dvn-scroller').scrollTo(120, 70)")
    page.wait_for_url(re.compile("[?&]scroll="))
    place = page.evaluate(PLACE)
    assert place != [0, 0]

    def is_as_it_was(page: Any) -> None:
        is_drawn(page, "Leaderboard")
        page.wait_for_function(f"() => String(({PLACE})()) === '{place[0]},{place[1]}'")
        assert re.search("[?&]sort=val_ppl&descending=true", page.url)

    page.get_by_role("link", name="Metrics").click()
    is_drawn(page, "Metrics")
    page.get_by_role("link", name="Leaderboard").click()
    is_as_it_was(page)
    page.reload()
    is_as_it_was(page)
    another = browser.new_page(viewport={"width": 1280, "height": 1000})
    another.goto(page.url)
    is_as_it_was(another)


def sort_by_head(page: Any, title: str) -> None:
    """A click on it, right of the columns before it, whose widths the page names."""
    grid = page.locator("[data-testid=stDataFrame]").first
    grid.scroll_into_view_if_needed()
    grid.locator("canvas [role=columnheader]").get_by_text(title, exact=True).wait_for(state="attached")
    box = grid.bounding_box()
    titles = grid.locator("canvas [role=columnheader]").all_inner_texts()
    left = 34 + sum(FIELDS[each].width for each in titles[: titles.index(title)])
    page.mouse.click(box["x"] + left + 20, box["y"] + 17)
