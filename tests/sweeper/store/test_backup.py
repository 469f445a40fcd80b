"""A copy of a store in one file: of one moment, whoever writes; of a file that was not there."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sweeper.cli.main import app
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests.sweeper import schema_1
from tests.sweeper.store.stores import new_sweep


def backup(file: Path, db: str, *more: str) -> Result:
    return CliRunner().invoke(app, ["backup", str(file), "--db", db, *more])


def test_of_a_store_that_is_written(tmp_path: Path) -> None:
    url, copy = f"sqlite:///{tmp_path}/s.db", tmp_path / "copy.db"
    with closing(Store(url)) as store:
        sweep = new_sweep(store, "first")
        store.take_lease(sweep.id, "me", 60)
        writer = store.writer(sweep.id, "me")
        with writer._transaction() as connection:  # what is not committed is not in it
            connection.exec_driver_sql("UPDATE sweeps SET note = 'half'")
            done = backup(copy, url, "--json")
        writer.set_sweep_state("complete", "later")
    assert done.exit_code == 0
    said = json.loads(done.stdout)["backup"]
    assert said == {"file": str(copy), "bytes": copy.stat().st_size}
    with closing(Reader(f"sqlite:///{copy}")) as reader:
        (copied,) = reader.sweeps()
        assert (copied.name, copied.note, copied.state) == ("first", "", "running")
    assert not list(tmp_path.glob("*.tmp"))


def test_of_an_older_store_as_it_is(tmp_path: Path) -> None:
    schema_1.make(f"sqlite:///{tmp_path}/s.db", foreign=False)
    assert backup(tmp_path / "copy.db", f"sqlite:///{tmp_path}/s.db").exit_code == 0
    with closing(Store(f"sqlite:///{tmp_path}/copy.db")) as store:
        assert store.migrated is not None
        assert store.migrated.before == 1


@pytest.mark.parametrize("what", ["file", "folder", "link", "device"])
def test_nothing_is_written_over(tmp_path: Path, what: str) -> None:
    Store(f"sqlite:///{tmp_path}/s.db").close()
    to = Path("/dev/null") if what == "device" else tmp_path / "there"
    if what == "file":
        to.write_text("mine")
    elif what == "folder":
        to.mkdir()
    elif what == "link":
        to.symlink_to(tmp_path / "nowhere")
    done = backup(to, f"sqlite:///{tmp_path}/s.db")
    assert (done.exit_code, done.stdout) == (7, "")
    assert done.stderr == f"{to} is there already, and is not written over: give another name\n"
    assert what != "file" or to.read_text() == "mine"
    assert what != "device" or not to.is_file()


def test_what_cannot_be_copied_is_a_sentence(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    assert backup(tmp_path / "copy.db", url).stderr.startswith(f"there is no database {tmp_path}/s.db")
    Store(url).close()
    nowhere = backup(tmp_path / "no" / "copy.db", url)
    assert nowhere.exit_code == 7
    assert nowhere.stderr.endswith("No such file or directory\n")
    server = backup(tmp_path / "copy.db", "postgresql+psycopg://me@nowhere/db")
    assert "pg_dump" in server.stderr
    assert not list(tmp_path.glob("copy*"))
