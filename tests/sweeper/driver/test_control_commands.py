"""Stop, pause and resume by the command line, and under Ray."""

from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweeper.cli.main import app
from sweeper.store.controls import request
from sweeper.store.store import Store
from tests.sweeper.driver.test_control_requests import states, sweep_state
from tests.sweeper.driving import make_spec, opened, trial_of
from tests.sweeper.execution.test_runner import text
from tests.sweeper.processes import Work, end_of, pairs, wait_for


def call(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*words])
    return result.exit_code, result.stdout + result.stderr


def test_pause_and_resume_are_said_and_asked(place: tuple[str, Path]) -> None:
    spec, url = make_spec("search.trials=2"), place[0]
    with opened(url, spec, place[1], slots=2) as driver:
        one = trial_of(driver)
        code, said = call("pause", "test", "--trial", "1", "--db", url)
        assert (code, said.partition(";")[0]) == (
            0, "asked trial 1 of test to pause: it will, when its checkpoint is written",
        )  # fmt: skip
        code, said = call("resume", "test", "--trial", "1", "--db", url)
        assert (code, said) == (2, "trial 1 of test is not paused: it is running\n")
        driver.poll()
        assert not driver.take(one, [])
        assert "1 paused" in call("status", "test", "--db", url)[1]
        code, said = call("resume", "test", "--trial", "1", "--db", url)
        assert (code, said) == (0, "asked trial 1 of test to resume: it goes on when there is a slot\n")
        driver.poll()
        assert trial_of(driver).trial == 1
        assert call("pause", "test", "--db", url)[0] == 0
        driver.poll()
        assert call("pause", "test", "--db", url) == (
            2, "test is paused already: `resume test` has it go on\n",
        )  # fmt: skip
        assert "paused, its driver me waits" in call("status", "test", "--db", url)[1]
        assert call("resume", "test", "--db", url)[0] == 0
        driver.poll()
        assert sweep_state(url) == "running"
        one = next(job for job in driver._queue.live() if job.name == "trial 1")
        request(url, 1, "pause", 1)
        driver.poll()
        driver.take(one, [])
        driver.interrupt("stopped on request")
        with closing(Store(url)) as store:
            store.release_lease(1, "me")
    code, said = call("resume", "test", "--trial", "1", "--db", url)
    assert (code, said) == (
        0, f"asked trial 1 of test to resume: to go on: python -m sweeper resume test --db {url}\n",
    )  # fmt: skip
    code, said = call("pause", "test", "--db", url)
    assert code == 2
    assert said.startswith("test is not being run, so there is nothing to pause: interrupted, 0 of 2")


@pytest.mark.long
def test_paused_and_resumed_under_ray(tmp_path: Path) -> None:
    """While nothing runs, Tune waits in a loop of its own: the driver must hear all the same."""
    work = Work(tmp_path)
    driver = work.start(text(20, 21, 22), "trainer.evaluation.every=5", seconds=0.1)
    wait_for(lambda: work.steps() >= 4, driver)
    request(work.url, 1, "pause", 1)
    wait_for(lambda: "paused" in states(work.url), driver)
    wait_for(lambda: work.steps("trials/*/3") > 0, driver)  # the slot is another's
    request(work.url, 1, "pause")
    wait_for(lambda: sweep_state(work.url) == "paused" and "running" not in states(work.url), driver)
    wait_for(lambda: not work.workers(), driver)
    before = work.steps()
    assert states(work.url)["paused"] == 1
    request(work.url, 1, "resume")
    wait_for(lambda: work.steps() > before, driver)
    request(work.url, 1, "resume", 1)
    code, output = end_of(driver)
    assert code == 0, output
    assert states(work.url) == {"complete": 3}
    for ledger in work.files.glob("trials/*/*/ledger.txt"):
        assert [step for _, step in pairs(ledger)] == list(range(1, 11)), "nothing is trained twice"
