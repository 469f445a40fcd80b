"""`python -m sweeper` as a process: no traceback for what a machine, or a file, is like."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.store.store import Store

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def sweeper(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sweeper", *words],
        **{"capture_output": True, "text": True, "timeout": 120, "env": ENVIRONMENT, **options},  # type: ignore[call-overload]
    )


@pytest.fixture
def damaged(tmp_path: Path) -> str:
    """The URL of a store whose tables are cut in the middle."""
    file = tmp_path / "sweeps.db"
    with closing(Store(f"sqlite:///{file}")):
        pass
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2 // 4096 * 4096 - 1000])
    return f"sqlite:///{file}"


@pytest.mark.parametrize(
    "words", [["list"], ["status"], ["leaderboard", "x"], ["stages"], ["gc"], ["migrate"]]
)
def test_a_damaged_store_is_said(damaged: str, words: list[str]) -> None:
    ran = sweeper(*words, "--db", damaged)
    assert ran.returncode == 7
    assert "Traceback" not in ran.stderr
    assert "malformed" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        ran = sweeper("--help", stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr


def test_a_locale_without_letters(tmp_path: Path) -> None:
    with closing(Store(f"sqlite:///{tmp_path}/s.db")) as store:
        store.create_sweep(name="größe", spec_text="", spec={}, code_version="", folder=str(tmp_path))
    plain = {**ENVIRONMENT, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    ran = sweeper("list", "--db", f"sqlite:///{tmp_path}/s.db", env=plain)
    assert ran.returncode == 0, ran.stderr
    assert "gr" in ran.stdout
