"""How far a sweep is: the driver, which knows, and the store alone say the same at every moment."""

import json
import math
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sweeper.cli.main import app
from sweeper.driver.driver import EXHAUSTED, Driver
from sweeper.driver.jobs import StageJob, TrialJob
from sweeper.results.progress_estimate import (
    CONTINUOUS,
    Pace,
    Planned,
    Pretrain,
    ProgressEstimate,
    Run,
    of_ended,
    pretrains,
    progress_estimate,
    running_stages,
    stored_progress,
)
from sweeper.spec.dimensions import KINDS
from sweeper.spec.race_counts import CertainRace
from sweeper.store.controls import request
from sweeper.store.queries import Reader
from tests.sweeper.driving import advance, make_spec, opened, run_to_end, trial_of
from trainer.evaluation.record import Report

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
    spec = make_spec("search.trials=2")
    with opened(url, spec, tmp_path / "files"), closing(Reader(url)) as reader:
        sweep = reader.sweep("test")
        assert sweep is not None
        (driver,) = reader.drivers(sweep.id)
        assert sweep.lease_until is not None
        for now, seconds in ((driver.began + 5, 5.0), (sweep.lease_until + 1, None)):
            found = stored_progress(reader, sweep, now)
            assert (found.ended, found.total, found.seconds_left) == (0, 2, None)
            assert found.seconds is seconds is None or found.seconds == pytest.approx(seconds)


ROLES = {"s": "search", "r": "replicate", "b": "baseline", "c": "confirm", "x": "race"}
STATES = {"+": "complete", "-": "failed", "/": "pruned", "~": "running", ".": "queued"}


def runs(*said: str) -> Counter[Run]:
    """'s+': a run of the search that is complete."""
    return Counter(Run(ROLES[role], STATES[state]) for role, state in said)


@pytest.mark.parametrize(
    ("said", "proposed", "total"),
    [
        ("", 0, 6 * 2 + 3),
        ("b+ b~", 0, 2 + 6 * 2 + 3),
        (
            "s+ s- s~ s.",
            4,
            4 + 2 + 2 * 2 + 3,
        ),  # what is complete has its replicate already: none yet, a moment
        ("s+ r. s- s~ s.", 4, 5 + 2 + 2 * 2 + 3),
        ("s+ r+ s- s/ s+ r+ s+ r+ s+ r~", 6, 10 + 3),
        ("s+ r+ s- s/ s+ r+ s+ r+ s+ r+", None, 10 + 3),  # the search is over, and confirmations are to come
        ("s+ r+ s- s/ s+ r+ s+ r+ s+ r+ c~ c. c.", None, 13),
        ("s+ r+ s- s/ s+ r+ s+ r+ s+ r+ c+ c+", None, 12),  # of two that there were to confirm
    ],
)
def test_all_that_will_be_run_is_counted(said: str, proposed: int | None, total: int) -> None:
    planned = Planned(configurations=6, replicates=2, confirmations=3)
    found = progress_estimate(runs(*said.split()), planned, proposed, Pace(0, 0.0), None)
    assert (found.ended, found.total) == (sum(said.count(state) for state in "+-/"), total)


def test_what_has_no_end_of_values_is_known_by_its_word() -> None:
    made = {
        word: kind.model_validate({word: [1] if word == "choice" else [1, 2]}) for word, kind in KINDS.items()
    }
    assert {word for word, each in made.items() if each.values() is None} == set(CONTINUOUS)


RACE = CertainRace(contenders=8, races=1, rounds=2, baselines=0, known=0)


def test_a_race_that_may_never_come_is_not_counted() -> None:
    """Rows that failed or were pruned do not race; nor does the only row of its value."""
    for said, race, total in (
        ("s+ s+ s-", RACE, 3 + 2 * 2),
        ("s+ s- s-", RACE, 3),
        ("s+ s+ s+", RACE._replace(races=2), 3 + 2 * 2),
        ("s+ s+ s+", RACE._replace(races=3), 3),
        ("s+ s+ s+", RACE._replace(races=math.inf), 3),
        ("s+ s+ s+", RACE._replace(rounds=1), 3 + 3),
        ("b+ b- s+", RACE._replace(baselines=1, known=1), 3 + 2 * 2 - 1),
        ("b- b- s+", RACE._replace(baselines=1, known=1), 3),
    ):
        planned = Planned(3, 1, 0, race)
        assert progress_estimate(runs(*said.split()), planned, None, Pace(0, 0.0), None).total == total, said


def test_two_rounds_of_a_race_are_certain() -> None:
    planned = Planned(2, 1, 0, RACE)
    for said, total in (
        ("s+ s+", 6),
        ("s+ s+ x~ x.", 6),
        ("s+ s+ x+ x+ x. x.", 6),
        ("s+ s+ x+ x+ x+ x+ x.", 7),
    ):
        assert progress_estimate(runs(*said.split()), planned, None, Pace(0, 0.0), None).total == total
    assert of_ended(runs("s+", "s-", "x+"), 5.0) == (3, 3, 5.0, None)


def test_the_pace_is_that_of_what_has_ended() -> None:
    planned, some = Planned(configurations=6, replicates=1, confirmations=0), runs("s+", "s-", "s~", "s.")
    assert progress_estimate(some, planned, 4, Pace(2, 30.0), 7.0) == (2, 6, 7.0, 30.0 / 2 * 4)
    assert progress_estimate(some, planned, 4, Pace(0, 30.0), 7.0).seconds_left is None
    assert progress_estimate(some, planned, 4, Pace(2, 30.0), None).seconds_left is None
    assert progress_estimate(runs("s+"), planned, None, Pace(1, 30.0), 7.0).seconds_left is None


def test_what_ended_before_any_time_was_written_down_is_no_pace(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    run_to_end(url, make_spec("search.trials=2"), tmp_path / "files")
    with closing(Reader(url)) as reader:
        trials, drivers = reader.trials(1), reader.drivers(1)
    late = drivers[0]._replace(began=(trials[0].ended or 0.0) + 1e-6)
    assert Pace.of(3.0, drivers, trials) == (2, 3.0)
    assert Pace.of(3.0, [late], trials) == (1, 3.0)
    assert Pace.of(0.0, [], trials) == (2, 0.0)


def test_after_a_resume_the_pace_is_that_of_all_drivers(tmp_path: Path) -> None:
    """10 s a trial, whoever ran it: two drivers, of which the second has done nothing yet; and no time passes
    while the sweep is paused."""
    url, spec, now = f"sqlite:///{tmp_path}/s.db", make_spec("search.trials=5"), [0.0]

    def end_one(driver: Driver) -> None:
        now[0] += 10.0
        job = trial_of(driver)
        Path(job.folder).mkdir(parents=True)
        run = job.run("tests.fakes", "cpu")
        while advance(driver, job, run):
            pass

    with opened(url, spec, tmp_path / "files", clock=lambda: now[0]) as driver:
        assert driver.status().progress.seconds_left is None
        end_one(driver)
        end_one(driver)
        assert driver.status().progress.seconds_left == 30.0
        driver.interrupt("by a test")
    now[0] = 1000.0
    with (
        opened(url, spec, tmp_path / "files", clock=lambda: now[0]) as driver,
        closing(Reader(url)) as reader,
    ):
        assert driver.status().progress.seconds_left == 30.0
        end_one(driver)
        assert driver.status().progress.seconds_left == 20.0
        driver.hold(True)
        now[0] += 5000.0
        assert driver.status().progress.seconds_left == 20.0
        driver.hold(False)
        driver._spending.write()
        sweep = reader.sweep("test")
        assert sweep is not None
        assert stored_progress(reader, sweep, time.time()).seconds_left == 20.0


def test_a_spec_of_which_little_is_said_is_no_error() -> None:
    assert Planned.of({}) == (0, 1, 0, None)
    assert Planned.of({"search": {"trials": 3}, "confirm": None}) == (3, 1, 0, None)


# --- pretrains ----------------------------------------------------------------------------------
STAGED = ("trainer.pretrain.steps=400", "trainer.pretrain.block_size=64", "search.trials=2")


def at(folder: Path) -> int | None:
    return Pretrain.at("key", str(folder), 400).step


def test_the_last_step_is_that_of_the_ledgers_last_line(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.txt"
    assert at(tmp_path) == 0
    ledger.write_bytes(b"")
    assert at(tmp_path) == 0
    for last in (1, 9, 10, 123, 99_999):
        ledger.write_bytes(b"".join(b"1 %d\n" % step for step in range(max(1, last - 400), last + 1)))
        assert at(tmp_path) == last
    with ledger.open("ab") as file:
        file.write(b"2 7\n")  # a second attempt, from its last checkpoint
    assert at(tmp_path) == 7
    ledger.write_bytes(b"\xff\xfe rubbish\n")
    assert at(tmp_path) == 0


def test_a_folder_that_is_not_here_is_not_guessed_at(tmp_path: Path) -> None:
    assert at(tmp_path / "gone") is None
    assert Pretrain.at("key", "s3://bucket/stages/key", 400).step is None
    assert Pretrain("key", None, 400).words() == "pretrain key: running, 400 steps"
    assert Pretrain("key", 0, 4000).words() == "pretrain key: step 0 of 4,000"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[str, StageJob, Any]]:
    url = f"sqlite:///{tmp_path}/s.db"
    with opened(url, make_spec(*STAGED), tmp_path / "files") as driver:
        job: Any = driver.next()
        assert isinstance(job, StageJob)
        Path(job.folder).mkdir(parents=True)
        Path(job.folder, "ledger.txt").write_text("1 1\n1 2\n1 3\n")
        yield url, job, driver


def test_of_a_pretrain_in_another_place_the_driver_says_what_was_reported(
    running: tuple[str, StageJob, Any],
) -> None:
    _, job, driver = running
    shutil.rmtree(job.folder)  # as one in an object store
    assert driver.status().pretrains == (Pretrain(job.key, None, 400),)
    assert driver.take(job, [Report(120, {"loss": 1.0}), Report(160, {"loss": 1.0})])
    assert driver.status().pretrains == (Pretrain(job.key, 160, 400),)


def test_driver_status_and_store_say_the_same(running: tuple[str, StageJob, Any]) -> None:
    url, job, driver = running
    expected = Pretrain(job.key, 3, 400)
    assert driver.status().pretrains == (expected,)
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("test")
        assert sweep is not None
        assert sweep.driver(time.time())
        assert pretrains(running_stages(reader, sweep)) == [expected]
    said = CliRunner().invoke(app, ["status", "test", "--db", url]).stdout
    assert f"pretrain {job.key}: step 3 of 400\n" in said
    document = json.loads(CliRunner().invoke(app, ["status", "test", "--db", url, "--json"]).stdout)
    assert document["pretrains"] == [{"key": job.key, "step": 3, "steps": 400}]


def test_one_that_has_ended_is_not_shown(running: tuple[str, StageJob, Any]) -> None:
    url, job, driver = running
    driver.finish(job)
    assert driver.status().pretrains == ()
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("test")
        assert sweep is not None
        assert running_stages(reader, sweep) == []
