"""Stop, pause and resume, of a sweep and of its trials: asked through the store."""

import random
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sweeper.driver.driver import EXHAUSTED, Driver
from sweeper.driver.jobs import Cost, Job, StageJob, TrialJob
from sweeper.driver.stop_reason import STOPPED, StopReason, by_signal
from sweeper.store.controls import request
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from tests import fakes
from tests.sweeper.driving import STAGED, Killed, drive, make_spec, opened, run_to_end, told, trial_of
from tests.sweeper.processes import pairs


def states(url: str) -> dict[str, int]:
    with closing(Reader(url)) as reader:
        return reader.trial_states(1)


def sweep_state(url: str) -> str:
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("test")
        assert sweep is not None
        return sweep.state


def undone(url: str) -> list[str]:
    with closing(Reader(url)) as reader:
        return [control.verb for control in reader.controls(1)]


def begun(job: Job | object) -> Any:
    """A trainer at work on it, after its first step."""
    assert isinstance(job, TrialJob | StageJob)
    Path(job.folder).mkdir(parents=True, exist_ok=True)
    run = job.run("tests.fakes", "cpu")
    next(run)
    return run


def test_a_paused_trial_frees_its_slot_and_goes_on_from_its_checkpoint(place: tuple[str, Path]) -> None:
    spec = make_spec("search.trials=2", "trainer.evaluation.every=4")
    with opened(place[0], spec, place[1]) as driver:
        job = trial_of(driver)
        run = begun(job)
        next(run)
        request(place[0], 1, "pause", job.trial, who="ada@box")
        assert driver.poll()
        with closing(Reader(place[0])) as reader:
            said = [each.text for each in reader.events(1) if each.kind == "control"]
        assert said == ["asked to pause trial 1, by ada@box"]
        assert undone(place[0]) == ["pause"]
        assert not driver.take(job, [], Cost(2.0, 0.0))
        run.close()
        assert driver.states() == {"paused": 1}
        assert undone(place[0]) == []
        other = trial_of(driver)
        assert other.trial != job.trial
        for _ in begun(other):
            pass
        driver.take(other, [])
        driver.finish(other)
        assert not driver.over()
        assert driver.next() is None  # a trial is paused: the driver waits
        request(place[0], 1, "resume", job.trial)
        driver.poll()
        again = trial_of(driver)
        assert (again.trial, again.attempt) == (job.trial, 2)
        drive_one(driver, again)
        assert driver.next() is EXHAUSTED
    assert pairs(Path(job.folder, "ledger.txt")) == [(1, 1), (1, 2), (2, 3), (2, 4)]


def drive_one(driver: Driver, job: TrialJob) -> None:
    for report in job.run("tests.fakes", "cpu"):
        assert driver.take(job, [report] if report else [])
    driver.finish(job)


def test_a_paused_trial_stays_so_with_the_next_driver(place: tuple[str, Path]) -> None:
    spec = make_spec("search.trials=1")
    with opened(place[0], spec, place[1]) as driver:
        job = trial_of(driver)
        request(place[0], 1, "pause", job.trial)
        driver.poll()
        driver.take(job, [])
        driver.interrupt("interrupted by SIGINT")
    with opened(place[0], spec, place[1]) as driver:
        assert driver.next() is None
        assert driver.next() is None
        driver.stop(STOPPED)
        driver.interrupt(STOPPED.reason)
    assert states(place[0]) == {"paused": 1}
    request(place[0], 1, "resume", job.trial)  # nobody drives: it is kept for the next one
    run_to_end(place[0], spec, place[1])
    assert states(place[0]) == {"complete": 1}
    with closing(Reader(place[0])) as reader:
        said = [each.text for each in reader.events(1)]
    assert sum("only what is paused is left, trial 1" in text for text in said) == 1


def test_a_queued_trial_can_be_paused_and_a_paused_one_stopped(place: tuple[str, Path]) -> None:
    spec = make_spec(
        "always=[{finetune.block_size: 16, finetune.schedule.name: loglinear}]", "search.trials=0"
    )
    with opened(place[0], spec, place[1]) as driver:
        request(place[0], 1, "pause", 1)
        request(place[0], 1, "pause", 2)
        driver.poll()
        assert trial_of(driver).trial == 3
        request(place[0], 1, "stop", 1)
        request(place[0], 1, "resume", 2)
        driver.poll()
        assert driver.states() == {"stopped": 1, "queued": 1, "running": 1}
        assert trial_of(driver).trial == 2


def test_the_last_request_counts(place: tuple[str, Path]) -> None:
    with opened(place[0], make_spec("search.trials=2"), place[1], slots=2) as driver:
        one, two = trial_of(driver), trial_of(driver)
        for verb, job in (("pause", one), ("stop", one), ("pause", two), ("resume", two)):
            request(place[0], 1, verb, job.trial)
        driver.poll()
        assert not driver.take(one, [])
        assert driver.take(two, [])
        assert driver.states() == {"stopped": 1, "running": 1}
    assert undone(place[0]) == []


def test_a_paused_sweep_hands_out_nothing_until_it_goes_on(place: tuple[str, Path]) -> None:
    spec = make_spec(*STAGED, "search.trials=2")
    with opened(place[0], spec, place[1], slots=2) as driver:
        stage = driver.next()
        assert isinstance(stage, StageJob)
        request(place[0], 1, "pause")
        assert driver.poll()  # the driver stays
        assert sweep_state(place[0]) == "paused"
        assert not driver.take(stage, [], Cost(1.0, 0.0))
        assert driver.next() is None
        assert not driver.over()
        request(place[0], 1, "resume")
        assert driver.poll()
        assert sweep_state(place[0]) == "running"
        again = driver.next()
        assert isinstance(again, StageJob)
        assert again.attempt == 2
    run_to_end(place[0], spec, place[1])
    assert states(place[0]) == {"complete": 2}


def test_whoever_starts_a_paused_sweep_has_it_go_on(place: tuple[str, Path]) -> None:
    spec = make_spec("search.trials=2")
    with opened(place[0], spec, place[1]) as driver:
        job = driver.next()
        request(place[0], 1, "pause")
        driver.poll()
        assert isinstance(job, TrialJob)
        driver.take(job, [])
    assert sweep_state(place[0]) == "paused"  # its driver was killed
    run_to_end(place[0], spec, place[1])
    assert states(place[0]) == {"complete": 2}


def test_with_one_slot_a_paused_sweep_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    spec, chance = make_spec("search.trials=8"), random.Random(2)
    whole, held = f"sqlite:///{tmp_path}/whole.db", f"sqlite:///{tmp_path}/held.db"
    run_to_end(whole, spec, tmp_path / "whole")
    fakes.killed = False
    with opened(held, spec, tmp_path / "held") as driver:
        pauses, run = 0, None
        job = driver.next()
        while isinstance(job, TrialJob):
            run = run or begun(job)
            if chance.random() < 0.1:
                request(held, 1, "pause")
                driver.poll()
                assert not driver.take(job, [])
                run.close()
                request(held, 1, "resume")
                driver.poll()
                pauses, run, job = pauses + 1, None, driver.next()
                continue
            report = next(run, "over")
            if report == "over":
                driver.finish(job)
                run, job = None, driver.next()
            else:
                driver.take(job, [report] if report else [])
        driver.end()
    assert pauses > 2
    assert told(held)["rows"] == told(whole)["rows"]
    assert told(held)["trials"] == told(whole)["trials"]


@pytest.mark.parametrize("commits", range(0, 60, 3))
def test_killed_while_trials_are_paused_and_resumed(commits: int, tmp_path: Path) -> None:
    """Whatever was done by then is done once; what was not is done by the next driver."""
    url, spec, files = f"sqlite:///{tmp_path}/s.db", make_spec("search.trials=3"), tmp_path / "files"
    fakes.killed = False
    try:
        with opened(url, spec, files, commits=commits) as driver:
            for _ in range(3):
                job = trial_of(driver)
                run = begun(job)
                request(url, 1, "pause", job.trial)
                driver.poll()
                assert not driver.take(job, [])
                run.close()
            request(url, 1, "resume", 1)
            request(url, 1, "resume", 3)
            driver.poll()
            drive_one(driver, trial_of(driver))
    except Killed:
        fakes.killed = True
    fakes.killed = False
    with opened(url, spec, files) as driver:
        with closing(Reader(url)) as reader:
            paused = [trial.id for trial in reader.trials(1) if trial.state == "paused"]
        for trial in paused:
            request(url, 1, "resume", trial)
        driver.poll()
        drive(driver)
    assert states(url) == {"complete": 3}
    curves = told(url)["rows"]["val_ppl"].values()
    assert all([step for step, _ in curve] == [2, 4] for curve in curves)
    assert undone(url) == []


def test_every_way_to_end_is_one(place: tuple[str, Path]) -> None:
    spec = make_spec("search.trials=3")
    for number, stop_reason in enumerate(
        (by_signal(signal.SIGINT), by_signal(signal.SIGTERM), StopReason("because", 6))
    ):
        with opened(place[0], spec, place[1]) as driver:
            job = trial_of(driver)
            assert job.attempt == number + 1
            driver.stop(stop_reason)
            driver.stop(STOPPED)  # the first reason counts
            assert driver.stop_reason == stop_reason
            assert driver.next() is None
            assert not driver.poll()
            assert not driver.take(job, [])
            driver.interrupt(stop_reason.reason)
        assert told(place[0])["sweep"] == ("interrupted", stop_reason.reason)
    assert [by_signal(n).code for n in (signal.SIGINT, signal.SIGTERM)] == [130, 143]


def test_only_what_there_is_can_be_asked(place: tuple[str, Path]) -> None:
    run_to_end(place[0], make_spec("search.trials=1"), place[1])
    with pytest.raises(StoreError, match="'hold' is not something to ask of a sweep; there is stop, pause"):
        request(place[0], 1, "hold")
