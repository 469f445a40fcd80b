"""`keep`: which checkpoints stay when trials end; the winners' always do."""

import errno
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.driver.extension import settle
from sweeper.driver.jobs import TrialJob
from sweeper.driver.retention import excess, remove
from sweeper.spec.spec import SweepSpec
from sweeper.spec.yaml_source import InvalidSpec
from sweeper.store.controls import request
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests.sweeper.driving import advance, drive, make_spec, opened, run_to_end

BEST, LAST = "best.safetensors", "last.safetensors"


def finished(tmp_path: Path, *overrides: str) -> tuple[str, SweepSpec]:
    """A sweep that has ended; the fake trainer writes no best checkpoint, so one is put beside each last."""
    url, spec = f"sqlite:///{tmp_path}/s.db", make_spec(*overrides)
    with opened(url, spec, tmp_path / "files") as driver:
        start = driver._trials.start

        def with_best(trial: int, *more: object) -> object:
            job = start(trial, *more)  # type: ignore[arg-type]
            Path(job.folder).mkdir(parents=True, exist_ok=True)
            (Path(job.folder) / BEST).write_text("weights")
            return job

        driver._trials.start = with_best  # type: ignore[method-assign,assignment]
        drive(driver)
    return url, spec


def on_disk(tmp_path: Path, name: str) -> set[int]:
    return {int(file.parent.name) for file in (tmp_path / "files" / "trials").glob(f"*/*/{name}")}


def ranked(url: str) -> list[int]:
    """Trials of the board, best first."""
    from sweeper.results.leaderboard import leaderboard

    with closing(Reader(url)) as reader:
        return [trial for row in leaderboard(reader, "test").rows for trial in row.trials]


def test_everything_stays_unless_something_else_is_said(tmp_path: Path) -> None:
    url, _ = finished(tmp_path, "search.trials=4")
    assert on_disk(tmp_path, BEST) == on_disk(tmp_path, LAST) == set(ranked(url))


@pytest.mark.parametrize("best", [1, 3])
def test_the_best_stay(tmp_path: Path, best: int) -> None:
    url, _ = finished(tmp_path, "search.trials=8", f"keep.best={best}")
    assert on_disk(tmp_path, BEST) == on_disk(tmp_path, LAST) == set(ranked(url)[:best])
    folders = {int(file.parent.name) for file in (tmp_path / "files").glob("trials/*/*/ledger.txt")}
    assert folders == set(ranked(url)), "what proves a run stays"


def test_the_last_checkpoint_of_what_has_ended_may_go_alone(tmp_path: Path) -> None:
    url, _ = finished(tmp_path, "search.trials=4", "keep.last=running")
    assert on_disk(tmp_path, LAST) == set()
    assert on_disk(tmp_path, BEST) == set(ranked(url))


def test_all_seeds_of_what_was_confirmed_stay(tmp_path: Path) -> None:
    url, _ = finished(tmp_path, "search.trials=6", "keep.best=1", "confirm={top: 2, seeds: 2}")
    with closing(Reader(url)) as reader:
        trials = reader.trials(1)
        confirmed = {trial.configuration for trial in trials if trial.role == "confirm"}
        stay = {trial.id for trial in trials if trial.configuration in confirmed and trial.repeat_of is None}
    assert len(confirmed) == 2
    assert on_disk(tmp_path, BEST) == stay


def test_replicates_of_a_kept_configuration_stay_together(tmp_path: Path) -> None:
    _, _ = finished(tmp_path, "search.trials=4", "keep.best=1", "replicates=2")
    with closing(Reader(f"sqlite:///{tmp_path}/s.db")) as reader:
        kept = {reader.trial(trial).configuration for trial in on_disk(tmp_path, BEST)}  # type: ignore[union-attr]
    assert (len(kept), len(on_disk(tmp_path, BEST))) == (1, 2)


def test_while_it_runs_what_ended_beyond_the_best_goes_and_what_runs_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, spec = f"sqlite:///{tmp_path}/s.db", make_spec("search.trials=5", "keep.best=1")
    seen = []
    monkeypatch.setattr("sweeper.driver.retention.PART", 0)
    with opened(url, spec, tmp_path / "files") as driver:
        driver._upkeep.retention._pause = 0.0
        job = driver.next()
        while isinstance(job, TrialJob):
            Path(job.folder).mkdir(parents=True, exist_ok=True)
            run = job.run("tests.fakes", "cpu")
            while advance(driver, job, run):
                saved = job.trial in on_disk(tmp_path, LAST)
                driver._upkeep.retention.look()
                seen.append(on_disk(tmp_path, LAST))
                assert saved <= (job.trial in seen[-1])
            job = driver.next()
        driver.end()
    assert max(map(len, seen)) == 2  # the best so far, and what runs
    assert on_disk(tmp_path, LAST) == set(ranked(url)[:1])


@pytest.mark.parametrize("ended", [False, True], ids=["while it runs", "when it has ended"])
def test_what_a_race_may_score_stays_whenever_it_is_asked_for(ended: bool, tmp_path: Path) -> None:
    url, files = f"sqlite:///{tmp_path}/s.db", tmp_path / "files"
    spec = make_spec("always=[{finetune.block_size: 16}]", "always_seeds=3", "search.trials=3", "keep.best=1")
    with opened(url, spec, files) as driver:
        drive(driver)
    if not ended:
        with opened(url, spec, files) as driver:
            driver.interrupt("")
    with closing(Store(url)) as store:
        store.release_lease(1, "me")
    with closing(Reader(url)) as reader:
        raced = {trial.id for trial in reader.trials(1) if trial.role == "baseline" and trial.seed > 3}
    for trial in raced:  # of which the fake trainer has no best checkpoint
        (files / "trials" / "1" / str(trial) / BEST).write_text("weights")
    if ended:
        settle(url, "test", {"within": 0.01, "seeds": 4})
    with opened(url, spec, files) as driver:
        if not ended:
            request(url, 1, "settle within=0.01 seeds=4")
        driver.poll()
        driver._upkeep.retention.look_now()
    assert len(raced) == 2
    assert raced <= on_disk(tmp_path, BEST)


def test_a_folder_in_which_a_worker_still_is_waits(tmp_path: Path) -> None:
    url, _ = finished(tmp_path, "search.trials=3")
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("test")
        assert sweep is not None
        sweep = sweep._replace(spec={**sweep.spec, "keep": {"best": 1, "last": "all"}})
        found = excess(reader, sweep)
    assert len(found) == 2
    with FileLock(Path(found[0].folder, ".lock")):
        gone, busy, _ = remove(found)
    assert (gone, busy) == ([found[1]], [found[0]])
    assert [Path(path).exists() for path in found[0].paths] == [True, True]


def test_what_is_kept_may_change_between_run_and_resume(tmp_path: Path) -> None:
    from sweeper.spec.spec import differences

    a, b = make_spec("search.trials=3"), make_spec("search.trials=3", "keep.best=2")
    assert differences(a.resolved(), b.resolved()) == []
    assert "keep" in b.resolved()


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("keep.best=0", "keep.best: must be 'all' or .*greater than or equal to 1, got 0"),
        ("keep.best=some", "keep.best"),
        ("keep.last=none", "keep.last: must be 'all' or 'running'"),
        ("keep.bets=3", "keep.bets: unknown; did you mean keep.best"),
    ],
)
def test_mistakes_are_said(override: str, sentence: str) -> None:
    with pytest.raises(InvalidSpec, match=sentence):
        make_spec(override)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(best=st.integers(1, 4), slots=st.integers(1, 3), seed=st.integers(0, 5))
def test_the_winner_is_always_there(best: int, slots: int, seed: int) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as place:
        url = f"sqlite:///{place}/s.db"
        spec = make_spec("search.trials=5", f"search.seed={seed}", f"keep.best={best}", "replicates=2")
        run_to_end(url, spec, Path(place) / "files", slots=slots)
        kept = on_disk(Path(place), LAST)
        with closing(Reader(url)) as reader:
            from sweeper.results.leaderboard import leaderboard

            rows = leaderboard(reader, "test").rows
        assert set(rows[0].trials) <= kept
        assert kept == {trial for row in rows[:best] for trial in row.trials}


def test_what_may_not_be_deleted_stays_and_the_sweep_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, spec = f"sqlite:///{tmp_path}/s.db", make_spec("search.trials=4", "keep.last=running")

    def unlink(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(self))

    with opened(url, spec, tmp_path / "files") as driver:
        driver._upkeep.retention._pause = 0.0
        monkeypatch.setattr(Path, "unlink", unlink)
        drive(driver)
        monkeypatch.undo()
    with closing(Reader(url)) as reader:
        said = [event.text for event in reader.events(1) if event.kind == "keep"]
        ended = reader.sweep("test")
    assert ended is not None
    assert ended.state == "complete"
    assert len(said) == 1
    assert said[0].startswith("checkpoints that `keep` need not keep may not be deleted, and stay: ")
    assert said[0].endswith(f"{LAST}: Operation not permitted")
    assert len(on_disk(tmp_path, LAST)) == 4
