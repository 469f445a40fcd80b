"""The sweep's logic without Ray. A kill is an exception at a commit: nothing of the driver is left."""

import random
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.driver.driver import EXHAUSTED
from sweeper.driver.failures import Lost
from sweeper.driver.jobs import NOTHING, Cost, StageJob, TrialJob
from sweeper.files.stage_cache import seal
from sweeper.store.controls import request
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests.sweeper.driving import (
    STAGED,
    Killed,
    advance,
    drive,
    kill_points,
    make_spec,
    opened,
    run_to_end,
    run_until_killed,
    told,
    trial_of,
)
from trainer.evaluation.record import Report

BASELINES = "always=[{finetune.block_size: 16, finetune.schedule.name: loglinear}]"


def events(url: str) -> list[str]:
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("test")
        assert sweep is not None
        return [each.text for each in reader.events(sweep.id, limit=10_000)]


def states(url: str, name: str = "test") -> dict[str, int]:
    with closing(Reader(url)) as reader:
        sweep = reader.sweep(name)
        assert sweep is not None
        return reader.trial_states(sweep.id)


@pytest.mark.parametrize("sampler", ["tpe", pytest.param("random", marks=pytest.mark.long)])
@pytest.mark.parametrize("overrides", [(), STAGED], ids=["plain", "staged"])
def test_killed_again_and_again_it_ends_as_if_nobody_had(
    sampler: str, overrides: tuple[str, ...], tmp_path: Path
) -> None:
    spec = make_spec(f"search.sampler={sampler}", BASELINES, "always_seeds=2", *overrides)
    run_to_end(f"sqlite:///{tmp_path}/whole.db", spec, tmp_path / "whole")
    lifetimes, kills = random.Random(sampler), 0
    while run_until_killed(
        f"sqlite:///{tmp_path}/cut.db", spec, tmp_path / "cut", commits=lifetimes.randrange(3, 17)
    ):
        kills += 1
    assert kills > 8
    assert told(f"sqlite:///{tmp_path}/cut.db") == told(f"sqlite:///{tmp_path}/whole.db")


@pytest.mark.parametrize(
    "stride",
    [13, pytest.param(1, marks=[pytest.mark.long, pytest.mark.timeout(1200)])],
    ids=["some", "every"],
)
@pytest.mark.parametrize("sampler", ["tpe", pytest.param("random", marks=pytest.mark.long)])
def test_kill_points(sampler: str, stride: int, tmp_path: Path) -> None:
    spec, url = make_spec(f"search.sampler={sampler}"), f"sqlite:///{tmp_path}/whole.db"
    points = 0
    for copy in kill_points(url, spec, tmp_path / "whole", stride):
        run_to_end(copy, spec, tmp_path)
        assert told(copy) == told(url), f"killed at {copy}"
        points += 1
    assert len({str(trial) for trial in told(url)["trials"]}) >= 14
    assert points * stride > 60


def test_with_more_slots_nothing_is_lost_or_doubled(place: tuple[str, Path]) -> None:
    spec = make_spec("search.trials=20", *STAGED)
    lifetimes = random.Random(5)
    while run_until_killed(*place[:1], spec, place[1], commits=lifetimes.randrange(5, 60), slots=3):
        pass
    assert states(place[0]) == {"complete": 20}
    result = told(place[0])
    assert all([step for step, _ in curve] == [4, 6] for curve in result["rows"]["val_ppl"].values())


def test_a_repeat_is_told_and_not_run(place: tuple[str, Path]) -> None:
    spec = make_spec(
        BASELINES, "always_seeds=1", "search.trials=2",
        "search.points=[{finetune.block_size: 16, finetune.schedule.name: loglinear}]",
    )  # fmt: skip
    run_to_end(place[0], spec, place[1])
    with closing(Reader(place[0])) as reader:
        trials = reader.trials(1)
    assert [t.repeat_of for t in trials][:2] == [None, 1]  # the point is the baseline, at its seed
    assert trials[1].state == "complete"
    assert trials[1].attempt == 0
    assert states(place[0]) == {"complete": 3}  # the repeat has not used up the budget


def test_a_repeat_of_a_running_trial_waits_for_its_value(place: tuple[str, Path]) -> None:
    text = "name: test\ntrainer: {finetune.steps: 2}\nspace: {finetune.block_size: {choice: [4, 8]}}\n"
    spec = make_spec(text=text + "search: {sampler: random, trials: 2, seed: 2}")  # proposes the first twice
    with opened(place[0], spec, place[1], slots=3) as driver:
        drive(driver, slots=3)
    with closing(Reader(place[0])) as reader:
        repeat = reader.trials(1)[1]
    assert (repeat.repeat_of, repeat.state) == (1, "complete")


def test_the_end_of_a_finite_space_ends_the_search_with_a_sentence(place: tuple[str, Path]) -> None:
    text = "name: test\ntrainer: {finetune.steps: 2}\nspace: {finetune.block_size: {choice: [4, 8]}}\n"
    spec = make_spec(text=text + "search: {sampler: random, trials: 9}")
    run_to_end(place[0], spec, place[1])
    assert states(place[0]) == {"complete": 2}
    assert told(place[0])["sweep"] == (
        "complete",
        "the search has ended: all 2 configurations of the space have been tried",
    )
    assert any("all 2 configurations" in text for text in events(place[0]))


def test_a_grid_is_proposed_in_order(place: tuple[str, Path]) -> None:
    text = "name: test\ntrainer: {finetune.steps: 2}\nspace: {finetune.block_size: {choice: [4, 16, 8]}}\n"
    run_to_end(place[0], make_spec(text=text + "search: {sampler: grid}"), place[1])
    assert [trial[6]["finetune.block_size"] for trial in told(place[0])["trials"]] == [4, 16, 8]


def test_a_stage_runs_once_for_all_and_waiting_trials_hold_no_slot(place: tuple[str, Path]) -> None:
    spec = make_spec(*STAGED, BASELINES, "always_seeds=2", "search.trials=2")
    with opened(place[0], spec, place[1], slots=2) as driver:
        first, second = driver.next(), driver.next()
        assert isinstance(first, StageJob)
        assert isinstance(second, StageJob)  # of the baseline's second seed: the first one's trial waits
        driver.finish(first)
        third = driver.next()
        assert isinstance(third, TrialJob)
        assert third.pretrained == first.folder
        driver.finish(second)
    run_to_end(place[0], spec, place[1])
    assert states(place[0]) == {"complete": 4}


def test_nothing_is_handed_out_while_all_wait_for_one_stage(place: tuple[str, Path]) -> None:
    with opened(place[0], make_spec(*STAGED), place[1], slots=2) as driver:
        assert isinstance(driver.next(), StageJob)
        assert driver.next() is None
        assert sum(driver.states().values()) == 2  # and TPE is not asked for more than the slots could take


def test_a_complete_stage_serves_the_next_sweep(place: tuple[str, Path]) -> None:
    run_to_end(place[0], make_spec(*STAGED, "search.trials=2"), place[1])
    again = make_spec(*STAGED, "search.trials=1", "name=again")
    with opened(place[0], again, place[1]) as driver:
        job = driver.next()
        assert isinstance(job, TrialJob)
        assert job.pretrained is not None
        stage = Path(job.pretrained)
    (stage / "last.safetensors").unlink()
    with opened(place[0], again, place[1]) as driver:
        assert isinstance(driver.next(), StageJob)  # its files are gone: once more


def test_a_failed_stage_fails_its_trials_with_its_text(place: tuple[str, Path]) -> None:
    spec = make_spec(*STAGED, "trainer.pretrain.batch_size=6", "search.trials=2")
    run_to_end(place[0], spec, place[1])
    trials = told(place[0])["trials"]
    assert [trial[5] for trial in trials if trial[4] is None] == ["failed"] * 2
    assert all("lower the learning rate" in trial[9] for trial in trials if trial[4] is None)
    assert told(place[0])["sweep"][0] == "failed"


def test_a_value_that_is_no_number_fails_the_trial_and_is_never_told(place: tuple[str, Path]) -> None:
    run_to_end(place[0], make_spec("trainer.finetune.batch_size=2", "search.trials=2"), place[1])
    assert states(place[0]) == {"failed": 2}
    assert told(place[0])["trials"][0][9] == "val_ppl is nan at step 4"


def test_a_lost_trial_is_tried_three_times_more(place: tuple[str, Path]) -> None:
    with opened(place[0], make_spec("search.trials=1"), place[1]) as driver:
        attempts = []
        while (job := driver.next()) is not EXHAUSTED:
            assert isinstance(job, TrialJob)
            attempts.append(job.attempt)
            driver.fail(job, Lost())
        assert attempts == [1, 2, 3, 4]
        assert driver.states() == {"lost": 1}


def test_a_stale_attempt_says_nothing(place: tuple[str, Path]) -> None:
    with opened(place[0], make_spec("search.trials=1"), place[1]) as driver:
        job = driver.next()
        assert isinstance(job, TrialJob)
        driver.fail(job, Lost())
        driver.next()
        assert not driver.take(job, [])
        driver.finish(job)
        assert driver.states() == {"running": 1}


def test_what_is_interrupted_is_handed_back(place: tuple[str, Path]) -> None:
    with opened(place[0], make_spec("search.trials=1"), place[1]) as driver:
        driver.next()
        driver.interrupt("interrupted by SIGINT")
    assert states(place[0]) == {"queued": 1}
    assert told(place[0])["sweep"] == ("interrupted", "interrupted by SIGINT")


def test_a_kill_loses_neither_the_cost_so_far_nor_the_worker(place: tuple[str, Path]) -> None:
    spec = make_spec("search.trials=1", *STAGED)
    report = Report(2, {"tokens": 20.0})
    with opened(place[0], spec, place[1]) as driver:
        stage = driver.next()
        assert isinstance(stage, StageJob)
        driver.take(stage, [report], Cost(1.0, 0.5))
        driver.take(stage, [], Cost(2.0, 1.0))  # a heartbeat: nothing is written
    with opened(place[0], spec, place[1]) as driver:
        stage = driver.next()
        assert isinstance(stage, StageJob)
        driver.take(stage, [report], Cost(4.0, 0.0))
        driver.finish(stage, Cost(5.0, 0.0))
        Path(stage.folder).mkdir(parents=True)
        Path(stage.folder, "last.safetensors").touch()
        seal(Path(stage.folder))
        job = driver.next()
        assert isinstance(job, TrialJob)
        driver.take(job, [], NOTHING, "here:1")
        driver.take(job, [report], Cost(3.0, 1.0), "here:1")
        driver.take(job, [report], Cost(7.0, 2.0), "here:1")
    with closing(Reader(place[0])) as reader:
        (trial,) = reader.trials(1)
        assert (trial.worker, trial.cpu_seconds, trial.gpu_seconds) == ("here:1", 7.0, 2.0)
    with opened(place[0], spec, place[1]) as driver:
        job = driver.next()
        assert isinstance(job, TrialJob)
        driver.take(job, [report], Cost(1.0, 0.0), "here:2")
        driver.fail(job, Lost())
    with closing(Reader(place[0])) as reader:
        (trial,) = reader.trials(1)
        assert (trial.worker, trial.cpu_seconds, trial.gpu_seconds) == ("here:2", 8.0, 2.0)
        (made,) = reader.stages([stage.key])
        assert (made.cpu_seconds, made.gpu_seconds) == (6.0, 0.5)


def test_a_database_that_is_deleted_meanwhile_ends_the_run(place: tuple[str, Path]) -> None:
    with opened(place[0], make_spec(), place[1]) as driver:
        assert driver.poll()
        for file in place[1].parent.glob("sweeps.db*"):
            file.unlink()
        with pytest.raises(StoreError, match="is gone"):
            driver.poll()


def test_controls_stop_a_trial_and_the_sweep(place: tuple[str, Path]) -> None:
    spec = make_spec("search.trials=3")
    with opened(place[0], spec, place[1]) as driver:
        job = driver.next()
        assert isinstance(job, TrialJob)
        request(place[0], 1, "stop", job.trial)
        assert driver.poll()
        Path(job.folder).mkdir(parents=True)
        assert not advance(driver, job, job.run("tests.fakes", "cpu"))
        assert driver.states() == {"stopped": 1}
        request(place[0], 1, "stop")
        assert not driver.poll()
    request(place[0], 1, "stop")  # asked of a driver that is gone
    run_to_end(place[0], spec, place[1])
    assert states(place[0]) == {"stopped": 1, "complete": 2}


def test_a_driver_that_lost_its_lease_writes_nothing(place: tuple[str, Path]) -> None:
    with opened(place[0], make_spec(), place[1]) as driver:
        with closing(Store(place[0])) as store:
            store.release_lease(1, "me")
            store.take_lease(1, "other", 60)
        with pytest.raises(ValueError, match="lease"):
            driver.next()


def test_a_kill_is_felt(place: tuple[str, Path]) -> None:
    """The tests above prove nothing unless a commit can be cut off."""
    with pytest.raises(Killed), opened(place[0], make_spec(), place[1], commits=4) as driver:
        drive(driver)
    assert told(place[0])["sweep"][0] == "running"


def test_the_line_of_a_complete_trial_says_what_it_is_ranked_by(place: tuple[str, Path]) -> None:
    """A look has fewer masks than what the board goes by: without a word, log and board seem to disagree."""
    ranked = {"val_ppl": 20.0, "ranked_ppl": 19.5}
    with opened(place[0], make_spec("search.sampler=random"), place[1]) as driver:
        for values in (ranked, {"val_ppl": 20.0, "ranked_ppl": 20.0}, {"val_ppl": 20.0}):
            job = trial_of(driver)
            assert driver.take(job, [Report(4, values)])
            driver.finish(job, NOTHING)
    said = [text for text in events(place[0]) if " complete, " in text]
    more = " (ranked by 19.5: its best checkpoint under the masks of evaluation.rank_error)"
    assert sorted(text.partition(" complete, ")[2] for text in said) == ["val_ppl 20"] * 2 + [
        "val_ppl 20" + more
    ]
