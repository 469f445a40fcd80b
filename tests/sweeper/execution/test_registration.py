"""What a sweep says in its stored spec from the moment it is made, and what may change when it goes on."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import event

from sweeper.driver.driver import Driver, DriverSettings
from sweeper.driver.extension import extend, settle
from sweeper.driver.lease import LEASE, HeldSweep
from sweeper.driver.search import ENDED_EARLY
from sweeper.driver.spending import Allowance
from sweeper.execution.registration import AnotherSpec, Registered, register
from sweeper.files.remote import Unsaid
from sweeper.spec.spec import RANK_ERROR, SweepSpec
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests.sweeper.driving import Killed, Silent, drive, make_spec, run_to_end, told
from trainer.evaluation.sizing import RANKING_ERROR

PRECISE = "trainer.compute.precision=float32"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/sweeps.db"


def registered(url: str, spec: SweepSpec) -> Registered:
    with closing(Store(url)) as store, closing(Reader(url)) as reader:
        return register(spec, "files", store, reader, lambda line: None)


def older(url: str, spec: SweepSpec, state: str = "running") -> None:
    """As a tree that knew no rank_error made it."""
    with closing(Store(url)) as store:
        sweep = store.create_sweep(
            name=spec.name, spec_text="", spec=spec.resolved(), code_version="", folder="files"
        )
        store.take_lease(sweep.id, "me", 60)
        store.writer(sweep.id, "me").set_sweep_state(state, f"{ENDED_EARLY}it is empty")
        store.release_lease(sweep.id, "me")


def test_a_sweep_that_is_made_says_the_error_of_what_ranks_and_goes_on_with_it(url: str) -> None:
    spec = make_spec(PRECISE)
    for _ in range(2):
        found = registered(url, spec)
        assert found.spec.trainer[RANK_ERROR] == RANKING_ERROR
        assert found.record.spec["trainer"][RANK_ERROR] == RANKING_ERROR


def test_one_that_says_its_own_keeps_it(url: str) -> None:
    found = registered(url, make_spec(PRECISE, f"trainer.{RANK_ERROR}=0.01"))
    assert found.spec.trainer[RANK_ERROR] == 0.01
    with pytest.raises(AnotherSpec):
        registered(url, make_spec(PRECISE, f"trainer.{RANK_ERROR}=0.02"))


def test_a_sweep_made_before_goes_on_without_and_has_the_same_hashes(url: str) -> None:
    spec = make_spec(PRECISE)
    older(url, spec)
    found = registered(url, spec)
    assert RANK_ERROR not in found.spec.trainer
    point = {"finetune.block_size": 4}
    assert found.spec.train_config(point, 3).content() == spec.train_config(point, 3).content()


def test_a_sweep_made_before_goes_on_in_the_precision_it_had(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """float32 where none of its trials says, whatever this machine would choose; and its spec is not
    changed."""
    monkeypatch.setenv("TRAINER_PRECISION", "bfloat16")
    spec = make_spec()
    older(url, spec)
    found = registered(url, spec)
    assert found.spec.trainer["compute.precision"] == "float32"
    assert "compute.precision" not in found.record.spec["trainer"]
    monkeypatch.setattr(Reader, "precisions", lambda self, sweep: {"float32": 1, "bfloat16": 4})
    assert registered(url, spec).spec.trainer["compute.precision"] == "bfloat16"


def test_settle_may_change_and_has_a_sweep_that_ended_go_on(url: str) -> None:
    older(url, make_spec(PRECISE), "complete")
    assert registered(url, make_spec(PRECISE)).ended
    found = registered(url, make_spec(PRECISE, "settle={}"))
    assert not found.ended
    assert found.changed["settle"]["within"] == 0.01


def test_a_file_without_settle_takes_nothing_back(url: str) -> None:
    older(url, make_spec(PRECISE, "settle={within: 2%}"), "complete")
    found = registered(url, make_spec(PRECISE))
    assert found.spec.settle is not None
    assert found.spec.settle.within == 0.02
    assert found.ended
    assert not found.changed


# --- killed while it is written that an ended sweep goes on ---------------------------------------------
@contextmanager
def killed_at(store: Store, commits: int) -> Iterator[None]:
    """At its commit of that number, from 0."""
    left = commits

    def count(_: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    event.listen(store._engine, "commit", count)
    yield


def begin(url: str, spec: SweepSpec, files: Path | Unsaid, commits: int = 10**9) -> bool:
    """As `run` does, to the end of the sweep where it is not killed. False: it has ended already."""
    with closing(Store(url)) as store, closing(Reader(url)) as reader, killed_at(store, commits):
        found = register(spec, files, store, reader, lambda line: None)
        if found.ended:
            return False
        store.release_lease(found.record.id, "me")  # the last one is dead
        store.take_lease(found.record.id, "me", LEASE)
        writer = store.writer(found.record.id, "me")
        found.write(writer)
        held = HeldSweep(found.spec, found.record, reader, writer)
        drive(Driver(held, Silent(), DriverSettings(poll_seconds=0.0), Allowance(found.spec.budget)))
        return True


SHORT, LONG = "search.trials=2", "search.trials=3"
EXTENSIONS: dict[str, tuple[str, ...]] = {
    "more trials": (LONG,),
    "settled": (SHORT, "settle={within: 50%, seeds: 2}"),
    "both, and what is kept": (LONG, "settle={within: 50%, seeds: 2}", "keep.best=1"),
}


@pytest.mark.parametrize(
    "what", ["more trials", *(pytest.param(each, marks=pytest.mark.long) for each in list(EXTENSIONS)[1:])]
)
def test_killed_at_each_commit_the_same_line_runs_what_is_missing(what: str, tmp_path: Path) -> None:
    short = make_spec(PRECISE, SHORT)
    longer = make_spec(PRECISE, *EXTENSIONS[what])
    assert begin(f"sqlite:///{tmp_path}/ended.db", short, tmp_path / "ended")
    whole = _copy(tmp_path, "whole")
    assert begin(whole, longer, tmp_path / "ended")
    kills = 0
    for commits in range(8):
        url = _copy(tmp_path, str(commits))
        with pytest.raises(Killed):
            begin(url, longer, tmp_path / "ended", commits)
        kills += 1
        assert begin(url, longer, tmp_path / "ended"), f"killed at commit {commits}, it has ended already"
        assert told(url) == told(whole)
        assert not begin(url, longer, tmp_path / "ended")
    assert kills == 8


def _copy(place: Path, name: str) -> str:
    for suffix in ("", "-wal", "-shm"):
        if (place / f"ended.db{suffix}").exists():
            shutil.copy(place / f"ended.db{suffix}", place / f"{name}.db{suffix}")
    return f"sqlite:///{place}/{name}.db"


@pytest.mark.parametrize(
    "ask", [lambda url: extend(url, "test", "+1"), lambda url: settle(url, "test", {"within": "50%"})]
)
@pytest.mark.parametrize("commits", range(4))
def test_a_command_that_is_killed_has_asked_for_all_or_nothing(
    ask: Callable[[str], object], commits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    run_to_end(url, make_spec(PRECISE, SHORT), tmp_path / "files")
    with closing(Store(url)) as store:
        store.release_lease(1, "me")
    made = Store.__init__

    def killed(self: Store, url: str) -> None:
        made(self, url)
        killed_at(self, commits).__enter__()

    monkeypatch.setattr(Store, "__init__", killed)
    with suppress(Killed):
        ask(url)
    monkeypatch.undo()
    with closing(Reader(url)) as reader:
        (sweep,) = reader.sweeps()
    asked = sweep.spec["search"]["trials"] > 2 or sweep.spec["settle"] is not None
    assert asked == (sweep.state == "interrupted")
    assert asked == (commits >= 1)


def test_a_store_that_says_it_has_ended_with_too_few_trials_goes_on(url: str, tmp_path: Path) -> None:
    """As an earlier version left it that was killed between two writes."""
    assert begin(url, make_spec(PRECISE, SHORT), tmp_path / "files")
    with closing(Store(url)) as store:
        store.take_lease(1, "me", 60)
        store.writer(1, "me").extend(3)
        store.release_lease(1, "me")
    assert begin(url, make_spec(PRECISE, LONG), tmp_path / "files")
    with closing(Reader(url)) as reader:
        assert reader.trial_states(1) == {"complete": 3}
    assert not begin(url, make_spec(PRECISE, LONG), tmp_path / "files")
