"""`doctor`: what is wrong with a machine is said in a sentence, with what to do, and exit code 7."""

import importlib.metadata
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from email.message import Message
from pathlib import Path
from typing import NamedTuple

import pytest
from huggingface_hub import constants
from typer.testing import CliRunner

from sweeper.cli import doctor
from sweeper.cli.doctor import available_memory, gpus, machine, packages, rays_room
from sweeper.cli.main import app
from sweeper.files import storage_checks as storage
from sweeper.files.storage_checks import Finding, folders, open_to_others, room, store
from sweeper.store.probe import Probe
from sweeper.store.schema import SCHEMA_VERSION
from sweeper.store.store import Store
from tests.sweeper import postgres

GIGABYTE = 1_000_000_000


class Disk(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Of a store with one sweep."""
    url = f"sqlite:///{tmp_path}/sweeps.db"
    with closing(Store(url)) as made:
        made.create_sweep(name="one", spec_text="", spec={}, code_version="", folder=str(tmp_path))
    return url


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")


def only(level: str, findings: Iterable[Finding]) -> list[Finding]:
    found = [each for each in findings if each.level == level]
    assert all(each.todo for each in found), "it does not say what to do"
    return found


def ask(*arguments: str) -> tuple[int, dict[str, list[dict[str, str]]]]:
    """The exit code, and the findings by part."""
    done = CliRunner().invoke(app, ["doctor", "--json", *arguments])
    by_part: dict[str, list[dict[str, str]]] = {}
    for each in json.loads(done.stdout)["findings"]:
        by_part.setdefault(each["part"], []).append(each)
    return done.exit_code, by_part


def test_a_machine_that_can_run_a_sweep(url: str, tmp_path: Path) -> None:
    code, found = ask("--db", url)
    problems = [each for part in found.values() for each in part if each["level"] == "problem"]
    assert (code, problems) == (0, [])
    assert set(found) >= {"machine", "python", "packages", "gpu", "ray", "store", "files", "cache", "hub"}
    assert f"1 sweep, schema {SCHEMA_VERSION}, journal mode wal" in found["store"][0]["text"]
    assert found["hub"][0]["level"] == "note"
    assert not (tmp_path / "sweeps.files").exists()


def test_it_says_it_in_lines_too(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["doctor", "--db", f"sqlite:///{tmp_path}/new/sweeps.db"])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert all(line.split()[0] in ("ok", "note", "problem") for line in lines if not line.startswith(" "))
    assert any(line.startswith("note     store     there is no database") for line in lines)
    assert list(tmp_path.iterdir()) == []  # and it made nothing


def test_torch_is_not_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from sweeper.cli.doctor import examine; "
        f"list(examine('sqlite:///{tmp_path}/s.db', None)); "
        "print([m for m in ('torch', 'ray') if m in sys.modules])"
    )
    own = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", code], env=own, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_store_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database, but long enough to be looked at\n" * 100)
    code, found = ask("--db", f"sqlite:///{tmp_path}/notes.txt")
    assert code == 7
    assert "is not an SQLite database" in found["store"][0]["text"]


def test_a_store_of_a_newer_version(url: str) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        database.execute("UPDATE meta SET value = '999'")
        database.commit()
    code, found = ask("--db", url)
    assert code == 7
    assert "newer version of this program" in found["store"][0]["text"]


def test_a_store_that_another_one_holds(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeper.store.probe.PATIENCE", 0.1)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        (problem,) = only("problem", store(url))
    assert "can be read, but not written: database is locked" in problem.text


def test_a_url_that_is_none() -> None:
    code, found = ask("--db", "nonsense")
    assert code == 7
    assert "is not a database URL" in found["store"][0]["text"]


def test_a_server_that_is_not_there() -> None:
    code, found = ask("--db", "postgresql+psycopg://me:s3cret@127.0.0.1:1/db")
    assert code == 7
    assert "cannot be used" in found["store"][0]["text"]
    assert "s3cret" not in str(found)
    assert found["files"][0]["todo"] == "a database on a server needs --files DIR, or SWEEPER_FILES"


@pytest.mark.long
def test_a_store_on_a_server(tmp_path: Path) -> None:
    binaries = postgres.binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server is installed: apt-get install postgresql")
    with postgres.server(binaries) as url:
        _, found = ask("--db", url, "--files", str(tmp_path))
        assert [each["level"] for each in found["store"]] == ["note"]
        Store(url).close()
        code, found = ask("--db", url, "--files", str(tmp_path))
        assert code == 0
        assert "0 sweeps" in found["store"][0]["text"]
        assert "PostgreSQL" in found["store"][0]["text"]
        assert postgres.PASSWORD not in str(found)


def test_a_password_in_the_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql+psycopg://me:s3cret@127.0.0.1:1/db"
    monkeypatch.setattr(storage, "probe", _a_store)
    assert not only("note", store(url))
    monkeypatch.setattr(sys, "argv", ["sweeper", "doctor", "--db", url])
    (note,) = only("note", store(url))
    assert "other users" in note.text
    assert "s3cret" not in note.text + note.todo


def _a_store(url: str) -> Probe:
    return Probe(1, SCHEMA_VERSION, "PostgreSQL")


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (problem,) = only("problem", folders(tmp_path / "file" / "below"))
    assert problem.text == f"{tmp_path / 'file'} is a file, not a folder"
    assert problem.part == "files"


def test_a_full_disk() -> None:
    assert room(500_000_000).level == "problem"
    assert room(5 * GIGABYTE).level == "note"
    assert room(50 * GIGABYTE).level == "ok"


def test_sqlite_on_a_network_disk(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_file_system", lambda path: "nfs4")
    (problem,) = only("problem", store(url))
    assert "is on nfs4, where SQLite's WAL does not work" in problem.text
    assert "PostgreSQL" in problem.todo


def test_files_that_others_may_read_or_write(tmp_path: Path) -> None:
    for mode, said in ((0o700, ""), (0o755, "can be read"), (0o777, "can be written")):
        tmp_path.chmod(mode)
        assert open_to_others(tmp_path).startswith(said)
        assert bool(only("note", folders(tmp_path))) == bool(said)


@pytest.mark.parametrize(
    ("free", "level"), [(GIGABYTE // 2, "problem"), (2 * GIGABYTE, "note"), (9 * GIGABYTE, "ok")]
)
def test_memory(free: int, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "available_memory", lambda: free)
    monkeypatch.setattr(doctor, "usable_cores", lambda: 4)
    memory = [each for each in machine() if each.part == "memory"]
    assert [each.level for each in memory] == [level]
    if level == "note":
        assert memory[0].todo.endswith("resources.slots to 2")


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="only Linux has /proc/meminfo")
def test_available_memory_is_less_than_there_is() -> None:
    there_is = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < (available_memory() or 0) < there_is


def test_packages_that_are_missing_or_of_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "optuna":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0" if name == "ray" else real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(doctor.platform, "python_version", lambda: "3.9.1")
    python, others = only("problem", packages())
    assert python.text == "3.9.1 is not supported"
    assert "optuna is not installed" in others.text
    assert "ray is 1.0, not" in others.text
    assert others.todo == "make install, or pip install -e ."


def test_where_there_is_no_checkout_the_wheel_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wheel = Message()
    wheel["Requires-Python"] = ">=3.11"
    wheel["Requires-Dist"] = "optuna>=99"
    wheel["Requires-Dist"] = 'nosuch; extra == "gpu"'
    monkeypatch.setattr(doctor, "PROJECT", tmp_path / "pyproject.toml")
    monkeypatch.setattr(importlib.metadata, "metadata", lambda name: wheel)
    (problem,) = only("problem", packages())
    assert problem.text.endswith("not >=99")
    assert problem.todo == "install the wheel again, with what it needs"


def a_program(folder: Path, script: str) -> str:
    """A PATH where nvidia-smi is this script."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version
    line = "NVIDIA H200, 143771 MiB, 580.1"
    monkeypatch.setenv("PATH", a_program(tmp_path, f"echo '{line}'; echo '{line}'"))
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "2.13.0+cu130" if name == "torch" else real(name)
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert [(each.level, each.text) for each in gpus()] == [("ok", f"2: {line}")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "hides all of them" in only("note", gpus())[0].text
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.13.0+cpu")
    assert "built for the CPU alone" in only("problem", gpus())[0].text


def test_a_driver_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", a_program(tmp_path, "exit 9"))
    (problem,) = only("problem", gpus())
    assert problem.text == "nvidia-smi is there, but fails"


def test_no_room_for_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: Disk(1000 * GIGABYTE, 0, 10 * GIGABYTE))
    assert [each.level for each in rays_room()] == ["problem"]  # 99% full: Ray would refuse to write
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: Disk(64_000_000, 0, 64_000_000))
    assert [each.level for each in rays_room()] == ["problem", "note"]  # a container's 64 MB of /dev/shm


@pytest.mark.long
def test_ray_is_tried(url: str) -> None:
    code, found = ask("--db", url, "--start")
    assert code == 0
    assert "a worker answered" in found["ray"][1]["text"]
    assert "torch" in found["ray"][1]["text"]


def test_ray_that_does_not_start(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise ConnectionError("nobody there\nand a second line")

    monkeypatch.setattr("sweeper.execution.local_ray.try_out", broken)
    code, found = ask("--db", url, "--start")
    assert code == 7
    assert found["ray"][1]["text"] == "does not start: ConnectionError: nobody there"
