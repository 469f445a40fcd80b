"""The race after the search: who runs on which seed, what is scored, when it ends; a kill changes nothing."""

import random
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sweeper.driver.driver import Driver, End
from sweeper.driver.extension import NotSettled, settle, settled
from sweeper.driver.failures import Configuration, Lost
from sweeper.driver.jobs import Job, ScoringJob, TrialJob
from sweeper.driver.retention import raced_yet
from sweeper.results.leaderboard import leaderboard
from sweeper.results.race_plan import race_plan
from sweeper.results.ranking import best_of_search
from sweeper.spec.spec import SweepSpec
from sweeper.store.queries import Reader
from sweeper.store.records import ScoreRecord, TrialRecord
from sweeper.store.store import Store
from tests.sweeper.driving import (
    STAGED,
    advance,
    drive,
    kill_points,
    make_spec,
    opened,
    run_to_end,
    run_until_killed,
    told,
)

SMALL = ("search.trials=5", "search.sampler=random", "trainer.evaluation.every=4", *STAGED)
BASELINE = "always=[{finetune.block_size: 16}]"
SETTLE = "settle={within: 1%, seeds: 4, contenders: 4}"


def run(spec: SweepSpec, place: Path, slots: int = 1) -> str:
    url = f"sqlite:///{place}/sweeps.db"
    run_to_end(url, spec, place / "files", slots=slots)
    return url


def trials_of(url: str, *roles: str) -> list[TrialRecord]:
    with closing(Reader(url)) as reader:
        return [trial for trial in reader.trials(1) if trial.role in roles]


def scores_of(url: str) -> list[ScoreRecord]:
    with closing(Reader(url)) as reader:
        return [each._replace(cpu_seconds=0.0) for each in reader.scores(1)]


def events_of(url: str, kind: str) -> list[str]:
    with closing(Reader(url)) as reader:
        return [event.text for event in reader.events(1, limit=1000) if event.kind == kind]


def all_of(url: str) -> dict[str, Any]:
    return {**told(url), "scores": scores_of(url), "settle": events_of(url, "settle")}


def raced(url: str) -> set[tuple[int, int]]:
    """(configuration, round) of all that has a score."""
    with closing(Reader(url)) as reader:
        configuration = {trial.id: trial.configuration for trial in reader.trials(1)}
    return {(configuration[each.trial], each.round) for each in scores_of(url)}


@pytest.mark.parametrize("slots", [1, 3])
def test_all_contenders_run_on_the_same_seeds_and_masks(slots: int, tmp_path: Path) -> None:
    url = run(make_spec(BASELINE, SETTLE, *SMALL), tmp_path, slots)
    with closing(Reader(url)) as reader:
        best = best_of_search(reader, 1, 4)
        trials = {trial.id: trial for trial in reader.trials(1)}
    places = raced(url)
    assert {(each, round) for each in best for round in (1, 2)} <= places
    assert {configuration for configuration, _ in places} == set(best)
    for score in scores_of(url):
        assert trials[score.trial].seed == 3 + score.round
    assert {trial.state for trial in trials.values()} == {"complete"}
    assert told(url)["sweep"][0] == "complete"
    assert events_of(url, "settle")[-1].startswith("the race has ended after")


def test_what_ran_on_a_rounds_seed_is_scored_and_not_trained_again(tmp_path: Path) -> None:
    url = run(make_spec(BASELINE, SETTLE, "confirm={top: 2, seeds: 2}", "always_seeds=2", *SMALL), tmp_path)
    own = [t for t in trials_of(url, "baseline", "search", "confirm", "race") if t.repeat_of is None]
    runs = [(t.configuration, t.seed) for t in own]
    assert len(runs) == len(set(runs))
    confirmed = {trial.id for trial in trials_of(url, "confirm")}
    assert confirmed & {score.trial for score in scores_of(url)}


def test_without_settle_nothing_is_scored(tmp_path: Path) -> None:
    url = run(make_spec(BASELINE, *SMALL), tmp_path)
    assert scores_of(url) == []
    assert trials_of(url, "race") == []


def test_at_the_cap_it_says_that_it_is_not_settled(tmp_path: Path) -> None:
    url = run(make_spec("settle={within: 0.001%, seeds: 2, contenders: 3}", *SMALL), tmp_path)
    assert {round for _, round in raced(url)} == {1, 2}
    assert events_of(url, "settle")[-1].endswith("not settled to 0.00% by 2 seeds")


def test_one_whose_run_fails_leaves_the_race_and_that_is_said(tmp_path: Path) -> None:
    spec, url = make_spec(SETTLE, *SMALL), f"sqlite:///{tmp_path}/sweeps.db"
    with opened(url, spec, tmp_path / "files") as driver:
        while not (isinstance(job := driver.next(), TrialJob) and job.trial in of_role(url, "race")):
            assert not isinstance(job, End)
            assert job is not None
            finish(driver, job)
        driver.fail(job, Configuration("a bug"))
        drive(driver)
    (failed,) = [trial for trial in trials_of(url, "race") if trial.state == "failed"]
    assert (failed.configuration, 3) not in raced(url)
    assert f"configuration {failed.configuration} leaves the race" in " ".join(events_of(url, "settle"))
    assert len({configuration for configuration, _ in raced(url)}) >= 2
    with closing(Reader(url)) as reader:
        board = leaderboard(reader, "test")
    assert failed.configuration not in [row.configuration for row in board.confirmed]


@pytest.mark.parametrize("role", ["confirm", "race"])
def test_a_checkpoint_that_is_gone_is_trained_again_once_then_its_configuration_leaves(
    role: str, tmp_path: Path
) -> None:
    """Of whichever run that is. role: of the first whose checkpoint is gone."""
    spec, url = make_spec(SETTLE, "confirm={top: 2, seeds: 2}", *SMALL), f"sqlite:///{tmp_path}/sweeps.db"
    with opened(url, spec, tmp_path / "files") as driver:
        lost = None
        while not isinstance(job := driver.next(), End):
            assert job is not None
            if isinstance(job, ScoringJob) and lost is None and job.trial in of_role(url, role):
                lost, first = configuration_of(url, job.trial), job
            if isinstance(job, ScoringJob) and lost == configuration_of(url, job.trial):
                Path(job.folder, "unreadable").touch()
            finish(driver, job)
        driver.end()
    runs = [trial for trial in trials_of(url, "confirm", "race") if trial.configuration == lost]
    (seed,) = [trial.seed for trial in runs if trial.id == first.trial]
    assert [trial.role for trial in runs if trial.seed == seed] == [role, "race"]
    assert (lost, first.round) not in raced(url)
    assert f"configuration {lost} leaves the race" in " ".join(events_of(url, "settle"))


def test_a_score_that_is_lost_is_begun_again_and_a_paused_sweep_keeps_it(tmp_path: Path) -> None:
    spec, url = make_spec(SETTLE, *SMALL), f"sqlite:///{tmp_path}/sweeps.db"
    with opened(url, spec, tmp_path / "files") as driver:
        while not isinstance(job := driver.next(), ScoringJob):
            assert job is not None
            assert not isinstance(job, End)
            finish(driver, job)
        driver.fail(job, Lost())
        assert driver.next() == job
        driver.hold(True)
        assert not driver.take(job, [])
        assert driver.next() is None
        driver.hold(False)
        drive(driver)
    assert (job.trial, job.round) in [(score.trial, score.round) for score in scores_of(url)]


def test_a_budget_caps_the_race_and_more_of_it_goes_on(tmp_path: Path) -> None:
    place, url = tmp_path / "files", f"sqlite:///{tmp_path}/sweeps.db"
    spec = make_spec(SETTLE, "budget.trials=7", *SMALL)
    with opened(url, spec, place) as driver:
        drive(driver)
        assert driver.stop_reason is not None
        assert "budget.trials = 7" in driver.stop_reason.reason
    with opened(url, make_spec(SETTLE, *SMALL), place) as driver:
        drive(driver)
    whole = run(make_spec(SETTLE, *SMALL), tmp_path / "whole")
    assert scores_of(url) == scores_of(whole)


def test_it_is_asked_for_while_the_sweep_runs_and_more_of_it_when_it_has_ended(tmp_path: Path) -> None:
    spec, url = make_spec(BASELINE, *SMALL), f"sqlite:///{tmp_path}/sweeps.db"
    with opened(url, spec, tmp_path / "files") as driver:
        driver.next()
        asked, driven = settle(url, "test", {"within": "5%", "seeds": 2, "contenders": 3})
        assert (asked.within, driven) == (0.05, True)
        driver.poll()
        driver.interrupt("to begin again")
    with closing(Reader(url)) as reader:
        record = reader.sweep("test")
    assert record is not None
    assert SweepSpec.from_resolved(record.spec).settle == asked
    run_to_end(url, SweepSpec.from_resolved(record.spec), tmp_path / "files")
    assert {round for _, round in raced(url)} == {1, 2}
    before = scores_of(url)

    with closing(Store(url)) as store:
        store.release_lease(1, "me")
    asked, driven = settle(url, "test", {"within": "0.01%", "seeds": 3})
    assert (asked.contenders, driven) == (3, False)
    with closing(Reader(url)) as reader:
        record = reader.sweep("test")
    assert record is not None
    assert record.state == "interrupted"
    with opened(url, SweepSpec.from_resolved(record.spec), tmp_path / "files") as driver:
        assert not driver.over()
        drive(driver)
    after = scores_of(url)
    assert all(score in after for score in before)
    assert {round for _, round in raced(url)} == {1, 2, 3}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"within": "much"}, "settle.within"),
        ({"seeds": 1}, "settle.seeds"),
        ({"by": "finetune.lr"}, "no dimension"),
        ({"until": "tomorrow"}, "settle.until"),
    ],
)
def test_what_cannot_be_asked_is_said(said: dict[str, Any], why: str) -> None:
    with pytest.raises(NotSettled, match=why):
        settled(make_spec(), said)


def test_each_value_of_a_dimension_has_a_race_of_its_own(tmp_path: Path) -> None:
    url = run(make_spec("settle={within: 5%, seeds: 2, by: finetune.block_size}", *SMALL), tmp_path)
    with closing(Reader(url)) as reader:
        spec = SweepSpec.from_resolved(reader.sweep("test").spec)  # type: ignore[union-attr]
        plan = race_plan(reader, 1, spec.settle)  # type: ignore[arg-type]
        values = reader.configurations(1)
    assert len(plan.contests) > 1
    assert plan.wanted == []
    for contest in plan.contests:
        assert {values[each]["finetune.block_size"] for each in contest.contenders} == {contest.value}


def finish(driver: Driver, job: Job) -> None:
    Path(job.folder).mkdir(parents=True, exist_ok=True)
    work = job.run("tests.fakes", "cpu")
    while advance(driver, job, work):
        pass


def of_role(url: str, role: str) -> set[int]:
    return {trial.id for trial in trials_of(url, role)}


def configuration_of(url: str, trial: int) -> int:
    with closing(Reader(url)) as reader:
        record = reader.trial(trial)
    assert record is not None
    return record.configuration


def test_keep_takes_no_checkpoint_that_the_race_may_score(tmp_path: Path) -> None:
    settings = (BASELINE, SETTLE, "always_seeds=3", *SMALL)
    spec, url = make_spec("keep={best: 1}", *settings), f"sqlite:///{tmp_path}/sweeps.db"
    with opened(url, spec, tmp_path / "files") as driver:
        while not isinstance(job := driver.next(), ScoringJob):
            assert job is not None
            assert not isinstance(job, End)
            finish(driver, job)
        with closing(Reader(url)) as reader:
            sweep = reader.sweep("test")
            assert sweep is not None
            trials = reader.trials(1)
            needed = raced_yet(reader, sweep, spec, trials)
    assert needed == {trial.id for trial in trials if trial.seed > 3}
    assert {trial.role for trial in trials if trial.id in needed} == {"baseline", "race"}


@pytest.mark.parametrize(
    "stride",
    [41, pytest.param(1, marks=[pytest.mark.long, pytest.mark.timeout(1800)])],
    ids=["some", "every"],
)
def test_kill_points(stride: int, tmp_path: Path) -> None:
    spec, url = make_spec(BASELINE, SETTLE, *SMALL), f"sqlite:///{tmp_path}/whole.db"
    points = 0
    for copy in kill_points(url, spec, tmp_path / "whole", stride):
        run_to_end(copy, spec, tmp_path)
        assert all_of(copy) == all_of(url), f"killed at {copy}"
        points += 1
    assert points * stride > 100
    assert len(scores_of(url)) > 8


def test_killed_again_and_again_it_decides_the_same(tmp_path: Path) -> None:
    spec = make_spec(BASELINE, SETTLE, *SMALL)
    whole, cut = run(spec, tmp_path / "whole"), f"sqlite:///{tmp_path}/cut.db"
    lifetimes, kills = random.Random(1), 0
    while run_until_killed(cut, spec, tmp_path / "cut", commits=lifetimes.randrange(5, 40)):
        kills += 1
    assert kills > 3
    assert all_of(cut) == all_of(whole)
