"""What has failed runs again when somebody asks: with a driver, without one, and after the sweep's end."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sweeper.cli.main import app
from sweeper.driver.driver import EXHAUSTED
from sweeper.driver.extension import NothingToRetry, retry, to_retry
from sweeper.driver.failures import Configuration, Lost
from sweeper.driver.jobs import StageJob, TrialJob
from sweeper.driver.lease import LEASE
from sweeper.store.controls import request
from sweeper.store.queries import Reader
from sweeper.store.records import TrialRecord
from sweeper.store.store import Store
from tests.sweeper.driving import (
    STAGED,
    Killed,
    advance,
    drive,
    make_spec,
    opened,
    run_to_end,
    told,
    trial_of,
)

LR = "space.finetune.lr={log_uniform: [1e-4, 1e-2]}"  # no proposal repeats another
TPE = ("search.trials=8", "search.sampler=tpe", LR)
RANDOM = ("search.sampler=random", LR)


def trials_of(url: str) -> list[TrialRecord]:
    with closing(Reader(url)) as reader:
        return [trial for trial in reader.trials(1) if trial.repeat_of is None]


def release(url: str) -> None:
    """As the runner does at its end."""
    with closing(Store(url)) as store:
        store.release_lease(1, "me")


def with_failures(url: str, files: Path, *overrides: str, failing: tuple[int, ...] = (2, 3)) -> None:
    """Runs to the end, but some trials, by the order they are handed out, fail when they have reported."""
    handed_out = 0
    with opened(url, make_spec(*overrides), files) as driver:
        while (job := driver.next()) is not EXHAUSTED:
            assert isinstance(job, StageJob | TrialJob)
            handed_out += isinstance(job, TrialJob)
            Path(job.folder).mkdir(parents=True, exist_ok=True)
            run, steps = job.run("tests.fakes", "cpu"), 0
            while advance(driver, job, run):
                steps += 1
                if isinstance(job, TrialJob) and handed_out in failing and steps == 3:
                    run.close()
                    driver.fail(job, Configuration("a bug"))
                    break
        driver.end()
    release(url)


def test_an_ended_sweep_is_reopened_and_its_failed_trials_keep_their_history(
    place: tuple[str, Path], tmp_path: Path
) -> None:
    url, files = place
    spec = make_spec("search.trials=6", *RANDOM)
    run_to_end(f"sqlite:///{tmp_path}/u.db", spec, tmp_path / "u")
    with_failures(url, files, "search.trials=6", *RANDOM)
    before = trials_of(url)
    assert [trial.state for trial in before].count("failed") == 2
    assert told(url)["sweep"][0] == "complete"
    again, driven = retry(url, "test", [])
    assert ([trial.called for trial in again], driven) == ([2, 3], False)
    sweep, note = told(url)["sweep"]
    assert (sweep, note) == ("interrupted", "asked to retry what has failed")
    assert [(t.state, t.attempt, t.ended, t.error) for t in trials_of(url)[1:3]] == [
        ("queued", 1, None, "")
    ] * 2
    run_to_end(url, spec, files)
    assert told(url) == told(f"sqlite:///{tmp_path}/u.db")
    after = trials_of(url)
    assert [trial.attempt for trial in after] == [1, 2, 2, 1, 1, 1]
    assert [trial.tokens for trial in after] == [t.tokens for t in trials_of(f"sqlite:///{tmp_path}/u.db")]
    ledger = files / "trials" / "1" / str(after[1].id) / "ledger.txt"
    assert [line.split()[1] for line in ledger.read_text().splitlines()] == ["1", "2", "3", "4"]
    with closing(Reader(url)) as reader:
        events = [(event.kind, event.text) for event in reader.events(1, after[1].id)]
    assert [kind for kind, _ in events] == ["start", "failure", "retry", "start", "end"]
    assert events[2][1] == "asked to retry it; it had failed: a bug"


def test_one_trial_alone_and_what_cannot_be_retried(place: tuple[str, Path]) -> None:
    url, files = place
    with_failures(url, files, "search.trials=4", *RANDOM)
    with pytest.raises(NothingToRetry, match="test has no trial 9"):
        retry(url, "test", [2, 9])
    with pytest.raises(NothingToRetry, match="trial 1 of test is complete: there is nothing to retry"):
        retry(url, "test", [1])
    with closing(Reader(url)) as reader:
        original, *others = reader.trials(1)
    repeat = others[0]._replace(repeat_of=original.id)
    with pytest.raises(NothingToRetry, match="trial 2 of test repeats trial 1: retry that one"):
        to_retry([original, repeat], "test", [2])
    impossible = others[0]._replace(steps=0, error="no such thing")
    with pytest.raises(NothingToRetry, match="trial 2 of test can be no run: no such thing"):
        to_retry([original, impossible], "test", [2])
    assert [trial.called for trial in retry(url, "test", [3])[0]] == [3]
    assert [trial.state for trial in trials_of(url)] == ["complete", "failed", "queued", "complete"]
    retry(url, "test", [])
    run_to_end(url, make_spec("search.trials=4", *RANDOM), files)
    release(url)
    with pytest.raises(NothingToRetry, match="no trial of test has failed or was lost"):
        retry(url, "test", [])


@pytest.mark.parametrize("whom", ["one", "all"])
def test_a_driver_runs_it_again_and_goes_on_as_one_that_was_made_anew(
    whom: str, place: tuple[str, Path], tmp_path: Path
) -> None:
    """The search learns of it as if it had never failed: what comes next is what the next driver would do."""
    results = []
    for asked_of in ("driver", "store"):
        url, files = f"sqlite:///{tmp_path}/{asked_of}.db", tmp_path / asked_of
        with opened(url, make_spec(*TPE), files) as driver:
            for _ in range(4):
                job = trial_of(driver)
                Path(job.folder).mkdir(parents=True)
                run = job.run("tests.fakes", "cpu")
                advance(driver, job, run)
                if job.called in (2, 3):
                    run.close()
                    driver.fail(job, Configuration(f"bug {job.called}"))
                while driver._queue.has(job) and advance(driver, job, run):
                    pass
            chosen = [2] if whom == "one" else []
            if asked_of == "driver":
                assert retry(url, "test", chosen)[1]
                assert driver.poll()
                assert [trial.state for trial in trials_of(url)][1] == "queued"
                drive(driver)
            else:
                driver.interrupt("stopped")
        if asked_of == "store":
            release(url)
            assert not retry(url, "test", chosen)[1]
            run_to_end(url, make_spec(*TPE), files)
        results.append(told(url))
    assert results[0] == results[1]
    states = [trial.state for trial in trials_of(f"sqlite:///{tmp_path}/driver.db")]
    assert states.count("failed") == (1 if whom == "one" else 0)
    assert states.count("complete") == len(states) - states.count("failed")


def test_a_request_that_nobody_heard_is_done_by_the_next_driver(place: tuple[str, Path]) -> None:
    url, files = place
    with_failures(url, files, "search.trials=4", *RANDOM)
    request(url, 1, "retry")
    run_to_end(url, make_spec("search.trials=4", *RANDOM), files)
    assert [trial.state for trial in trials_of(url)] == ["complete"] * 4
    with closing(Reader(url)) as reader:
        assert not reader.controls(1)


def test_a_pretrain_that_failed_is_trained_again(place: tuple[str, Path]) -> None:
    url, files = place
    spec = make_spec(*STAGED, "search.trials=2", *RANDOM)
    with opened(url, spec, files) as driver:
        stage = driver.next()
        assert isinstance(stage, StageJob)
        driver.fail(stage, Configuration("diverged"))
        drive(driver)
    release(url)
    assert [trial.state for trial in trials_of(url)] == ["failed"] * 2
    retry(url, "test", [1])
    with opened(url, spec, files) as driver:
        assert isinstance(driver.next(), StageJob)
    run_to_end(url, spec, files)
    assert [trial.state for trial in trials_of(url)] == ["complete", "failed"]


def test_its_chances_are_new(place: tuple[str, Path]) -> None:
    url, files = place
    spec = make_spec("search.trials=1")
    for _ in range(2):
        with opened(url, spec, files) as driver:
            for _ in range(Lost.most + 1):
                driver.fail(trial_of(driver), Lost())
            assert driver.states() == {"lost": 1}
        release(url)
        retry(url, "test", [])


@pytest.mark.parametrize("commits", range(8))
def test_killed_anywhere_it_is_retried_wholly_or_not_at_all(commits: int, place: tuple[str, Path]) -> None:
    """The sweep is open if and only if there is something to run."""
    url, files = place
    with_failures(url, files, "search.trials=4", *RANDOM)
    with closing(Store(url)) as store:
        from sqlalchemy import event

        left = commits

        def count(_: Any) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed

        event.listen(store._engine, "commit", count)
        try:
            store.take_lease(1, "me", LEASE)
            writer = store.writer(1, "me")
            with writer.together():
                writer.retry([2, 3], "asked for")
                writer.set_sweep_state("interrupted", "x")
        except Killed:
            pass
        event.remove(store._engine, "commit", count)
    states = [trial.state for trial in trials_of(url)]
    assert (told(url)["sweep"][0] == "interrupted") == ("queued" in states) == (states.count("queued") == 2)


def test_the_command(place: tuple[str, Path]) -> None:
    url, files = place
    with_failures(url, files, "search.trials=4", *RANDOM)
    cli = CliRunner()
    assert "trial 1 of test is complete" in cli.invoke(app, ["retry", "test", "1", "--db", url]).stderr
    said = cli.invoke(app, ["resume", "test", "--trial", "3", "--db", url])
    assert (said.exit_code, "`retry test 3` has it run again" in said.stderr) == (2, True)
    said = cli.invoke(app, ["retry", "test", "3", "--db", url, "--json"])
    assert json.loads(said.stdout)["retry"] == {
        "sweep": "test",
        "trials": [{"trial": trials_of(url)[2].id, "trial_number": 3}],
        "running": False,
    }
    said = cli.invoke(app, ["retry", "test", "--db", url])
    assert said.stdout.splitlines()[0] == "trial 2 of test is to be run again"
    assert said.stdout.splitlines()[1].startswith("to go on: python -m sweeper resume test")
    with opened(url, make_spec("search.trials=4", *RANDOM), files) as driver:
        driver.fail(trial_of(driver), Configuration("again"))
        said = cli.invoke(app, ["retry", "test", "--db", url])
        assert said.stdout.startswith("asked for trial 2 of test to be run again")
        assert driver.poll()
        assert {trial_of(driver).called, trial_of(driver).called} == {2, 3}
