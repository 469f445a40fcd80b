"""What is tried again and what is not; and a sweep whose first trials all fail alike."""

import random
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sweeper.driver.driver import EXHAUSTED
from sweeper.driver.failures import Again, BrokenDevice, Configuration, Lost, OutOfMemory, Silent
from sweeper.driver.jobs import StageJob, TrialJob
from sweeper.driver.retries import CircuitBreaker
from sweeper.store.queries import Reader
from tests import fakes
from tests.sweeper.driving import (
    STAGED,
    Killed,
    drive,
    make_spec,
    opened,
    run_to_end,
    run_until_killed,
    told,
    trial_of,
)
from tests.sweeper.execution.test_runner import text
from tests.sweeper.processes import Work, end_of, pairs

OOM = OutOfMemory("out of memory: no room for 12 GB")


def trials_of(url: str) -> list[Any]:
    with closing(Reader(url)) as reader:
        return [trial for trial in reader.trials(1) if trial.repeat_of is None]


# --- out of memory --------------------------------------------------------------------------------
def test_out_of_memory_once_more_in_halves(place: tuple[str, Path]) -> None:
    with opened(place[0], make_spec("search.trials=2", "trainer.accumulate=3"), place[1]) as driver:
        job = trial_of(driver)
        assert job.values["accumulate"] == 3
        driver.fail(job, OOM)
        again = trial_of(driver)
        assert (again.trial, again.attempt, again.values["accumulate"]) == (job.trial, 2, 6)
        assert {**again.values, "accumulate": 3} == job.values  # the same run: batch size and all
        driver.fail(again, OOM)
        assert driver.states() == {"failed": 1}
        other = trial_of(driver)
        assert (other.attempt, other.values["accumulate"]) == (1, 3)
        driver.fail(other, Configuration("a bug"))
        assert driver.next() is EXHAUSTED  # what is no question of memory is not tried again
    assert [(trial.state, trial.error) for trial in trials_of(place[0])] == [
        ("failed", OOM.error),
        ("failed", "a bug"),
    ]


def test_halves_are_remembered_by_the_next_driver(place: tuple[str, Path]) -> None:
    spec = make_spec("search.trials=1")
    with opened(place[0], spec, place[1]) as driver:
        driver.fail(trial_of(driver), OOM)
        trial_of(driver)
    with opened(place[0], spec, place[1]) as driver:
        again = trial_of(driver)
        assert (again.attempt, again.values["accumulate"]) == (3, 2)
        driver.fail(again, Lost())  # another failure has chances of its own
        again = trial_of(driver)
        assert again.values["accumulate"] == 2
        driver.fail(again, OOM)
        assert driver.states() == {"failed": 1}


def test_a_pretrain_too(place: tuple[str, Path]) -> None:
    with opened(place[0], make_spec(*STAGED, "search.trials=1"), place[1]) as driver:
        for pieces, attempt in ((1, 1), (2, 2)):
            job = driver.next()
            assert isinstance(job, StageJob)
            assert (job.values["accumulate"], job.attempt) == (pieces, attempt)
            driver.fail(job, OOM)
        assert driver.next() is EXHAUSTED
        assert driver.states() == {"failed": 1}


def test_a_trial_with_memory_for_half_a_batch_comes_to_its_end(place: tuple[str, Path]) -> None:
    spec = make_spec(f"trainer.finetune.batch_size={fakes.GREEDY}", "search.trials=2")
    with opened(place[0], spec, place[1]) as driver:
        for _ in range(4):
            job = driver.next()
            if job is EXHAUSTED:
                break
            assert isinstance(job, TrialJob)
            Path(job.folder).mkdir(parents=True, exist_ok=True)
            try:
                for report in job.run("tests.fakes", "cpu"):
                    driver.take(job, [report] if report else [])
                driver.finish(job)
            except MemoryError:
                driver.fail(job, OOM)
    assert [(trial.state, trial.attempt) for trial in trials_of(place[0])] == [("complete", 2)] * 2


# --- silence ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("failure", "together"), [(Lost(), 2), (Silent(), 1), (BrokenDevice("x"), 1), (OutOfMemory("x"), 9)]
)
@pytest.mark.parametrize("staged", [False, True])
def test_what_ends_processes_has_one_of_its_own_before_it_is_given_up(
    failure: Again, together: int, staged: bool, place: tuple[str, Path]
) -> None:
    """Else a trial that ends each process it is in would be the end of all that are trained in it."""
    with opened(place[0], make_spec(*(STAGED if staged else ())), place[1]) as driver:
        for times in range(failure.most + 1):
            job = driver.next()
            assert isinstance(job, StageJob if staged else TrialJob)
            assert job.apart == (times >= together)
            driver.fail(job, failure)
        assert staged or not trial_of(driver).apart  # the next one


def test_a_silent_trial_is_tried_once_more(place: tuple[str, Path]) -> None:
    with opened(place[0], make_spec("search.trials=1"), place[1]) as driver:
        job = trial_of(driver)
        driver.fail(job, Silent())
        driver.fail(job, Silent())  # it is live no more: nothing
        driver.fail(trial_of(driver), Silent())
        assert driver.states() == {"lost": 1}
    assert trials_of(place[0])[0].error == "it fell silent 2 times"


@pytest.mark.parametrize("seed", range(4))
def test_killed_between_failures_no_chance_is_given_twice(seed: int, tmp_path: Path) -> None:
    """A kill may cost a trial a chance's record, never the trial; it is run at most once more for each."""
    url, chance, spec = f"sqlite:///{tmp_path}/s.db", random.Random(seed), make_spec("search.trials=1")
    kills = 0
    while True:
        try:
            with opened(url, spec, tmp_path / "files", commits=chance.randrange(4, 14)) as driver:
                while isinstance(job := driver.next(), TrialJob):
                    driver.fail(job, OOM)
                break
        except Killed:
            kills += 1
    (trial,) = trials_of(url)
    assert (trial.state, trial.error) == ("failed", OOM.error)
    assert trial.attempt <= 2 + kills


# --- the breaker --------------------------------------------------------------------------------------
ALIKE = ["No such file: data-1/a.txt, at step 3", "No such file: data-2/a.txt, at step 17"]


@pytest.mark.parametrize(
    ("slots", "ends", "stops_at"),
    [
        (1, [("failed", ALIKE[i % 2]) for i in range(5)], 3),
        (4, [("failed", "x"), ("lost", "x"), ("failed", "x"), ("failed", "x"), ("failed", "x")], 5),
        (
            1,
            [("failed", "x"), ("failed", "x"), ("failed", "another"), ("failed", "x"), ("failed", "x")],
            None,
        ),
        (1, [("failed", "x"), ("complete", ""), *[("failed", "x")] * 5], None),
        (1, [("pruned", ""), *[("failed", "x")] * 5], None),
    ],
)
def test_when_the_breaker_stops_a_sweep(
    slots: int, ends: list[tuple[str, str]], stops_at: int | None
) -> None:
    breaker = CircuitBreaker(slots)
    said = [breaker.saw(trial, *end) for trial, end in enumerate(ends)]
    first = next((number for number, why in enumerate(said, start=1) if why), None)
    assert first == stops_at
    if stops_at:
        assert said[stops_at - 1].startswith(f"the first {stops_at} trials failed alike: ")


BAD = (f"trainer.finetune.batch_size={fakes.RAISE}", "search.trials=9")
SAID = "the first 3 trials failed alike: KeyError: 'a bug in the trainer'"


def test_a_sweep_whose_first_trials_fail_alike_is_stopped_and_hands_them_back(
    place: tuple[str, Path],
) -> None:
    for attempt in (1, 2):  # whoever starts it again has them run again
        with opened(place[0], make_spec(*BAD), place[1]) as driver:
            drive(driver)
            assert driver.stop_reason is not None
            assert driver.stop_reason.code == 5
        assert told(place[0])["sweep"] == ("interrupted", SAID)
        assert [(t.state, t.error, t.attempt, t.ended) for t in trials_of(place[0])] == [
            ("queued", "", attempt, None)
        ] * 3
    with closing(Reader(place[0])) as reader:
        kinds = [event.kind for event in reader.events(1, trials_of(place[0])[0].id)]
    assert kinds.count("failure") == 2
    assert kinds.count("retry") == 2


@pytest.mark.long
def test_the_breaker_counts_what_failed_under_an_earlier_driver(tmp_path: Path) -> None:
    """Killed anywhere: no trial stays failed of what was not its fault."""
    stopped = 0
    for commits in range(3, 40):
        url, files = f"sqlite:///{tmp_path}/{commits}.db", tmp_path / str(commits)
        killed = run_until_killed(url, make_spec(*BAD), files, commits)
        run_to_end(url, make_spec(*BAD), files)
        result = told(url)
        assert result["sweep"] == ("interrupted", SAID)
        assert [trial.state for trial in trials_of(url)] == ["queued"] * 3
        stopped += not killed
    assert stopped


# A run that completes has shown that trials can.
def test_no_breaker_where_one_is_complete(place: tuple[str, Path]) -> None:
    run_to_end(place[0], make_spec("search.trials=1"), place[1])
    with opened(place[0], make_spec("search.trials=9"), place[1]) as driver:
        while isinstance(job := driver.next(), TrialJob):
            driver.fail(job, Configuration("x"))
        assert driver.stop_reason is None


# --- under Ray ------------------------------------------------------------------------------------------
@pytest.mark.long
def test_a_worker_that_hangs_is_ended_and_one_without_memory_trains_in_halves(tmp_path: Path) -> None:
    work = Work(tmp_path)
    spec = text(fakes.HANG, fakes.GREEDY, 20)
    code, output = end_of(work.start(spec, "resources.time_limit=8", seconds=0.02))
    assert code == 0, output
    assert "trial 1 gave no sign of life and was ended" in output
    assert "trial 2 ran out of memory; it goes on from its last checkpoint, in micro-batches" in output
    assert [(trial.state, trial.attempt) for trial in trials_of(work.url)] == [
        ("complete", 2), ("complete", 2), ("complete", 1),
    ]  # fmt: skip
    for ledger in work.files.glob("trials/*/*/ledger.txt"):
        assert {step for _, step in pairs(ledger)} == set(range(1, 11))
