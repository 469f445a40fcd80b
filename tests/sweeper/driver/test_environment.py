"""A fault of the environment is no trial's: it stops the driver, or hands back; and what is damaged begins
again."""

import errno
import shutil
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from sweeper.driver.driver import Driver
from sweeper.driver.failures import (
    failure_of,
    in_words,
    is_of_the_environment,
)
from sweeper.driver.jobs import DAMAGED, Job, StageJob, TrialJob
from sweeper.store.queries import Reader
from tests import fakes
from tests.sweeper.driving import STAGED, advance, drive, make_spec, opened, run_to_end, told, trial_of
from trainer.config.problems import MissingFiles

TRAINER = "trainer.training.train"


# --- the environment's ------------------------------------------------------------------------------
@pytest.mark.parametrize("slots", [1, 3])
def test_files_that_cannot_be_written_stop_the_driver_and_cost_no_trial(
    slots: int, place: tuple[str, Path], tmp_path: Path
) -> None:
    url, files = place
    spec = make_spec("search.trials=6", "search.sampler=random")
    run_to_end(f"sqlite:///{tmp_path}/u.db", spec, tmp_path / "u", slots=slots)
    with opened(url, spec, files, slots=slots) as driver:
        jobs = [trial_of(driver) for _ in range(slots)]
        for job in jobs:
            driver.fail(job, failure_of(PermissionError(errno.EPERM, "Operation not permitted", job.folder)))
        assert driver.stop_reason is not None
        assert driver.stop_reason.code == 7
        assert driver.stop_reason.reason == f"{jobs[0].folder}: Operation not permitted"
        assert driver.next() is None
        assert driver.states() == {"queued": slots}
        driver.interrupt(driver.stop_reason.reason)
    run_to_end(url, spec, files, slots=slots)
    assert told(url) == told(f"sqlite:///{tmp_path}/u.db")


def test_a_checkpoint_to_start_from_that_is_gone_for_a_while_costs_no_trial(
    place: tuple[str, Path], tmp_path: Path
) -> None:
    """Its weights are part of each configuration's name: without them nothing can be proposed."""
    url, files = place
    published = tmp_path / "published" / "model.safetensors"
    published.parent.mkdir()
    published.write_bytes(b"weights")
    start = f"trainer.pretrain.from={published.parent}"
    spec = make_spec(start, "search.trials=3", "search.sampler=random")
    run_to_end(f"sqlite:///{tmp_path}/u.db", spec, tmp_path / "u")
    with opened(url, spec, files) as driver:
        _to_its_end(driver, trial_of(driver))
        published.rename(tmp_path / "away")
        with pytest.raises(MissingFiles) as raised:
            driver.next()
        assert is_of_the_environment(raised.value)
        driver.interrupt(in_words(raised.value))
        assert driver.states() == {"complete": 1}
    (tmp_path / "away").rename(published)
    run_to_end(url, spec, files)
    assert told(url) == told(f"sqlite:///{tmp_path}/u.db")


# --- a stage that goes ------------------------------------------------------------------------------
@pytest.mark.parametrize("slots", [1, 2])
def test_a_stage_that_is_deleted_while_its_trials_run_is_trained_again(
    slots: int, place: tuple[str, Path], tmp_path: Path
) -> None:
    url, files = place
    spec = make_spec(*STAGED, "search.trials=5", "search.sampler=random")
    run_to_end(f"sqlite:///{tmp_path}/u.db", spec, tmp_path / "u", slots=slots)
    deleted = 0
    with opened(url, spec, files, slots=slots) as driver:
        first = driver.next()
        assert isinstance(first, StageJob)
        _to_its_end(driver, first)
        _to_its_end(driver, trial_of(driver))
        shutil.rmtree(first.folder)
        drive(driver, slots)
        deleted += 1
    assert told(url) == told(f"sqlite:///{tmp_path}/u.db")
    with closing(Reader(url)) as reader:
        kinds = [event.kind for event in reader.events(1)]
        texts = [event.text for event in reader.events(1) if event.kind in ("branch", "stage")]
    assert 1 <= kinds.count("branch") <= slots
    assert any("its pretrain, which is looked at again" in text for text in texts)
    assert any("is run again: its checkpoint is gone" in text for text in texts)
    assert (Path(first.folder) / "last.safetensors").is_file()


def _to_its_end(driver: Driver, job: Job, train: str = "tests.fakes") -> None:
    Path(job.folder).mkdir(parents=True, exist_ok=True)
    run = job.run(train, "cpu")
    while advance(driver, job, run):
        pass


def _part_of(driver: Driver, train: str = "tests.fakes", reports: int = 1) -> TrialJob:
    """A trial that has reported, and is interrupted."""
    job = trial_of(driver)
    Path(job.folder).mkdir(parents=True, exist_ok=True)
    run = job.run(train, "cpu")
    while reports:
        report = next(run)
        reports -= report is not None
        driver.take(job, [report] if report else [])
    run.close()
    driver.interrupt("stopped by the test")
    return job


# --- a store that is older than its files -----------------------------------------------------------
def test_attempts_count_on_above_what_the_folder_has_seen(place: tuple[str, Path], tmp_path: Path) -> None:
    url, files = place
    spec = make_spec("search.trials=1")
    run_to_end(f"sqlite:///{tmp_path}/u.db", spec, tmp_path / "u")
    for _ in range(3):
        with opened(url, spec, files) as driver:
            job = _part_of(driver)
    assert job.attempt == 3
    older = f"sqlite:///{tmp_path}/older.db"  # none at all: as after the store was deleted
    run_to_end(older, spec, files)
    assert told(older) == told(f"sqlite:///{tmp_path}/u.db")
    with closing(Reader(older)) as reader:
        (trial,) = reader.trials(1)
        (said,) = [event.text for event in reader.events(1, trial.id) if event.kind == "stale"]
    assert trial.attempt == 4
    assert "goes on as attempt 4" in said
    assert "attempt 3 has been here, 1 is too late" in said


# --- damage -----------------------------------------------------------------------------------------
def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)


def spoil_the_header(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[12:20] = b"\xff" * 8
    file.write_bytes(content)


@pytest.mark.parametrize("harm", [cut, empty])
@pytest.mark.parametrize("staged", [(), STAGED])
def test_a_damaged_checkpoint_begins_again_from_its_branch_and_says_so(
    harm: Any, staged: tuple[str, ...], place: tuple[str, Path], tmp_path: Path
) -> None:
    url, files = place
    spec = make_spec(*staged, "search.trials=2")
    run_to_end(f"sqlite:///{tmp_path}/u.db", spec, tmp_path / "u")
    with opened(url, spec, files) as driver:
        if staged:
            _to_its_end(driver, driver.next())  # type: ignore[arg-type]
        job = _part_of(driver)
    harm(Path(job.folder) / "last.safetensors")
    run_to_end(url, spec, files)
    assert told(url) == told(f"sqlite:///{tmp_path}/u.db")
    beginning = "its pretrain" if staged else "its first step"
    with closing(Reader(url)) as reader:
        said = {event.kind: event.text for event in reader.events(1, job.trial)}
        started = [event.text for event in reader.events(1, job.trial) if event.kind == "start"]
    assert said["damaged"].startswith(f"trial 1 begins again from {beginning}: {job.folder}")
    assert started[1:] == [
        "trial 1 goes on from its last checkpoint: attempt 2",
        f"trial 1 begins again from {beginning}, for it has no checkpoint: attempt 3",
    ]
    assert (Path(job.folder) / f"last.safetensors{DAMAGED}").is_file()


def test_a_pretrain_that_is_damaged_before_its_end_begins_again(place: tuple[str, Path]) -> None:
    url, files = place
    spec = make_spec("trainer.pretrain.steps=4", "trainer.pretrain.block_size=64", "search.trials=2")
    with opened(url, spec, files) as driver:
        stage = driver.next()
        assert isinstance(stage, StageJob)
        Path(stage.folder).mkdir(parents=True)
        run = stage.run("tests.fakes", "cpu")
        next(run)
        run.close()
        driver.interrupt("stopped by the test")
    cut(Path(stage.folder) / "last.safetensors")
    run_to_end(url, spec, files)
    with closing(Reader(url)) as reader:
        assert reader.trial_states(1) == {"complete": 2}
        (text,) = [event.text for event in reader.events(1) if event.kind == "damaged"]
    assert text.startswith(f"pretrain {stage.key} begins again from its first step: {stage.folder}")
    assert (Path(stage.folder) / "ledger.txt").read_text().split()[1::2] == ["1", "1", "2", "3", "4"]


HARMS = {
    "last, cut": ("last.safetensors", cut),
    "last, emptied": ("last.safetensors", empty),
    "last, one bit": ("last.safetensors", flip),
    "last, its header": ("last.safetensors", spoil_the_header),
    "rows, shorter": ("rows.jsonl", cut),
    "config, cut": ("config.json", cut),
}


@pytest.mark.long
@pytest.mark.parametrize("harm", HARMS, ids=list(HARMS))
def test_the_trainers_own_files_damaged(harm: str, place: tuple[str, Path], tmp_path: Path) -> None:
    url, files = place
    name, act = HARMS[harm]
    spec = make_spec(*STAGED, "search.trials=1", "trainer.evaluation={every: 2, sequences: 4, draws: 1}",
                     "trainer.pretrain.steps=2", "trainer.finetune.batch_size=2")  # fmt: skip
    fakes.killed = False
    with opened(f"sqlite:///{tmp_path}/u.db", spec, tmp_path / "u") as driver:
        drive(driver, train=TRAINER)
    with opened(url, spec, files) as driver:
        _to_its_end(driver, driver.next(), TRAINER)  # type: ignore[arg-type]
        job = _part_of(driver, TRAINER)
    act(Path(job.folder) / name)
    with opened(url, spec, files) as driver:
        drive(driver, train=TRAINER)
    ours, undisturbed = told(url), told(f"sqlite:///{tmp_path}/u.db")
    with suppress(KeyError):
        undisturbed["rows"].pop("peak_memory")
    assert ours == undisturbed
    with closing(Reader(url)) as reader:
        kinds = [event.kind for event in reader.events(1, job.trial)]
    assert kinds.count("damaged") == 1
