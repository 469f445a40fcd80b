"""What is a sweep's alone is counted and deleted, on disk and in object stores, and nothing beside it."""

from pathlib import Path

import pytest
from pyarrow import fs

from sweeper.files.disk import Use, _there
from sweeper.files.remote import is_remote, within
from sweeper.files.snapshots import Snapshots
from sweeper.files.sweep_files import delete_stage, delete_trials
from sweeper.store.records import StageRecord, SweepRecord


@pytest.fixture(autouse=True)
def _own_cache(cache: Path) -> None:
    """Logs of a sweep in an object store are there."""


@pytest.fixture(params=["path", "file", "s3"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "path":
        return str(tmp_path / "files")
    if request.param == "file":
        return f"file://{tmp_path}/store"
    return within(request.getfixturevalue("bucket"), tmp_path.name)


def sweep(files: str, id: int) -> SweepRecord:
    return SweepRecord(id, f"s{id}", "", {}, "0", files, "complete", "", 0.0, None, None, None)


def put(folder: str, work: Path) -> None:
    """A checkpoint of 1,000 bytes."""
    if not is_remote(folder):
        Path(folder).mkdir(parents=True)
        (Path(folder) / "last.safetensors").write_bytes(bytes(1000))
        return
    work.mkdir(exist_ok=True)
    (work / "last.safetensors").write_bytes(bytes(1000))
    Snapshots(folder).push(work)


def there(folder: str) -> bool:
    if not is_remote(folder):
        return Path(folder).exists()
    system, path = fs.FileSystem.from_uri(folder)
    found = system.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    return any(each.type == fs.FileType.File for each in found)


def test_one_sweep_s_trials_and_one_pretrain_go(files: str, tmp_path: Path) -> None:
    for id in (1, 11):
        for trial in (1, 2):
            put(within(files, "trials", str(id), str(trial)), tmp_path / "work")
    for key in ("aa", "ab"):
        put(within(files, "stages", key), tmp_path / "work")
    for _ in range(2):  # what is gone is no error
        delete_trials(sweep(files, 1))
        delete_stage(
            StageRecord("aa", "complete", 1, 5, {}, within(files, "stages", "aa"), "", None, None, 0.0, 0.0)
        )
        assert not there(within(files, "trials", "1"))
        assert not there(within(files, "stages", "aa"))
        assert there(within(files, "trials", "11", "1"))
        assert there(within(files, "stages", "ab"))


def test_what_lies_in_an_object_store_is_counted(remote: str, tmp_path: Path) -> None:
    assert _there(within(remote, "trials", "1")) == 0
    for trial in (1, 2):
        put(within(remote, "trials", "1", str(trial)), tmp_path / "work")
    counted = _there(within(remote, "trials", "1"))
    assert counted is not None
    assert 2000 < counted < 4000  # and the manifests


def test_a_store_that_does_not_answer_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert _there(f"file://{tmp_path}/file") is None  # nothing can be listed there
    assert Use(None, 5, 7, None).words() == "trials not seen, shared pretrains 5 B, database 7 B"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    put(str(precious), tmp_path)
    put(str(tmp_path / "files" / "trials" / "1" / "1"), tmp_path)
    (tmp_path / "files" / "trials" / "1" / "1" / "link").symlink_to(precious)
    (tmp_path / "files" / "trials" / "1" / "2").symlink_to(precious)
    delete_trials(sweep(str(tmp_path / "files"), 1))
    assert not (tmp_path / "files" / "trials" / "1").exists()
    assert (precious / "last.safetensors").is_file()
