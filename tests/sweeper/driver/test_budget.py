"""The cap is hard: whatever trials cost, whatever was predicted, whoever is killed."""

import random
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from sweeper.cli.main import app
from sweeper.driver.budget_guard import BudgetGuard
from sweeper.driver.driver import EXHAUSTED, Driver
from sweeper.driver.jobs import Cost, StageJob, TrialJob
from sweeper.driver.stop_reason import StopReason
from sweeper.execution import runner
from sweeper.planning.cost_estimates import CostEstimates, Measured, shape_of
from sweeper.spec.budget import Amount, Budget
from sweeper.spec.spec import SweepSpec, differences
from sweeper.spec.yaml_source import InvalidSpec
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests import fakes
from tests.sweeper.driving import STAGED, Killed, advance, drive, make_spec, opened, run_to_end, told
from tests.sweeper.execution.test_runner import text
from tests.sweeper.processes import Work, end_of, pairs


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


# --- the specification ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("budget.hours=null", "budget: says nothing: hours, gpu_hours, trials, tokens"),
        ("budget.hours=0", "budget.hours: must be greater than 0, got 0"),
        ("budget.trials=1.5", "budget.trials"),
        ("budget.hour=1", "budget.hour: unknown; did you mean budget.hours?"),
        ("budget=3", "budget"),
    ],
)
def test_a_budget_that_is_none_is_a_sentence(said: str, problem: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        make_spec(said)
    assert problem in str(caught.value)
    assert len(caught.value.problems) == 1


def test_a_raised_budget_is_no_other_sweep() -> None:
    plain, one, two = make_spec(), make_spec("budget.hours=1"), make_spec("budget={hours: 2, trials: 9}")
    for before in (plain, one, two):
        for after in (plain, one, two):
            assert differences(before.resolved(), after.resolved()) == []
    assert SweepSpec.from_resolved(two.resolved()).budget == Budget(hours=2, trials=9)


# --- what guards it ----------------------------------------------------------------------------------------
GRAIN = 10.0  # seconds, of a GPU too: what is spent between two looks
cost = st.floats(0, GRAIN)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), slots=st.integers(1, 4), trials=st.none() | st.integers(1, 6))
def test_what_is_spent_never_passes_the_cap_by_more_than_the_grain(
    data: Any, slots: int, trials: int | None
) -> None:
    clock = Clock()
    hours, gpu_hours = (data.draw(st.none() | st.floats(0.01, 0.1)) for _ in range(2))
    if hours is None and gpu_hours is None and trials is None:
        trials = 3
    guard = BudgetGuard(Budget(hours=hours, gpu_hours=gpu_hours, trials=trials), clock=clock)
    live: dict[int, float] = {}
    names = iter(range(1000))
    for _ in range(data.draw(st.integers(5, 60))):
        if guard.overdrawn():
            break
        while len(live) < slots:
            estimate = Amount(data.draw(st.floats(0, 60)), data.draw(st.floats(0, 60)), trials=1)
            if guard.lacks(estimate):
                break
            live[name := next(names)] = 0.0
            guard.reserve(name, estimate)
            guard.begin_trial()
        clock.now += data.draw(cost)
        for name in list(live):
            live[name] += data.draw(cost)
            guard.charge(name, Amount(gpu_seconds=live[name]))
            if data.draw(st.booleans()):
                guard.release(name)
                del live[name]
    spent = guard.spent
    assert hours is None or spent.seconds <= hours * 3600 + GRAIN
    assert gpu_hours is None or spent.gpu_seconds <= gpu_hours * 3600 + GRAIN * slots
    assert trials is None or spent.trials <= trials


@settings(max_examples=60, deadline=None)
@given(data=st.data(), slots=st.integers(1, 4), hours=st.floats(0.01, 0.05))
def test_where_predictions_hold_the_cap_is_not_passed_at_all(data: Any, slots: int, hours: float) -> None:
    guard, live = BudgetGuard(Budget(gpu_hours=hours), clock=Clock()), {}
    names = iter(range(1000))
    for _ in range(data.draw(st.integers(5, 40))):
        while len(live) < slots:
            estimate = data.draw(st.floats(1, 60))
            if guard.lacks(Amount(gpu_seconds=estimate)):
                break
            live[name := next(names)] = (0.0, estimate)
            guard.reserve(name, Amount(gpu_seconds=estimate))
        for name, (paid, estimate) in list(live.items()):
            paid = min(estimate, paid + data.draw(cost))
            live[name] = paid, estimate
            guard.charge(name, Amount(gpu_seconds=paid))
            if paid == estimate:
                guard.release(name)
                del live[name]
        assert guard.spent.gpu_seconds <= hours * 3600 * (1 + 1e-6)


def test_no_running_time_passes_while_it_is_paused() -> None:
    clock = Clock()
    guard = BudgetGuard(Budget(hours=1), Amount(seconds=600), clock)
    for paused, minutes in ((True, 5), (False, 30), (True, 2), (True, 1), (False, 40)):
        clock.now += 60 * minutes
        guard.pause(paused)
    assert guard.spent.seconds == 600 + 60 * (5 + 2 + 0)
    clock.now += 43 * 60 - 1
    assert not guard.overdrawn()
    clock.now += 2
    assert guard.overdrawn() == "budget.hours = 1 is spent"
    assert guard.lacks(Amount()) == "budget.hours = 1 is spent"


# --- estimates ---------------------------------------------------------------------------------------------
def test_estimates_are_of_what_ended_else_of_a_calibration() -> None:
    values = make_spec().train_config({"finetune.block_size": 4}, 0).to_dotted()
    other = {**values, "finetune.block_size": 8}
    fast = {**values, "finetune.schedule.name": "cosine", "finetune.lr": 1e-5, "seed": 9}
    assert shape_of(values, "finetune") == shape_of(fast, "finetune") != shape_of(other, "finetune")
    measured = {shape_of(values, "finetune"): Measured(0.5, 2.0, 3.0, 1.0, 0, 0)}
    estimates = CostEstimates(0.25, measured)
    # 4 steps, evaluated at 2 (and, as what comes at the end, at 4)
    assert estimates.of(values, "finetune", 4) == Amount(8.0, 2.0, 0, 4 * 16 * 64)
    assert estimates.of(other, "finetune", 4).seconds == 0.0
    estimates.learn(values, "finetune", 4, 20.0)
    estimates.learn(values, "finetune", 2, 14.0)
    assert estimates.of(values, "finetune", 4).seconds == 4 * 6.0
    assert (
        estimates.of(other, "finetune", 4).seconds == 4 * 6.0
    )  # nobody has seen it: as the slowest there was


# --- the driver ---------------------------------------------------------------------------------------------
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
                url, spec, tmp_path / "files", commits=chance.randrange(5, 40), clock=clock
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
        driver.lost(job)
        again = driver.next()
        assert isinstance(again, TrialJob)
        assert again.attempt == 2  # the same trial costs no other one
        driver.fail(again, "broken")
        assert driver.next() is None
        assert driver.stop_reason is not None
        assert driver.stop_reason.reason == "budget.trials = 1 are begun"


# --- the command line ----------------------------------------------------------------------------------
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
        store.writer(1, "me").change_spec("budget", make_spec("budget.hours=2").resolved()["budget"])
        sweep = reader.sweep("test")
        assert sweep is not None
        assert SweepSpec.from_resolved(sweep.spec).budget == Budget(hours=2)


# --- under Ray --------------------------------------------------------------------------------------------
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
