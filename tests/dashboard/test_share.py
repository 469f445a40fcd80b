"""The page to give away: all of a sweep is in it, what is stored stays text, and it fetches nothing."""

import base64
import hashlib
import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from plotly.offline import get_plotlyjs
from typer.testing import CliRunner

from dashboard.share.markup import Column, board
from sweeper.cli.main import app
from sweeper.results.leaderboard import Board, leaderboard
from sweeper.store.queries import Reader
from tests.sweeper import filled
from tests.test_architecture import IMPORTS, MODULES

HOSTILE = "</script></pre>'\"><img src=x onerror=alert(1)><!--<script>alert(2)</script>"
LARGEST = 8_000_000  # bytes
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECTIONS = ["answer", "board", "curves", "values", "schedules", "method", "again", "specification"]


class Script(NamedTuple):
    attributes: dict[str, str | None]
    text: str


class Read(HTMLParser):
    """Elements with their attributes, the scripts, and the text that stands outside of scripts and styles."""

    def __init__(self, page: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[Script] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style") else ""
        if tag == "script":
            self.scripts.append(Script(dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] = self.scripts[-1]._replace(text=self.scripts[-1].text + data)
        elif not self._inside:
            self.words.append(data)

    @property
    def ran(self) -> list[str]:
        return [each.text for each in self.scripts if each.attributes.get("type") != "application/json"]

    @property
    def stored(self) -> dict[str, Any]:
        """JSON by the element's id."""
        found = [each for each in self.scripts if each.attributes.get("type") == "application/json"]
        return {each.attributes["id"] or "": json.loads(each.text) for each in found}

    @property
    def text(self) -> str:
        return "".join(self.words)


def shared(url: str, folder: Path, name: str = "schedules") -> str:
    out = folder / "page.html"
    result = CliRunner().invoke(app, ["share", name, "--out", str(out), "--db", url], catch_exceptions=False)
    assert (result.exit_code, result.stdout) == (0, f"{out}\n"), result.stderr
    return out.read_text(encoding="utf-8")


def fill_hostile(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep's name, a value's name, a value, and the specification are all hostile."""
    monkeypatch.setattr(filled, "SEARCH", [*filled.SEARCH, ({HOSTILE: HOSTILE}, 5.3, "complete")])
    filled.fill(url, HOSTILE, finished=True)


@pytest.fixture(scope="module")
def filled_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('store')}/sweeps.db"
    filled.fill(url)
    return url


@pytest.fixture(scope="module")
def page(filled_url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    return shared(filled_url, tmp_path_factory.mktemp("page"))


def test_all_of_a_sweep_is_there(page: str, filled_url: str) -> None:
    read, reader = Read(page), Reader(filled_url)
    found, sweep = leaderboard(reader, "schedules"), reader.sweep("schedules")
    reader.close()
    assert sweep is not None
    assert [each["id"] for tag, each in read.elements if tag == "section"] == SECTIONS
    for line in (*found.said, "rank: the places that a row may have", sweep.spec_text, "Python 3."):
        assert line in read.text
    # A row has what the terminal has of it.
    terminal = CliRunner().invoke(app, ["leaderboard", "schedules", "--db", filled_url]).stdout
    heads = re.findall(r'<button type="button">(.*?)</button>', page.replace("<wbr>", ""))
    assert heads[1:] == re.split(
        r"  +", next(line for line in terminal.splitlines() if "val_ppl " in line).strip()
    )
    assert page.count("<tr>") + page.count('<tr class="unranked">') > len(found.rows)
    for passport in (
        "Evaluation on valid: ranked",
        "Evaluation on test: read once",
        "pydocs 3.11",
        "enumerated",
    ):
        assert passport in read.text
    assert "python -m sweeper run schedules.yaml" in read.text
    assert re.search(r"The first row's trial \d+ ", read.text)
    assert sweep.code_version in read.text


def test_every_figure_has_its_words(page: str) -> None:
    read = Read(page)
    figures = [each for _, each in read.elements if "data-figure" in each]
    assert {each["data-figure"] for each in figures} == {*read.stored} - {"config"}
    kinds = Counter((each["data-figure"] or "").partition("-")[0] for each in figures)
    assert kinds.pop("value") >= 3  # as many as were searched
    assert kinds == {"answer": 2, "curve": 3, "schedule": 1, "panel": 4}
    for each in figures:
        assert each["role"] == "img"
        assert len(each["aria-label"] or "") > 40
        drawn = read.stored[each["data-figure"] or ""]
        assert drawn["data"]
        assert not drawn["layout"].get("template")  # that of the page decides ground and words


def test_no_curve_has_more_points_than_it_may(page: str) -> None:
    curves = {name: each for name, each in Read(page).stored.items() if name.startswith("curve")}
    assert curves
    for each in curves.values():
        for line in each["data"]:
            width = {"f8": 8, "i2": 2, "i4": 4}[line["x"]["dtype"]]
            assert 1 < len(base64.b64decode(line["x"]["bdata"])) // width <= 500


def test_nothing_comes_from_elsewhere(page: str) -> None:
    assert page.count(get_plotlyjs()) == 1
    own = page.replace(get_plotlyjs(), "")
    assert not re.search(r"""(?:src|srcset|action)\s*=|@import|url\(""", own)
    assert set(re.findall(r'href\s*=\s*"(.)', own)) == {"#"}
    # And a browser is told to fetch nothing, and to run these scripts alone.
    policy = next(each["content"] for tag, each in Read(page).elements if "http-equiv" in each) or ""
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    for script in Read(page).ran:
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy


def test_what_is_stored_stays_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/sweeps.db"
    fill_hostile(url, monkeypatch)
    read = Read(shared(url, tmp_path, HOSTILE))
    assert read.text.count(HOSTILE) > 5  # title, heading, column, cell, specification
    assert not [each for each in read.elements if each[0] == "img"]
    assert not [each for _, each in read.elements if any(name.startswith("on") for name in each)]
    assert len(read.ran) == 2
    assert not [script for script in read.ran if "alert(" in script.replace(get_plotlyjs(), "")]
    assert "&lt;img src=x" in json.dumps(read.stored)  # Plotly reads markup: there it is escaped


def test_what_a_cell_is_sorted_by() -> None:
    keys = [2.5, float("inf"), float("nan"), None, True, [7, 19], [], "cosine"]
    table = board([Column("x", ["cell"] * len(keys), keys)], [True] * len(keys))
    assert re.findall(r'data-key="(.*?)"', table) == ["2.5", "Infinity", "", "", "1", "7", "", "cosine"]


def test_a_large_board_is_cut_and_says_so(
    filled_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def large(reader: Reader, name: str) -> Board:
        found = leaderboard(reader, name)
        first = found.rows[0]
        more = [first._replace(configuration=1000 + i, trials=[]) for i in range(700)]
        return found._replace(rows=[*found.rows, *more])

    monkeypatch.setattr("sweeper.results.leaderboard.leaderboard", large)
    page = shared(filled_url, tmp_path)
    assert "The first 500 of 71" in page
    assert re.search(r"Drawn are 35\d of 71\d rows, evenly by rank.", page)
    assert page.count("<td") < 500 * 20 + 100
    assert len(page.encode()) < LARGEST


def test_a_small_sweep_takes_little_more_than_plotly(page: str) -> None:
    assert len(page.encode()) - len(get_plotlyjs().encode()) < 500_000
    assert len(page.encode()) < LARGEST


def test_it_is_made_without_a_server() -> None:
    """Nothing that a page is made by imports streamlit."""
    reached, ahead = set[str](), ["dashboard.share.page"]
    while ahead:
        name = ahead.pop()
        reached.add(name)
        ahead += [other for other in IMPORTS[name] if other in MODULES and other not in reached]
    assert len(reached) > 20
    assert not [name for name in reached if any(o.split(".")[0] == "streamlit" for o in IMPORTS[name])]


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")
def test_a_browser_draws_it_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    url = f"sqlite:///{tmp_path}/sweeps.db"
    fill_hostile(url, monkeypatch)
    figures = shared(url, tmp_path, HOSTILE).count("data-figure=")
    said: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_context(color_scheme="dark", offline=True).new_page()
        opened.on("console", lambda message: said.append(message.text))
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.on("dialog", lambda dialog: said.append("a dialog"))
        opened.on("request", lambda request: said.append(request.url))
        address = (tmp_path / "page.html").as_uri()
        opened.goto(address, timeout=120_000)
        sync_api.expect(opened.locator(".js-plotly-plot")).to_have_count(figures, timeout=120_000)
        assert opened.locator("img").count() == 0

        def column(title: str) -> list[str]:
            heads = opened.locator("table.sortable th").all_inner_texts()
            return opened.locator(f"table.sortable td:nth-child({heads.index(title) + 1})").all_inner_texts()

        before = [cell for cell in column("val_ppl") if cell]
        head = opened.get_by_role("button", name="val_ppl", exact=True)
        for descending in (False, True):
            head.click()
            after = column("val_ppl")
            cells = [cell for cell in after if cell]
            assert cells == sorted(before, key=float, reverse=descending)
            assert after[: len(cells)] == cells  # what has no value stands last
        for scheme in ("dark", "light"):  # the words of figures follow
            opened.emulate_media(color_scheme=scheme)
            ink = opened.evaluate("getComputedStyle(document.body).color")
            for title in opened.locator(".xtitle").all():
                sync_api.expect(title).to_have_css("fill", ink, timeout=60_000)
            ground = opened.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
        browser.close()
    assert said == [address]
