"""A trial is stopped from a page: a real browser, driver and workers; only the training is fake."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.drawing import FLAGS, found
from sweeper.store.queries import Reader
from tests.dashboard.test_browser import free_port
from tests.sweeper.processes import Work, end_of, kill, launch, wait_for

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install -e .[dev]"
)
expect = sync_api.expect
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(found() is None, reason="no Chromium on this machine: apt-get install chromium"),
]
TOKEN = "a-token-that-only-this-test-knows"
SPEC = """
name: asked
trainer:
  data: {name: pydocs, length: 64}
  model.size: nano
  pretrain.steps: 200
  pretrain.block_size: 64
  finetune.steps: 100000
  evaluation.every: 5
space:
  finetune.block_size: {choice: [4, 8]}
search: {sampler: grid}
resources: {cpu: 1}
"""


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


@pytest.fixture
def driver(work: Work) -> Iterator[Any]:
    process = work.start(SPEC, seconds=0.2)
    yield process
    if process.poll() is None:
        kill(process)


@pytest.fixture
def address(work: Work) -> Iterator[str]:
    """Of a dashboard that was started with --actions."""
    port = free_port()
    options = ("--db", work.url, "--port", str(port), "--actions")
    server = launch("sweeper", "dashboard", *options, SWEEPER_TOKEN=TOKEN)
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
        yield f"http://127.0.0.1:{port}/?token={TOKEN}"
    finally:
        server.terminate()
        server.communicate()


@pytest.fixture
def page() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(120_000)
        expect.set_options(timeout=60_000)
        yield page
        browser.close()


def states(work: Work) -> dict[int, str]:
    """By what trials are called."""
    if not (work.place / "sweeps.db").exists():
        return {}
    reader = Reader(work.url)
    try:
        return {trial.called: trial.state for trial in reader.trials(1)} if reader.sweeps() else {}
    finally:
        reader.close()


def test_a_trial_is_stopped_from_a_page_and_then_the_sweep(
    work: Work, driver: Any, address: str, page: Any
) -> None:
    wait_for(lambda: work.steps("stages/*") > 0, driver)
    page.goto(address)
    table = page.locator("[data-testid=stDataFrame]").first.locator("canvas [role=row]")
    pretrain = table.filter(has_text="pretrain ").first
    pretrain.wait_for(state="attached")
    seen = pretrain.inner_text()
    expect(pretrain).not_to_have_text(seen)  # its step goes on by itself
    wait_for(lambda: states(work).get(1) == "running" and work.steps() > 0, driver)
    table.filter(has_text="trial 1").first.wait_for(state="attached")

    sidebar = page.locator("[data-testid=stSidebar]")
    sidebar.get_by_text("Actions").click()
    number = sidebar.get_by_role("spinbutton", name="Trial")
    number.fill("1")
    number.press("Enter")
    sidebar.get_by_role("button", name="Resume").wait_for(state="detached")  # what a trial may be asked
    sidebar.get_by_role("button", name="Stop").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("It saves and is stopped, for good.").wait_for()
    assert states(work)[1] == "running"  # nothing is asked before it is said twice
    dialog.get_by_role("button", name="Stop it").click()
    wait_for(lambda: states(work)[1] == "stopped", driver)
    sidebar.get_by_role("button", name="Stop").wait_for(state="detached")  # by itself

    page.get_by_role("link", name="Leaderboard").click()
    table.filter(has_text="stopped").first.wait_for(state="attached")
    (said,) = asked(work)
    assert said.startswith("asked to stop trial 1, by dashboard of ")

    number.fill("")
    number.press("Enter")
    sidebar.get_by_role("button", name="Extend").wait_for()  # the whole sweep again
    sidebar.get_by_role("button", name="Stop").click()
    dialog.get_by_role("button", name="Stop it").click()
    end_of(driver)
    _, of_the_sweep = asked(work)
    assert ", by dashboard of " in of_the_sweep
    page.get_by_text("The line that started it goes on where it stopped.").first.wait_for()
    assert page.locator("[data-testid=stException]").count() == 0


def asked(work: Work) -> list[str]:
    """What the events say was asked for, the first first."""
    reader = Reader(work.url)
    try:
        return [each.text for each in sorted(reader.events(1)) if each.kind == "control"]
    finally:
        reader.close()
