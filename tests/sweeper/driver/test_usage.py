"""What a worker says of itself goes into the store, with the trial that it runs."""

from pathlib import Path

from sweeper.driver.jobs import StageJob, TrialJob
from sweeper.store.queries import Reader
from sweeper.store.records import Usage
from tests.sweeper.driving import STAGED, make_spec, opened

BUSY = Usage(0.9, 10**9, None, None)


def test_a_sample_is_of_the_trial_that_runs_and_of_none_in_a_pretrain(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/sweeps.db"
    with opened(url, make_spec(*STAGED, "search.trials=2"), tmp_path / "files") as driver:
        stage = driver.next()
        assert isinstance(stage, StageJob)
        driver.note_usage(stage, "a:1", BUSY)
        driver.finish(stage)
        trial = driver.next()
        assert isinstance(trial, TrialJob)
        driver.note_usage(trial, "b:2", BUSY._replace(cpu=0.5))
    reader = Reader(url)
    try:
        found = {each.worker: (each.trial, each.cpu) for each in reader.usage(1)}
    finally:
        reader.close()
    assert found == {"a:1": (None, 0.9), "b:2": (trial.trial, 0.5)}
