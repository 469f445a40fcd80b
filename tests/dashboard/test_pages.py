"""Every page in a real browser, light and dark, on a small and a large screen: nothing goes wrong unseen."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.drawing import FLAGS, found
from benchmarks.pictures import DRAWN, shown
from tests.sweeper.filled import fill

pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e .[dev]")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(found() is None, reason="no Chromium on this machine: apt-get install chromium"),
]
FOLDER = Path(__file__).parents[2] / "dashboard" / "views"
PATHS = sorted(each.stem for each in FOLDER.glob("*.py") if each.stem not in ("__init__", "answer"))
# Streamlit's page does not know under which path it is served: below the root it asks there first, is told
# 404, and asks at the root. Nothing else may fail.
ASKED_TWICE = re.compile(r"/_stcore/(health|host-config)$")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    url = f"sqlite:///{tmp_path_factory.mktemp('store')}/s.db"
    fill(url)
    with shown(url) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found(), args=FLAGS)
        yield browser
        browser.close()


@pytest.mark.parametrize("path", ["", *PATHS])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_drawn_quietly(path: str, scheme: Any, browser: Any, address: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 1000}, color_scheme=scheme)
    page.set_default_timeout(60_000)
    wrong: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if about(said) else None)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address + path)
    main = page.locator("[data-testid=stMain]")
    main.locator(DRAWN).filter(visible=True).first.wait_for()
    for width in (1280, 1920):
        page.set_viewport_size({"width": width, "height": 1000})
        page.locator("[data-testid=stStatusWidget]").wait_for(state="detached")
        page.wait_for_timeout(500)
        assert page.locator("[data-testid=stException]").count() == 0
        assert main.evaluate("main => main.scrollWidth - main.clientWidth") <= 1  # nothing is cut at the side

    assert not wrong
    assert not [each for each in asked if not each.startswith((address, "data:", "blob:"))]
    charts = main.locator("[data-testid=stPlotlyChart]")
    assert all(charts.nth(place).get_attribute("aria-label") for place in range(charts.count()))
    tables = main.locator("[data-testid=stDataFrame]")
    named = tables.filter(has=page.locator("[role=region][aria-label]"))
    assert named.count() == tables.count()
    ground = page.locator("[data-testid=stApp]").evaluate("app => getComputedStyle(app).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) > 384) == (scheme == "light")
    page.close()


def about(said: Any) -> bool:
    """Whether a line of the console is one to be read."""
    return said.type == "error" and not ASKED_TWICE.search(said.location["url"])
