"""Who is told of the end: on which occasions, with what on stdin; and where the command fails."""

import json
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.cli.opening import say
from sweeper.spec.sections import Notify
from sweeper.store.notes import rename
from sweeper.store.queries import Reader
from sweeper.trackers import notify
from tests.sweeper.filled import fill


@pytest.fixture
def told(tmp_path: Path) -> Path:
    return tmp_path / "told.json"


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/sweeps.db"
    fill(url, finished=True)
    return url


def run(url: str, told: Path, on: list[str], code: int, name: str = "schedules") -> None:
    keep = f"import sys, pathlib; pathlib.Path({str(told)!r}).write_text(sys.stdin.read())"
    asked = Notify.model_validate({"command": [sys.executable, "-c", keep], "on": on})
    notify.notify(asked, url, name, code, say)


def test_the_facts_are_on_stdin(url: str, told: Path) -> None:
    run(url, told, ["end", "failure"], 4)
    found = json.loads(told.read_text())
    assert (found["sweep"], found["exit_code"], found["state"]) == ("schedules", 4, "failed")
    assert found["occasions"] == ["end", "failure"]
    assert found["first"]["rank"] == 1
    assert found["answer"]["text"]


@pytest.mark.parametrize(
    ("on", "code", "is_told"),
    [(["answer"], 130, False), (["answer"], 7, False), (["end"], 130, True), (["failure"], 7, True)],
)
def test_on_the_occasions_that_were_asked_for(
    on: list[str], code: int, is_told: bool, url: str, told: Path
) -> None:
    run(url, told, on, code)
    assert told.exists() == is_told


@pytest.mark.parametrize(
    ("name", "code", "note"),
    [
        (
            "schedules",
            3,
            "not begun: a sweep of this name is there, and its specification was another",
        ),
        ("clips", 3, "not begun: sweep schedules goes by this name"),
        ("mine", 3, "not begun: its specification cannot be run"),
        ("mine", 7, "there is no sweep mine in this database; there are: schedules"),
    ],
)
def test_of_what_could_not_be_begun_nothing_is_said_that_is_anothers(
    name: str, code: int, note: str, url: str, told: Path
) -> None:
    with closing(Reader(url)) as reader:
        (sweep,) = reader.sweeps()
    rename(url, sweep.id, "clips")
    run(url, told, ["end", "failure", "answer"], code, name)
    found = json.loads(told.read_text())
    assert (found["sweep"], found["exit_code"], found["note"]) == (name, code, note)
    assert (found["state"], found["first"], found["answered"]) == (None, None, False)
    assert not found["trials"]
    assert found["occasions"] == ["end", "failure"]


def test_it_is_told_where_there_is_no_database(tmp_path: Path, told: Path) -> None:
    run(f"sqlite:///{tmp_path}/none.db", told, ["failure"], 7, "mine")
    assert "none.db" in json.loads(told.read_text())["note"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["/nosuch/command"], "cannot be run: No such file"),
        (["mail\0"], "cannot be run: embedded null byte"),
        (["mail", "\ud800"], "cannot be run: "),
        ([sys.executable, "-c", "raise SystemExit(3)"], "ended with 3"),
        ([sys.executable, "-c", "import time; time.sleep(60)"], "was ended"),
    ],
)
def test_a_command_that_fails_is_said(
    command: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(notify, "PATIENCE", 2.0)
    notify.tell(command, {}, say)
    assert words in capsys.readouterr().err


def test_no_shell_reads_it() -> None:
    assert Notify.model_validate({"command": "mail 'a b' $(x)"}).command == ("mail", "a b", "$(x)")


@pytest.mark.parametrize(
    ("program", "missing"),
    [(sys.executable, False), ("sh", False), ("nosuch", True), ("./nosuch", True), ("/", True)],
)
def test_a_program_that_is_not_there_is_said_before_anyone_waits_for_it(program: str, missing: bool) -> None:
    said = Notify.model_validate({"command": [program, "me@here"]}).lacks()
    assert said == (f"notify: {program} is no program here, so that nobody will be told" if missing else "")
