"""How far a sweep is: the driver, which knows, and the store alone say the same at every moment."""

import time
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.driver.driver import EXHAUSTED
from sweeper.driver.jobs import TrialJob
from sweeper.results.progress_estimate import Planned, ProgressEstimate, progress_estimate, stored_progress
from sweeper.store.controls import request
from sweeper.store.queries import Reader
from tests.sweeper.driving import advance, make_spec, opened, run_to_end

SMALL = "name: test\ntrainer: {finetune.steps: 2}\nspace: {finetune.block_size: {choice: [4, 8, 16]}}\n"
BASELINE = "always=[{finetune.block_size: 8}]"


@pytest.mark.parametrize(
    ("overrides", "text", "last"),
    [
        (["search.trials=4"], None, 4),
        (["search.trials=3", "replicates=2", "confirm={top: 1, seeds: 2}"], None, 3 * 2 + 2),
        (["search.trials=3", BASELINE, "always_seeds=2"], None, 3 + 2),
        ([], f"{SMALL}search: {{sampler: grid}}", 3),
        (
            [BASELINE, "always_seeds=1"],
            f"{SMALL}search: {{sampler: grid}}",
            3,
        ),  # a repeat counts for the list
        ([], f"{SMALL}search: {{sampler: random, trials: 9}}", 3),  # the space ends before the search does
    ],
)
def test_the_store_says_what_the_driver_says(
    overrides: list[str], text: str | None, last: int, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    spec = make_spec(*overrides, **({"text": text} if text else {}))
    seen: list[ProgressEstimate] = []
    with opened(url, spec, tmp_path / "files", slots=2) as driver, closing(Reader(url)) as reader:

        def look() -> None:
            sweep = reader.sweep("test")
            assert sweep is not None
            told, stored = driver.status().progress, stored_progress(reader, sweep, time.time())
            assert told[:2] == stored[:2]
            assert (told.seconds_left is None) == (stored.seconds_left is None)
            seen.append(stored)

        look()
        while (job := driver.next()) is not EXHAUSTED:
            look()
            assert isinstance(job, TrialJob)
            Path(job.folder).mkdir(parents=True)
            run = job.run("tests.fakes", "cpu")
            while advance(driver, job, run):
                look()
            look()
        driver.end()
        look()
    totals = [each.total for each in seen]
    assert seen[-1][:2] == (last, last)
    assert all(each.ended <= each.total for each in seen)
    assert totals[0] >= last


def test_an_extended_sweep_has_more_to_come(tmp_path: Path) -> None:
    url, spec = f"sqlite:///{tmp_path}/s.db", make_spec("search.trials=2")
    with opened(url, spec, tmp_path / "files") as driver, closing(Reader(url)) as reader:
        request(url, 1, "extend +3")
        assert driver.status().progress.total == 2
        driver.poll()
        sweep = reader.sweep("test")
        assert sweep is not None
        assert driver.status().progress.total == stored_progress(reader, sweep, time.time()).total == 5


def test_nobody_who_drives_it_has_a_pace(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    run_to_end(url, make_spec("search.trials=2"), tmp_path / "files")
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("test")
        assert sweep is not None
        (driver,) = reader.drivers(sweep.id)
        assert sweep.lease_until is not None
        for now, seconds in ((driver.began + 5, 5.0), (sweep.lease_until + 1, None)):
            found = stored_progress(reader, sweep, now)
            assert (found.ended, found.total, found.seconds_left) == (2, 2, None)
            assert found.seconds is seconds is None or found.seconds == pytest.approx(seconds)


def test_the_pace_is_that_of_what_has_ended() -> None:
    planned = Planned(configurations=6, replicates=2, confirmations=3)
    states = {1: "complete", 2: "failed", 3: "running", 4: "queued"}
    assert progress_estimate(states, planned, 4, 30.0) == (2, 4 + 2 * 2 + 3, 30.0, 30.0 / 2 * 9)
    assert progress_estimate(states, planned, None, 30.0) == (2, 4, 30.0, 30.0)
    assert progress_estimate({1: "running"}, planned, None, 30.0).seconds_left is None
    assert progress_estimate(states, planned, 4, None).seconds_left is None


def test_a_spec_of_which_little_is_said_is_no_error() -> None:
    assert Planned.of({}) == (0, 1, 0, 0)
    assert Planned.of({"search": {"trials": 3}, "confirm": None}) == (3, 1, 0, 0)
