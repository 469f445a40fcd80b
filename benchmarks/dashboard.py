"""python -m benchmarks.dashboard [--quick]: what the dashboard costs where a sweep has thousands of trials.

Generated stores (benchmarks/large_store.py), SQLite. A page's process reads the sweep, and looks again every
two seconds, as pages do, while a driver writes beside it: 500 rows a second in ten transactions, and every
four seconds a trial ends and another begins. Said of each store, in CPU-seconds of the page's process: the
first reading; one later on, where no trial has ended since, and where one has; the leaderboard's frame; the
whole page, drawn in Streamlit's own harness, and drawn again. And: the memory, the age of what is shown at
its highest, how often anybody was told that the store is locked, and what a Chromium's own thread works at
the dearest of all pages, in CPU-seconds.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.document import finish, options

APP = Path(__file__).parent.parent / "dashboard" / "app.py"
STORES = ((2_000, 1_000_000), (10_000, 10_000_000))
EVERY = 2.0  # seconds between two looks of a page
ROWS, TRANSACTIONS = 500, 10  # a second
ENDS = 4  # seconds from one end of a trial to the next
TITLES = (
    *("trials", "rows", "first", "no end", "an end", "frame", "page", "again", "MB", "age", "locked"),
    *("browser", "where"),
)
VISITS = 3  # to each page, each by a browser that was never there; their median counts
LONGER = 3.0  # seconds after the first figure or table, for the others
PATIENCE = 120.0


def main() -> None:
    parser = options("dashboard", __doc__, quick="500 trials with 50,000 rows, for 10 s.")
    parser.add_argument("--seconds", type=int, default=60, help="That are looked at.")
    parser.add_argument("--page", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--writer", metavar="URL", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.page or given.writer:
        print(json.dumps(page(given.page, given.seconds) if given.page else write(given.writer)))
        return
    seconds = 10 if given.quick else given.seconds
    print("".join(f"{title:>11}" for title in TITLES))
    rows = []
    for trials, number in ((500, 50_000),) if given.quick else STORES:
        rows.append({"trials": trials, "rows": number, **looked_at(trials, number, seconds)})
        print("".join(f"{value!s:>11}" for value in rows[-1].values()), flush=True)
    settings = {"seconds": seconds, "every_s": EVERY, "rows_per_second": ROWS, "documents": 26}
    said = ("trials", "rows", "dearest_page")
    worst = {key: max(row[key] or 0 for row in rows) for key in rows[0] if key not in said}
    finish("dashboard", settings, rows, worst, write=given.write)


def looked_at(trials: int, rows: int, seconds: int) -> dict[str, Any]:
    """A page and a writer in processes of their own."""
    from benchmarks.large_store import fill

    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/sweeps.db"
        fill(url, trials, rows)
        command = [sys.executable, "-m", "benchmarks.dashboard", "--seconds", str(seconds)]
        with subprocess.Popen(
            [*command, "--writer", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as w:
            done = subprocess.run([*command, "--page", url], stdout=subprocess.PIPE, check=True)
            wrote, _ = w.communicate(b"")  # its input ends, and so does it
        found, wrote = (json.loads(each.splitlines()[-1]) for each in (done.stdout, wrote))
        seconds_of = in_browser(url)
    dearest = max(seconds_of, key=lambda page: seconds_of[page], default=None)
    browser = {"browser_s": dearest and round(seconds_of[dearest], 2), "dearest_page": dearest}
    return {**found, "locked": found["locked"] + wrote["locked"], **browser}


def in_browser(url: str) -> dict[str, float]:
    """CPU-seconds of each page's own thread, by the page's path; none where there is no Chromium."""
    from benchmarks.drawing import FLAGS, found
    from benchmarks.pictures import shown

    if found() is None:
        return {}
    from playwright.sync_api import sync_playwright

    views = sorted(each.stem for each in (APP.parent / "views").glob("[a-z]*.py"))
    visits: dict[str, list[float]] = {each: [] for each in views if each != "parameters"}
    with shown(url) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found(), args=FLAGS)
        for path in [*visits] * VISITS:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            page.goto(address + ("" if path == "answer" else path))
            visits[path].append(_worked(page, session))
            page.close()
        browser.close()
    return {path: median(each) for path, each in visits.items()}


def _worked(page: Any, session: Any) -> float:
    """Until something is drawn, and a while longer."""
    from benchmarks.pictures import DRAWN

    page.set_default_timeout(1000 * PATIENCE)
    page.locator(f"[data-testid=stMain] :is({DRAWN})").first.wait_for(state="attached")
    page.wait_for_timeout(1000 * LONGER)
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))


def page(url: str, seconds: int) -> dict[str, Any]:
    os.environ["SWEEPER_DB"] = url
    from streamlit.testing.v1 import AppTest

    from benchmarks.large_store import NAME
    from dashboard.snapshot import Held
    from sweeper.store.engine import StoreError
    from sweeper.store.queries import Reader

    held, locked, age = Held(), 0, 0.0
    costs: dict[str, list[float]] = {"first": [], "no_end": [], "an_end": [], "frame": []}
    with closing(Reader(url)) as reader:
        until, newest, ended, seen = time.time() + seconds, None, None, -1
        while time.time() < until:
            began = time.process_time()
            try:
                now = held.now(reader, NAME)
            except StoreError as error:
                locked += "locked" in str(error)
                continue
            cost = time.process_time() - began
            costs["frame"].append(_seconds_of_frame(now))
            if newest is not None:
                age = max(age, time.time() - newest)  # of what was shown until now
            if now.board.trials["complete"] != ended:
                costs["first" if ended is None else "an_end"].append(cost)
            elif now.trials is not seen:
                costs["no_end"].append(cost)
            newest, ended, seen = _newest(now), now.board.trials["complete"], now.trials
            time.sleep(EVERY)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    app = AppTest.from_file(str(APP), default_timeout=600)
    drawn = []
    for _ in range(2):
        began = time.process_time()
        app.run()
        drawn.append(time.process_time() - began)
        assert not app.exception, app.exception[0].message
    found = {key: round(median(each), 3) if each else None for key, each in costs.items()}
    return {
        **found,
        "page": round(drawn[0], 2),
        "page_again": round(drawn[1], 2),
        "memory_mb": memory,
        "oldest_s": round(age, 1),
        "locked": locked,
    }


def _seconds_of_frame(now: Any) -> float:
    began = time.process_time()
    now.frame  # noqa: B018
    return time.process_time() - began


def _newest(now: Any) -> float | None:
    """When the newest row that is shown was written: the writer says so in the rows themselves."""
    times = [
        record["seconds"].value
        for trial in now.trials.values()
        if trial.state == "running" and "seconds" in (record := now.latest.get(trial.id, {}))
    ]
    return max(times, default=None)


def write(url: str) -> dict[str, int]:
    """Until its input ends."""
    import select

    from benchmarks.large_store import HOLDER, evaluation_of
    from sweeper.store.engine import StoreError
    from sweeper.store.records import MetricRow
    from sweeper.store.store import Store

    locked, step, running = 0, 0, 0
    names = ["train_loss", "grad_norm", "lr", "tokens"]
    with closing(Store(url)) as store:
        writer = store.writer(1, HOLDER)
        while not select.select([sys.stdin], [], [], 1 / TRANSACTIONS)[0]:
            step += 1
            try:
                if step % (ENDS * TRANSACTIONS) == 1:
                    if running:
                        evaluations = [evaluation_of(split, running, step) for split in ("valid", "test")]
                        last = [MetricRow("val_nelbo", step, evaluations[0].nelbo)]
                        writer.add_rows(running, 1, last, evaluations)
                        writer.end_trial(running, 1, "complete", cpu_seconds=5.0)
                    values = {"finetune.lr": step / 1e6, "finetune.block_size": 4}
                    running = writer.add_trial(
                        configuration=writer.add_configuration(f"written {step}", values),
                        **{"role": "search", "seed": 0, "steps": 10**6, "params": values},
                        **{"distributions": {}, "system_attrs": {}, "stage": f"{0:016x}"},
                    ).id
                    writer.start_trial(running)
                each = ROWS // TRANSACTIONS // len(names)
                rows = [MetricRow(name, each * step + i, 1.0) for name in names for i in range(each)]
                rows.append(MetricRow("seconds", each * step, time.time()))
                writer.add_rows(running, 1, rows)
            except StoreError as error:
                locked += "locked" in str(error)
    return {"locked": locked}


if __name__ == "__main__":
    main()
