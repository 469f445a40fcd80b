"""`share`: where it writes, and what it says where it cannot."""

import os
import stat
import sys
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sweeper.cli.main import app
from sweeper.store.store import Store
from tests.sweeper import filled
from trainer.errors import lacks


def share(url: str, out: Path, *words: str, name: str = "schedules") -> Result:
    return CliRunner().invoke(app, ["share", name, "--out", str(out), "--db", url, *words])


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    address = f"sqlite:///{tmp_path_factory.mktemp('store')}/s.db"
    filled.fill(address)
    return address


def test_a_page_takes_the_place_of_an_older_one_whole(url: str, tmp_path: Path) -> None:
    out = tmp_path / "out.html"
    out.write_text("older")
    result = share(url, out, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert f'"file": "{out}"' in result.stdout
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert os.listdir(tmp_path) == ["out.html"]  # no temporary file is left


def test_what_is_no_file_is_written_to_and_stays(url: str, tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text(encoding="utf-8")), daemon=True)
    reader.start()
    assert share(url, pipe).exit_code == 0
    reader.join(timeout=60)
    assert read[0].endswith("</html>\n")
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_where_it_cannot_it_says_why(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.html"
    missing = share(url, out, name="schedule")
    assert missing.exit_code == 2
    assert missing.stderr == "there is no sweep schedule in this database; did you mean schedules?\n"
    nowhere = share(url, tmp_path / "no" / "out.html")
    assert (nowhere.exit_code, nowhere.stderr) == (2, f"{tmp_path / 'no'}: there is no such folder\n")
    assert share(url, tmp_path).exit_code == 2  # a folder
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.delitem(sys.modules, "dashboard.share.page", raising=False)
    lacking = share(url, out)
    assert lacking.exit_code == 7
    assert lacking.stderr == f"{lacks('share', 'plotly', 'dashboard')}\n"
    assert not out.exists()


def test_a_sweep_without_a_rank_has_no_page(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    store = Store(url)
    spec = {"space": {"finetune.block_size": {"choice": [4, 8]}}, "search": {"trials": 3}}
    store.create_sweep(name="new", spec_text="name: new\n", spec=spec, code_version="0", folder="files")
    store.close()
    result = share(url, tmp_path / "out.html", name="new")
    assert (result.exit_code, result.stderr) == (5, "nothing of new is ranked yet\n")
    assert not (tmp_path / "out.html").exists()
