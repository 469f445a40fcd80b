"""A sweep keeps to its budget, whoever is killed, and goes on when that is raised."""

import random
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sweeper.cli.main import app
from sweeper.driver.driver import EXHAUSTED, Driver
from sweeper.driver.failures import Configuration, Lost
from sweeper.driver.jobs import Cost, StageJob, TrialJob
from sweeper.driver.stop_reason import StopReason
from sweeper.execution import runner
from sweeper.spec.budget import Amount
from sweeper.spec.sections import Budget
from sweeper.spec.spec import SweepSpec
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests import fakes
from tests.sweeper.driver.test_budget_guard import GRAIN, Clock
from tests.sweeper.driving import STAGED, Killed, advance, drive, make_spec, opened, run_to_end, told
from tests.sweeper.execution.test_runner import text
from tests.sweeper.processes import Work, end_of, pairs


def spend(driver: Driver, clock: Clock, chance: random.Random, slots: int) -> StopReason | None:
    """Drives as a runner would; every report costs up to a grain. Why it ended early, if it did."""
    running: dict[str, tuple[Any, Any, float]] = {}
    while True:
        while len(running) < slots:
            job = driver.next()
            if job is None or job is EXHAUSTED:
                break
            assert isinstance(job, TrialJob | StageJob)
            Path(job.folder).mkdir(parents=True, exist_ok=True)
            running[job.name] = (job, job.run("tests.fakes", "cpu"), 0.0)
        if driver.stop_reason is not None:
            for _, run, _ in running.values():
                run.close()
            driver.interrupt(driver.stop_reason.reason)
            return driver.stop_reason
        if not running:
            assert driver.next() is EXHAUSTED
            driver.end()
            return None
        clock.now += chance.uniform(0, GRAIN)
        driver.poll()
        for name, (job, run, paid) in list(running.items()):
            paid += chance.uniform(0, GRAIN)
            report = next(run, "over")
            if report == "over":
                driver.finish(job, Cost(0.0, paid))
                del running[name]
            elif driver.take(job, [report] if report else [], Cost(0.0, paid)):
                running[name] = (job, run, paid)
            else:
                run.close()
                running.pop(name) if driver.stop_reason is None else None


def spent_of(url: str) -> Amount:
    with closing(Reader(url)) as reader:
        drivers = reader.drivers(1)
        begun = sum(trial.attempt > 0 and trial.repeat_of is None for trial in reader.trials(1))
    return Amount(sum(d.seconds for d in drivers), sum(d.gpu_seconds for d in drivers), begun)


@pytest.mark.parametrize("cap", ["hours", "gpu_hours", "trials"])
@pytest.mark.parametrize("slots", [1, 3])
def test_a_sweep_ends_at_its_cap_and_goes_on_when_it_is_raised(
    cap: str, slots: int, place: tuple[str, Path]
) -> None:
    chance, url = random.Random(cap), place[0]
    limits = {"hours": (0.01, 0.02), "gpu_hours": (0.02, 0.05), "trials": (3, 7)}[cap]
    fakes.killed = False
    for limit in limits:
        clock = Clock()
        spec = make_spec(*STAGED, "search.trials=12", f"budget.{cap}={limit}")
        with opened(url, spec, place[1], slots=slots, clock=clock) as driver:
            stop_reason = spend(driver, clock, chance, slots)
        assert stop_reason is not None
        assert (stop_reason.code, stop_reason.more) == (6, f" budget.{cap}=MORE")
        assert stop_reason.reason.startswith(f"budget.{cap} = {limit} ")
        spent = spent_of(url)
        amount = {
            "hours": spent.seconds / 3600,
            "gpu_hours": spent.gpu_seconds / 3600,
            "trials": spent.trials,
        }
        grain = {"hours": GRAIN / 3600, "gpu_hours": slots * GRAIN / 3600, "trials": 0}[cap]
        assert amount[cap] <= limit + grain
        assert told(url)["sweep"] == ("interrupted", stop_reason.reason)
    run_to_end(url, make_spec(*STAGED, "search.trials=12"), place[1], slots=slots)  # and it may be lifted
    with closing(Reader(url)) as reader:
        assert reader.trial_states(1) == {"complete": 12}
    for ledger in place[1].glob("trials/*/*/ledger.txt"):
        assert [step for _, step in pairs(ledger)] == [3, 4, 5, 6], "what was stopped at the cap was saved"


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_commit_what_was_spent_is_not_forgotten(seed: int, tmp_path: Path) -> None:
    url, chance = f"sqlite:///{tmp_path}/s.db", random.Random(seed)
    spec = make_spec("search.trials=30", "budget.gpu_hours=0.04")
    stop_reason, paid, lives = None, 0.0, 0
    while stop_reason is None:
        clock, costs = Clock(), Costs(chance)
        lives += 1
        try:
            with opened(
                url, spec, tmp_path / "files", commits=chance.randrange(4, 26), clock=clock
            ) as driver:
                fakes.killed = False
                stop_reason = spend(driver, clock, costs, 1)
        except Killed:
            fakes.killed = True
        paid += costs.total
    assert lives > 2
    # What a killed driver had not written down yet: 5 s and a grain of its clock, or the trial it was at.
    assert spent_of(url).gpu_seconds <= 0.04 * 3600 + GRAIN
    fakes.killed = False


class Costs(random.Random):
    """Remembers what was paid."""

    def __init__(self, chance: random.Random):
        super().__init__(chance.random())
        self.total = 0.0

    def uniform(self, a: float, b: float) -> float:
        drawn = super().uniform(a, b)
        self.total += drawn
        return drawn


def test_tokens_are_those_of_pretrains_too(place: tuple[str, Path]) -> None:
    each = 16 * 64  # of a step
    spec = make_spec(*STAGED, "search.trials=9", f"budget.tokens={(2 + 4 + 4) * each}")
    with opened(place[0], spec, place[1]) as driver:
        drive(driver)
        assert driver.stop_reason is not None
        assert driver.stop_reason.reason == "budget.tokens = 10240 is spent"
    with closing(Reader(place[0])) as reader:
        assert reader.trial_states(1)["complete"] == 2
        assert [driver.tokens for driver in reader.drivers(1)] == [10 * each]


def test_with_one_slot_a_raised_budget_ends_as_if_it_had_always_been(tmp_path: Path) -> None:
    whole, cut = f"sqlite:///{tmp_path}/whole.db", f"sqlite:///{tmp_path}/cut.db"
    run_to_end(whole, make_spec("search.trials=8"), tmp_path / "whole")
    for trials in (2, 3, 6):
        spec = make_spec("search.trials=8", f"budget.trials={trials}")
        run_to_end(cut, spec, tmp_path / "cut")
        with closing(Reader(cut)) as reader:
            assert reader.trial_states(1)["complete"] == trials
    run_to_end(cut, make_spec("search.trials=8"), tmp_path / "cut")
    assert told(cut)["trials"] == told(whole)["trials"]
    assert told(cut)["rows"] == told(whole)["rows"]


def test_a_stage_is_not_begun_for_a_trial_that_cannot_be_afforded(place: tuple[str, Path]) -> None:
    spec = make_spec(*STAGED, "search.trials=2", "budget.trials=1")
    run_to_end(place[0], make_spec("search.trials=0", "always=[{}]", "always_seeds=1", "name=a"), place[1])
    with opened(place[0], spec, place[1]) as driver:
        stage = driver.next()
        assert isinstance(stage, StageJob)
        driver.finish(stage)
        job = driver.next()
        assert isinstance(job, TrialJob)
        assert advance(driver, job, iter([None]))
        assert driver.next() is None
        assert driver.stop_reason is None  # one still runs
        driver.fail(job, Lost())
        again = driver.next()
        assert isinstance(again, TrialJob)
        assert again.attempt == 2  # the same trial costs no other one
        driver.fail(again, Configuration("broken"))
        assert driver.next() is None
        assert driver.stop_reason is not None
        assert driver.stop_reason.reason == "budget.trials = 1 are begun"


def test_resume_with_more(place: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    spec, url = make_spec("search.trials=3", "budget.trials=1"), place[0]
    run_to_end(url, spec, place[1])
    with closing(Store(url)) as store:
        store.release_lease(1, "me")
    assert "budget: 1 of 1 trials\n" in CliRunner().invoke(app, ["status", "test", "--db", url]).stdout
    given: list[SweepSpec] = []

    def run_sweep(spec: SweepSpec, *arguments: Any, **options: Any) -> int:
        given.append(spec)
        return 0

    monkeypatch.setattr(runner, "run_sweep", run_sweep)
    result = CliRunner().invoke(app, ["resume", "test", "budget.trials=2", "resources.slots=3", "--db", url])
    assert result.exit_code == 0, result.stderr
    (more,) = given
    assert (more.budget, more.resources.slots) == (Budget(trials=2), 3)
    assert more.search == spec.search
    for override, code, said in (
        (
            "search.trials=9",
            2,
            "search.trials makes it another sweep; what may change is budget, resources, keep",
        ),
        ("budget.trials=none", 3, "budget.trials: "),
        ("budget.day=3", 3, "budget.day: "),
    ):
        result = CliRunner().invoke(app, ["resume", "test", override, "--db", url])
        assert (result.exit_code, len(result.stderr.splitlines())) == (code, 1)
        assert result.stderr.startswith(said)
    assert len(given) == 1


def test_a_changed_budget_is_what_the_store_says(place: tuple[str, Path]) -> None:
    """The next `resume NAME` goes on with it."""
    run_to_end(place[0], make_spec("search.trials=1"), place[1])
    with closing(Store(place[0])) as store, closing(Reader(place[0])) as reader:
        store.take_lease(1, "me", 60)
        store.writer(1, "me").change_spec("budget", make_spec("budget.hours=2").resolved()["budget"])
        sweep = reader.sweep("test")
        assert sweep is not None
        assert SweepSpec.from_resolved(sweep.spec).budget == Budget(hours=2)


@pytest.mark.long
def test_exit_code_6_and_on_with_more(tmp_path: Path) -> None:
    """Half a GPU each, by an injected calibration two fit into the cap; they take longer, and are stopped."""
    work = Work(tmp_path)
    three = text(20, 21, 22).replace("gpu: 0", "gpu: 0.5")
    machine = {"CUDA_VISIBLE_DEVICES": "0", "FAKE_MEMORY": "1000"}
    often = "trainer.evaluation.every=5"
    code, output = end_of(work.start(three, often, "budget.gpu_hours=0.0006", seconds=0.4, **machine))
    assert code == 6, output
    assert "budget.gpu_hours = 0.0006 is spent; to go on: python -m sweeper resume test" in output
    assert "budget.gpu_hours=MORE" in output
    assert told(work.url)["sweep"][0] == "interrupted"
    assert 0 < work.steps() < 30
    code, output = end_of(work.start(three, often, "budget.trials=3", **machine))
    assert code == 0, output
    for ledger in work.files.glob("trials/*/*/ledger.txt"):
        assert [step for _, step in pairs(ledger)] == list(range(1, 11)), "nothing is trained twice"
