"""What shared pretrains save, and the commands that list and clear them."""

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from typer.testing import CliRunner, Result

from sweeper.cli import main as cli
from sweeper.driver.jobs import Job, StageJob, TrialJob
from sweeper.files import stage_cache
from sweeper.results.savings import Savings, hours, savings
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests.sweeper.driver.test_stages import STAGED, stage_of
from tests.sweeper.driving import drive, make_spec, opened, run_to_end


def call(*words: str) -> Result:
    return CliRunner().invoke(cli.app, [*words])


def end_lease(url: str, name: str = "test") -> None:
    """The driver of driving.py does not give it back."""
    with closing(Store(url)) as store, closing(Reader(url)) as reader:
        sweep = reader.sweep(name)
        assert sweep is not None
        store.release_lease(sweep.id, "me")


def saved(url: str, name: str = "test") -> Savings | None:
    with closing(Reader(url)) as reader:
        sweep = reader.sweep(name)
        assert sweep is not None
        return savings(reader, sweep)


def test_savings_are_counted_in_the_ledgers(place: tuple[str, Path]) -> None:
    url, files = place
    run_to_end(url, make_spec(*STAGED), files)
    # Unshared: 3 x (2 + 4). Trained: 2 + 3 x 4. The stage cost 1 s for 2 steps.
    assert saved(url) == Savings(steps=4, unshared=18, cpu_seconds=2.0, gpu_seconds=0.0)
    assert Savings(9200, 12000, 5.0, 11160.0).words() == "saved 9,200 of 12,000 steps, 3.1 GPU-hours"

    # A step that a kill had repeated was trained, and is not saved.
    with open(Path(stage_of(url).folder) / "ledger.txt", "a") as ledger:
        ledger.write("1 2\n")
    again = saved(url)
    assert again is not None
    assert (again.steps, again.unshared) == (3, 18)


def test_a_stage_of_an_earlier_sweep_is_paid_for(place: tuple[str, Path]) -> None:
    url, files = place
    run_to_end(url, make_spec(*STAGED), files)
    run_to_end(url, make_spec(*STAGED, "name=again"), files)
    again = saved(url, "again")
    assert again is not None
    assert (again.steps, again.unshared) == (6, 18)


def test_nothing_is_saved_by_one_trial_or_without_a_pretrain(place: tuple[str, Path], tmp_path: Path) -> None:
    url, files = place
    run_to_end(url, make_spec(*STAGED, "search.trials=1"), files)
    assert saved(url) is None
    shutil.rmtree(stage_of(url).folder)
    assert saved(url) is None
    other = f"sqlite:///{tmp_path}/other.db"
    run_to_end(other, make_spec("search.trials=2"), files)
    assert saved(other) is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [((0.0, 11160.0), "3.1 GPU-hours"), ((5400.0, 0.0), "1.5 CPU-hours"), ((90.0, 0.0), "1.5 CPU-minutes")],
)
def test_hours(seconds: tuple[float, float], said: str) -> None:
    assert hours(*seconds) == said


def test_the_commands_say_what_was_saved(place: tuple[str, Path]) -> None:
    url, files = place
    run_to_end(url, make_spec(*STAGED), files)
    assert "shared pretrains saved 4 of 18 steps" in call("status", "test", "--db", url).stdout
    assert "Shared pretrains saved 4 of 18 steps" in call("leaderboard", "test", "--db", url).stdout
    board = json.loads(call("leaderboard", "test", "--db", url, "--json").stdout)
    assert (board["saved"]["steps"], board["saved"]["unshared"]) == (4, 18)
    status = json.loads(call("status", "test", "--db", url, "--json").stdout)
    assert status["saved"] == board["saved"]


def test_stages_lists_what_is_kept_and_by_whom_it_is_used(place: tuple[str, Path]) -> None:
    url, files = place
    run_to_end(url, make_spec(*STAGED), files)
    run_to_end(url, make_spec(*STAGED, "name=again", "search.trials=2"), files)
    stage = stage_of(url)
    line = call("stages", "--db", url).stdout.splitlines()[1].split()
    assert line[:4] == [stage.key, "complete", "2", "0.0"]
    assert " ".join(line).endswith("test (3), again (2)")
    (document,) = json.loads(call("stages", "--db", url, "--json").stdout)["stages"]
    assert document["trials"] == {"test": 3, "again": 2}
    assert document["bytes"] == sum(file.stat().st_size for file in Path(stage.folder).glob("*.safetensors*"))


def prune(url: str, *words: str) -> Any:
    result = call("stages", "prune", "--db", url, "--json", *words)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_prune_deletes_nothing_without_yes_and_then_what_nobody_needs(place: tuple[str, Path]) -> None:
    url, files = place
    run_to_end(url, make_spec(*STAGED), files)
    stage = stage_of(url)
    checkpoint = Path(stage.folder) / "last.safetensors"
    with closing(Store(url)) as store:
        store.take_lease(1, "me", 60)
    assert prune(url, "--yes")["kept"] == {stage.key: "test is being run"}  # its lease has not run out
    assert checkpoint.exists()
    end_lease(url)

    would = prune(url)
    assert (would["deleted"], would["stages"]) == (False, {stage.key: would["bytes"]})
    assert checkpoint.exists()
    assert "ago" in prune(url, "--yes", "--older-than", "1")["kept"][stage.key]
    with FileLock(Path(stage.folder) / ".lock"):
        assert prune(url, "--yes")["kept"] == {stage.key: "a worker is in it"}
    assert checkpoint.exists()

    freed = prune(url, "--yes")
    assert freed["bytes"] == would["bytes"] > 0
    assert not checkpoint.exists()
    assert (Path(stage.folder) / "ledger.txt").exists()  # what it has cost is still told
    assert saved(url) == Savings(4, 18, 2.0, 0.0)
    assert prune(url)["kept"] == {stage.key: "it holds no files"}
    assert "0 of 1 stages" in call("stages", "prune", "--db", url).stdout
    assert "0 of 1 stages" in call("stages", "--db", url, "prune").stdout

    run_to_end(url, make_spec(*STAGED, "name=again"), files)  # and it is made again where it is needed
    assert stage_cache.fault(Path(stage.folder)) == ""


def test_prune_leaves_what_an_unfinished_trial_needs(place: tuple[str, Path]) -> None:
    url, files = place
    with opened(url, make_spec(*STAGED), files) as driver:
        job: Any = driver.next()
        assert isinstance(job, StageJob)
        _to_end(job)
        driver.finish(job)
        assert isinstance(driver.next(), TrialJob)
        driver.interrupt("by a test")
    end_lease(url)
    key = stage_of(url).key
    assert prune(url, "--yes")["kept"] == {key: "1 trial of test is still to be run"}


def test_prune_leaves_what_an_interrupted_sweep_may_need(place: tuple[str, Path]) -> None:
    url, files = place
    with opened(url, make_spec(*STAGED), files) as driver:
        drive(_OneTrial(driver))  # type: ignore[arg-type]
        driver.interrupt("by a test")
    end_lease(url)
    key = stage_of(url).key
    for words in ([], ["--unused"]):  # which was another rule once
        assert prune(url, *words, "--yes")["kept"] == {key: "test has not ended"}


class _OneTrial:
    """A driver that has nothing more to do after its first trial."""

    def __init__(self, driver: Any):
        self._driver, self._trials = driver, 0

    def next(self) -> Any:
        from sweeper.driver.driver import EXHAUSTED

        if self._trials:
            return EXHAUSTED
        job = self._driver.next()
        self._trials += isinstance(job, TrialJob)
        return job

    def end(self) -> None: ...

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)


def _to_end(job: Job) -> None:
    Path(job.folder).mkdir(parents=True, exist_ok=True)
    for _ in job.run("tests.fakes", "cpu"):
        pass
