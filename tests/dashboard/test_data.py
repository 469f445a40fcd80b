"""What pages share of a sweep: read when somebody has committed, and not more often than it pays."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from dashboard import snapshot
from dashboard.snapshot import Held, Snapshot
from sweeper.results.leaderboard import Watched, leaderboard
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests.sweeper.filled import HOLDER, fill


@pytest.fixture
def reader(url: str) -> Iterator[Reader]:
    fill(url)
    with closing(Reader(url)) as reader:
        yield reader


class Slow:
    """A clock by hand, on which a reading takes so many seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float):
        self.time, board = 100.0, Watched.board

        def slowly(watched: Watched):
            self.time += seconds
            return board(watched)

        monkeypatch.setattr(Watched, "board", slowly)

    def __call__(self) -> float:
        return self.time


def commit(url: str, state: str = "running") -> None:
    with closing(Store(url)) as store:
        store.writer(1, HOLDER).set_sweep_state(state, "again")


@pytest.mark.parametrize(("took", "rests"), [(0.2, 0.6), (10.0, snapshot.LONGEST_REST)])
def test_it_is_not_read_again_at_once(
    reader: Reader, url: str, monkeypatch: pytest.MonkeyPatch, took: float, rests: float
) -> None:
    monkeypatch.setattr("dashboard.snapshot.REST", 3)
    clock = Slow(monkeypatch, took)
    held = Held(clock)
    first = held.now(reader, "schedules")
    commit(url)
    clock.time += rests - 0.01
    assert held.now(reader, "schedules") is first
    clock.time += 0.02
    assert held.now(reader, "schedules").sweep.note == "again"


def test_the_end_of_a_sweep_is_read_at_once(
    reader: Reader, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.snapshot.REST", 3)
    held = Held(Slow(monkeypatch, 1.0))
    held.now(reader, "schedules")
    commit(url, "failed")
    assert held.now(reader, "schedules").sweep.state == "failed"


def test_where_nobody_has_committed_it_is_the_same_object(reader: Reader) -> None:
    held = Held()
    assert held.now(reader, "schedules") is held.now(reader, "schedules")


def test_it_is_what_the_store_says(reader: Reader, url: str) -> None:
    """Before and after a commit; what was given away before stays as it was."""
    held = Held()
    before = held.now(reader, "schedules")
    running = next(trial for trial in before.trials.values() if trial.state == "running")
    with closing(Store(url)) as store:
        assert store.writer(1, HOLDER).end_trial(running.id, running.attempt, "complete")
    after = held.now(reader, "schedules")
    assert before.trials[running.id].state == "running"
    assert list(after.trials.values()) == reader.trials(1)
    assert after.board.to_json() == leaderboard(reader, "schedules").to_json()
    assert after.states == reader.trial_states(1)
    stored = {(each.trial, each.name): each for each in reader.latest(1)}
    assert {key: row for trial in after.latest for key, row in _rows(after, trial)} == stored
    assert len(after.latest) == len({trial for trial, _ in stored})


def _rows(now: Snapshot, trial: int):
    return (((trial, name), record) for name, record in now.latest[trial].items())


def test_after_a_failure_all_is_read_anew(reader: Reader, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held()
    held.now(reader, "schedules")
    commit(url)
    with monkeypatch.context() as patched:
        patched.setattr("sweeper.results.leaderboard.alarms", _fails)
        with pytest.raises(StoreError, match="half-way"):
            held.now(reader, "schedules")
    assert held.now(reader, "schedules").board.to_json() == leaderboard(reader, "schedules").to_json()


def _fails(entries: object) -> None:
    raise StoreError("half-way")
