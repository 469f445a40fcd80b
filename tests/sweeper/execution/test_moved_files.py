"""A store and its files are moved: what was trained is found again, or the sweep is refused in words."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweeper.cli.main import app
from sweeper.driver.gc import collect
from sweeper.driver.jobs import StageJob
from sweeper.execution.runner import run_sweep
from sweeper.files.remote import InvalidPlace, Unsaid
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests import fakes
from tests.sweeper.driving import STAGED, Silent, advance, make_spec, opened, told, trial_of
from tests.sweeper.execution.test_registration import PRECISE, begin

SPEC = make_spec(*STAGED, PRECISE, "search.trials=3")


def interrupted(url: str, files: Path) -> None:
    """A pretrain, a trial, and another one whose driver was killed when it had reported."""
    fakes.killed = False
    with opened(url, SPEC, files) as driver:
        stage = driver.next()
        assert isinstance(stage, StageJob)
        for job in (stage, None):
            job = job or trial_of(driver)
            Path(job.folder).mkdir(parents=True)
            run = job.run("tests.fakes", "cpu")
            while advance(driver, job, run):
                pass
        job = trial_of(driver)
        Path(job.folder).mkdir(parents=True)
        run = job.run("tests.fakes", "cpu")
        while not (report := next(run)):
            driver.take(job, [])
        driver.take(job, [report])
        run.close()
    with closing(Store(url)) as store:
        store.release_lease(1, "me")


def lines(folder: Path) -> list[list[str]]:
    """Of each ledger: every step that was ever trained, in order of folder."""
    ledgers = sorted(folder.rglob("ledger.txt"))
    return [[line.split()[1] for line in each.read_text().splitlines()] for each in ledgers]


@pytest.mark.parametrize("absolute", [False, True], ids=["new", "of an earlier version"])
def test_moved_together_it_goes_on_and_trains_nothing_twice(absolute: bool, tmp_path: Path) -> None:
    undisturbed = f"sqlite:///{tmp_path}/u/u.db"
    begin(undisturbed, SPEC, tmp_path / "u" / "files")
    a, b = tmp_path / "A", tmp_path / "B"
    interrupted(f"sqlite:///{a}/sweeps.db", a / "sweeps.files")
    with closing(sqlite3.connect(a / "sweeps.db")) as database:
        if absolute:
            database.execute("UPDATE sweeps SET folder = ?", (str(a / "sweeps.files"),))
            database.execute("UPDATE stages SET folder = ? || folder", (f"{a}/",))
            database.commit()
        places = [*database.execute("SELECT folder FROM sweeps UNION SELECT folder FROM stages")]
    assert all(Path(place).is_absolute() == absolute for (place,) in places)
    a.rename(b)
    url = f"sqlite:///{b}/sweeps.db"
    assert begin(url, SPEC, Unsaid(str(b / "sweeps.files")))
    assert told(url) == told(undisturbed)
    assert not a.exists()
    assert lines(b) == lines(tmp_path / "u")
    with closing(Reader(url)) as reader:
        texts = [event.text for event in reader.events(1)]
        assert reader.sweeps()[0].folder == str(b / "sweeps.files")
    assert "trial 2 goes on from its last checkpoint: attempt 2" in texts


def test_files_that_are_not_where_the_store_has_them_are_asked_for(tmp_path: Path) -> None:
    """They lie elsewhere than the store, and were moved without it."""
    url, old, new = f"sqlite:///{tmp_path}/store/s.db", tmp_path / "old", tmp_path / "new"
    interrupted(url, old)
    trained = lines(old)
    old.rename(new)
    said = Silent()
    assert run_sweep(SPEC, url, Unsaid(str(tmp_path / "store" / "s.files")), said) == 7
    (line,) = said.lines
    beside = f"nor below {tmp_path / 'store'}: "
    assert line.startswith(f"the files of sweep test are not in {old}, where the store has them, {beside}")
    assert not old.exists()
    assert lines(new) == trained
    assert begin(url, SPEC, new)
    assert lines(new) == [["1", "2"], *[["3", "4", "5", "6"]] * 3]
    with closing(Reader(url)) as reader:
        assert reader.sweeps()[0].folder == str(new)
        assert reader.trial_states(1) == {"complete": 3}
        (stage,) = reader.stages()
    assert stage.attempt == 1  # it was not trained again
    assert not begin(url, SPEC, Unsaid("unused"))
    assert not old.exists()


def test_a_pretrain_that_was_cut_off_is_asked_for_too(tmp_path: Path) -> None:
    """Hours of training, perhaps, before the first trial has begun."""
    url, old, new = f"sqlite:///{tmp_path}/store/s.db", tmp_path / "old", tmp_path / "new"
    (old / "trials" / "1").mkdir(parents=True)  # the runner's
    with opened(url, SPEC, old) as driver:
        stage = driver.next()
        assert isinstance(stage, StageJob)
        Path(stage.folder).mkdir(parents=True)
        run = stage.run("tests.fakes", "cpu")
        while not next(run):
            pass
        run.close()
    with closing(Store(url)) as store:
        store.release_lease(1, "me")
    old.rename(new)
    assert run_sweep(SPEC, url, Unsaid(str(tmp_path / "store" / "s.files")), Silent()) == 7
    assert not old.exists()
    assert begin(url, SPEC, new)
    assert lines(new)[0] == ["1", "2"]  # none of them twice


def test_another_place_is_refused_while_the_files_are_where_they_were(tmp_path: Path) -> None:
    url, files = f"sqlite:///{tmp_path}/s.db", tmp_path / "files"
    interrupted(url, files)
    said = Silent()
    assert run_sweep(SPEC, url, tmp_path / "elsewhere", said) == 7
    assert said.lines == [
        f"the files of sweep test are in {files}, not in {tmp_path / 'elsewhere'}: go on without --files, or "
        "move them there first"
    ]
    (tmp_path / "link").symlink_to(files)
    assert begin(url, SPEC, tmp_path / "link")  # the same place


def test_of_a_sweep_that_has_ended_the_true_place_is_written_down_and_no_other(tmp_path: Path) -> None:
    url, files = f"sqlite:///{tmp_path}/s.db", tmp_path / "files"
    begin(url, SPEC, files)
    with closing(Store(url)) as store:
        store.release_lease(1, "me")

    def said(place: Path) -> tuple[int, list[str], str]:
        lines = Silent()
        code = run_sweep(SPEC, url, place, lines)
        with closing(Reader(url)) as reader:
            return code, lines.lines, reader.sweeps()[0].folder

    code, lines, stored = said(tmp_path / "elsewhere")
    assert (code, stored, len(lines)) == (7, str(files), 1)
    assert lines[0].startswith(f"sweep test has ended, and its files are in {files}")
    assert not (tmp_path / "elsewhere").exists()
    assert said(files)[0] == 0
    files.rename(tmp_path / "moved")
    code, lines, stored = said(tmp_path / "moved")
    assert (code, stored) == (0, str(tmp_path / "moved"))
    assert lines[-1].startswith("sweep test has ended already")


def test_a_folder_that_is_gone_may_be_made_again_where_that_is_said(tmp_path: Path) -> None:
    url, files = f"sqlite:///{tmp_path}/store/s.db", tmp_path / "files"
    interrupted(url, files)
    shutil.rmtree(files)
    with pytest.raises(InvalidPlace, match="what is not in it is made again"):
        begin(url, SPEC, files)
    assert begin(url, SPEC, tmp_path / "new")
    with closing(Reader(url)) as reader:
        assert reader.trial_states(1) == {"complete": 3}
        texts = [event.text for event in reader.events(1)]
    assert "trial 2 begins again from its pretrain, for it has no checkpoint: attempt 2" in texts
    assert any("is run again: its checkpoint is gone" in text for text in texts)


def test_a_place_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said, url = Silent(), f"sqlite:///{tmp_path}/s.db"
    assert run_sweep(SPEC, url, Unsaid(str(tmp_path / "file" / "x")), said) == 7
    (line,) = said.lines
    assert "Not a directory; to go on: python -m sweeper resume test" in line
    with closing(Reader(url)) as reader:
        assert reader.sweeps()[0].state == "interrupted"


def test_resume_refuses_a_folder_that_is_none(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    interrupted(url, tmp_path / "files")
    said = CliRunner().invoke(app, ["resume", "test", "--db", url, "--files", str(tmp_path / "none")])
    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr.startswith(f"there is no folder {tmp_path / 'none'}")


def test_gc_sees_folders_that_the_store_knows_nothing_of(tmp_path: Path) -> None:
    url, files = f"sqlite:///{tmp_path}/s.db", tmp_path / "files"
    interrupted(url, files)
    orphans = {"trials/1/77": "of no trial of test", "stages/beef": "of no pretrain in this database"}
    for each in orphans:
        (files / each).mkdir(parents=True)
        (files / each / "last.safetensors").write_text("x")
    left = {each.where: each.why for each in collect(url, dry_run=True).left}
    assert left == {str(files / each): why for each, why in orphans.items()}
    collect(url, dry_run=False)
    assert all((files / each / "last.safetensors").exists() for each in orphans)
