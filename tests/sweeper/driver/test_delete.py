"""`delete`: a sweep goes for good, and nothing of another; wherever it is killed, it is repeated."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from filelock import FileLock
from typer.testing import CliRunner, Result

from sweeper.cli.main import app
from sweeper.driver.gc import delete
from sweeper.store import notes
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests.simulation.world import ANYWHERE, Killed, World
from tests.sweeper.driver.test_gc import change
from tests.sweeper.driving import make_spec, run_to_end

STAGED = ("trainer.pretrain.steps=2", "search.sampler=random", "search.trials=2")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Two sweeps with a pretrain that both use, and one of each alone."""
    url = f"sqlite:///{tmp_path}/s.db"
    for name, own in (("mine", 7), ("other", 8)):
        spec = make_spec(*STAGED, f"name={name}", "search.seed=3", "replicates=1")
        run_to_end(url, spec, tmp_path / "s.files")
        more = make_spec(*STAGED, f"name={name}{own}", f"search.seed={own}")
        run_to_end(url, more, tmp_path / "s.files")
    change(url, lease_until=None, lease_holder=None)
    return url


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


class Left(NamedTuple):
    rows: list[str]
    files: set[str]


def left(folder: Path) -> Left:
    with closing(sqlite3.connect(folder / "s.db")) as database:
        rows = [line for line in database.iterdump() if "INSERT INTO" in line]
    files = {str(each.relative_to(folder)) for each in (folder / "s.files").rglob("*")}
    return Left(rows, files)


def gone(folder: Path, name: str) -> Left:
    """After it was deleted."""
    url = f"sqlite:///{folder}/s.db"
    assert run("delete", name, "--yes", "--db", url).exit_code == 0
    return left(folder)


def test_all_of_a_sweep_goes_and_nothing_of_others(url: str, tmp_path: Path) -> None:
    with closing(Reader(url)) as reader:
        sweeps = {each.name: each.id for each in reader.sweeps()}
        uses = {
            name: {use.stage for use in reader.stage_uses() if use.sweep == id} for name, id in sweeps.items()
        }
    assert uses["mine"] == uses["other"]
    assert uses["mine7"] != uses["mine"]
    notes.note(url, sweeps["mine"], "soon to go")
    gone(tmp_path, "mine")
    gone(tmp_path, "mine7")
    with closing(Reader(url)) as reader:
        assert [each.name for each in reader.sweeps()] == ["other", "other8"]
        assert {each.key for each in reader.stages()} == uses["other"] | uses["other8"]
        there = {each.name for each in (tmp_path / "s.files" / "stages").iterdir()}
        assert there == uses["other"] | uses["other8"]
        assert {each.name for each in (tmp_path / "s.files" / "trials").iterdir()} == {
            str(sweeps[name]) for name in ("other", "other8")
        }
        assert reader.trials(sweeps["other"])
        assert reader.latest(sweeps["other"])
    for name in ("other", "other8"):
        gone(tmp_path, name)
    assert [line for line in left(tmp_path).rows if '"meta"' not in line] == []
    assert not list((tmp_path / "s.files" / "stages").iterdir())


NEVER = 1 << 30  # a point


class At(NamedTuple):
    """When a process is killed."""

    at: int


def killed(place: Path, at: int) -> int:
    """Deletes `mine`, and is killed at that point, or at none; how many points there were."""
    world, url = World(0, place), f"sqlite:///{place}/s.db"
    world.strike(At(at), ANYWHERE, world.kill)
    try:
        with (
            world.entered(),
            closing(Store(url, world.clock, factory=world.factory)) as store,
            closing(Reader(url, factory=world.factory)) as reader,
        ):
            sweep = reader.sweep("mine")
            assert sweep is not None
            delete(store, reader, sweep)
    except Killed:
        pass
    finally:
        world.bury()
    return world.points


@pytest.mark.parametrize("step", [13, pytest.param(1, marks=pytest.mark.long)])
def test_a_deletion_that_is_killed_anywhere_is_repeated(step: int, url: str, tmp_path: Path) -> None:
    """step: of the points at which it is killed, every so manyeth."""
    place = tmp_path / "tried"

    def anew() -> Path:
        shutil.rmtree(place, ignore_errors=True)
        return shutil.copytree(tmp_path, place, ignore=shutil.ignore_patterns("tried"))

    wanted, points = gone(anew(), "mine"), killed(anew(), NEVER)
    assert left(place) == wanted
    assert points > 40
    for at in range(1, points + 1, step):
        assert killed(anew(), at) == at
        with closing(Reader(f"sqlite:///{place}/s.db")) as reader:
            there = reader.sweep("mine") is not None
        now = gone(place, "mine") if there else left(place)
        assert set(now.rows) ^ set(wanted.rows) == set(), at
        assert now == wanted, at


def test_a_sweep_that_is_being_run_is_not_deleted(url: str, tmp_path: Path) -> None:
    before = left(tmp_path)
    with closing(Store(url)) as store, closing(Reader(url)) as reader:
        sweep = reader.sweep("mine")
        assert sweep is not None
        store.take_lease(sweep.id, "elsewhere:4", 60)
        result = run("delete", "mine", "--yes", "--db", url)
        assert result.exit_code == 2
        assert "is being run by elsewhere:4" in result.stderr
        store.release_lease(sweep.id, "elsewhere:4")
    assert left(tmp_path) == before


def test_a_folder_in_which_a_worker_is_at_work_stays_and_so_does_the_sweep(url: str, tmp_path: Path) -> None:
    lock = next((tmp_path / "s.files" / "trials" / "1").glob("*/")) / ".lock"
    with FileLock(lock):
        result = run("delete", "mine", "--yes", "--db", url)
    assert result.exit_code == 7
    assert "a worker is at work in" in result.stderr
    assert (tmp_path / "s.files" / "trials" / "1").is_dir()
    gone(tmp_path, "mine")
    assert not (tmp_path / "s.files" / "trials" / "1").exists()


def test_it_asks_and_without_a_terminal_it_says_what_to_type(url: str, tmp_path: Path) -> None:
    before = left(tmp_path)
    result = run("delete", "mine", "--db", url)
    assert result.exit_code == 2
    assert "2 trials with their checkpoints, would be deleted for good: add --yes" in result.stderr
    assert left(tmp_path) == before
    said = json.loads(run("delete", "mine", "--yes", "--json", "--db", url).stdout)
    assert said["deleted"]["sweep"] == "mine"
    assert said["deleted"]["spared"] >= 1


def test_a_folder_that_only_the_store_calls_a_pretrain_stays(url: str, tmp_path: Path) -> None:
    """A store that was copied here may name any folder."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").touch()
    with closing(Store(url)) as store, store._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE stages SET folder = ?", (str(precious),))
    for name in ("mine", "other", "mine7", "other8"):
        gone(tmp_path, name)
    assert (precious / "thesis.tex").is_file()
