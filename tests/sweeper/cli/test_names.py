"""Which sweep is meant: by its name, by its display name, or where none is said. Over all commands."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from sweeper.cli import main as cli
from sweeper.cli.options import _unsaid
from sweeper.execution.registration import register
from sweeper.store import notes
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests.sweeper import filled
from tests.sweeper.driving import make_spec
from trainer.config.problems import InvalidConfig

COMMANDS = get_command(cli.app).commands  # type: ignore[attr-defined]
OF_A_SWEEP = [
    word
    for word, command in COMMANDS.items()
    if any(each.default is _unsaid for each in command.params if each.param_type_name == "argument")
]
# What a command needs beside the name, so that it does its work.
MORE: dict[str, tuple[str, ...]] = {
    "export": ("--out", "tables"),
    "export-model": ("--to", "model"),
    "extend": ("--trials", "+1"),
    "follow": ("--to", "tensorboard:runs", "--once"),
    "profile": ("finetune.block_size",),
    "rename": ("renamed",),
    "share": ("--out", "page.html"),
    "tag": ("1", "good"),
    "note": ("1", "looks good"),
}
DRIVES = {"resume", "settle"}  # Ray, where nothing stops it before
SLOW = {"export", "reevaluate", "share"}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two sweeps, older and newer, and one with the sweep `alone`."""
    folder = tmp_path_factory.mktemp("two")
    for name in ("older", "newer"):
        filled.fill(f"sqlite:///{folder}/two.db", name, finished=True)
    filled.fill(f"sqlite:///{folder}/one.db", "alone", finished=True)
    return folder


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWEEPER_DB", f"sqlite:///{tmp_path}/s.db")
    return f"sqlite:///{tmp_path}/s.db"


def call(*words: str) -> Result:
    return CliRunner().invoke(cli.app, [*words])


def needed(word: str) -> tuple[str, ...]:
    arguments = [each for each in COMMANDS[word].params if each.param_type_name == "argument"][1:]
    numbers = [str(number) for number, each in enumerate(arguments, start=1) if each.required]
    return MORE.get(word, tuple(numbers))


def content(url: str) -> list[str]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        return list(database.iterdump())


def test_the_list_is_not_empty() -> None:
    assert {"leaderboard", "show", "compare", "stop", "resume", "rename", "delete"} <= set(OF_A_SWEEP)


@pytest.mark.parametrize("word", OF_A_SWEEP)
def test_without_a_name_who_only_reads_has_the_newest_and_who_changes_is_told_the_list(
    word: str, url: str, two: Path
) -> None:
    shutil.copy(two / "two.db", url.removeprefix("sqlite:///"))
    before = content(url)
    result = call(word, *needed(word))
    if result.exit_code == 2 and "which sweep?" in result.stderr:
        assert result.stderr == "which sweep? say its name: older, newer\n"
        document = json.loads(call(word, *needed(word), "--json").stdout)
        assert document["sweeps"] == ["older", "newer"]
    else:
        assert result.stderr.startswith("newer, the newest of 2 sweeps\n"), result.output
        assert "the newest of" not in result.stdout
    assert content(url) == before


@pytest.mark.long
@pytest.mark.parametrize("word", [each for each in OF_A_SWEEP if each not in DRIVES])
def test_without_a_name_the_only_one_is_meant_and_json_is_as_with_it(word: str, url: str, two: Path) -> None:
    shutil.copy(two / "one.db", url.removeprefix("sqlite:///"))
    before = content(url)
    unsaid = call(word, *needed(word), "--json")
    assert unsaid.stderr.startswith("alone, the only sweep\n")
    json.loads(unsaid.stdout)
    if content(url) == before and word not in SLOW:
        assert call(word, "alone", *needed(word), "--json").stdout == unsaid.stdout


@pytest.mark.parametrize("word", OF_A_SWEEP)
def test_where_there_is_no_sweep_that_is_said(word: str, url: str) -> None:
    with closing(Store(url)):
        pass
    result = call(word, *needed(word))
    assert result.exit_code == 2
    assert "no sweep has been run yet" in result.stderr


def test_a_number_is_a_trial_unless_a_sweep_is_called_so(url: str) -> None:
    filled.fill(url, "7", finished=True)
    filled.fill(url, "other", finished=True)
    assert "trial 4 of other" in call("show", "4").stdout
    assert "trial 4 of 7" in call("show", "7", "4").stdout
    assert "Missing argument 'trial'" in call("show", "7").stderr
    assert "trial 7 of other: paper" in call("tag", "other", "7", "paper").stdout.replace(" is tagged", ":")
    assert call("tag", "7").stdout == "7: no tag\n"  # it is the sweep's name, as it has always been


def test_a_name_that_is_misspelled_is_no_tag(url: str) -> None:
    filled.fill(url)
    result = call("tag", "shedules", "paper")
    assert (result.exit_code, result.stderr) == (
        2,
        "there is no sweep shedules in this database; did you mean schedules?\n",
    )


# --- display names ----------------------------------------------------------------------------------
def test_both_names_are_taken_and_the_new_one_is_shown(url: str) -> None:
    filled.fill(url, finished=True)
    assert call("rename", "schedules", "first try").stdout == "schedules is called first try from now on\n"
    assert call("list").stdout.startswith("first try  failed")
    for name in ("schedules", "first try"):
        assert call("status", name).stdout.startswith("first try: failed")
        sweep = json.loads(call("status", name, "--json").stdout)["sweep"]
        assert (sweep["name"], sweep["display_name"]) == ("schedules", "first try")
        assert call("leaderboard", name).exit_code == 0
    said = json.loads(call("rename", "first try", "schedules", "--json").stdout)
    assert said["renamed"] == {"sweep": "schedules", "display_name": "schedules"}
    assert call("status", "first try").exit_code == 2


def test_the_study_and_what_resumes_stay(url: str) -> None:
    filled.fill(url, finished=True)
    with closing(Reader(url)) as reader:
        before = reader.sweep("schedules")
        call("rename", "schedules", "other")
        after = reader.sweep("schedules")
        assert before is not None
        assert after == before._replace(display_name="other")
        assert reader.sweep_called("other") == after
        assert reader.sweep("other") is None


@pytest.mark.parametrize("name", ["", " x", "a/b", "a\nb", "x" * 101, "newer", "shown"])
def test_what_cannot_be_a_display_name_is_refused(name: str, url: str, two: Path) -> None:
    shutil.copy(two / "two.db", url.removeprefix("sqlite:///"))
    call("rename", "newer", "shown")
    result = call("rename", "older", name)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert call("status", "older").stdout.startswith("older: ")


def test_a_new_sweep_does_not_take_what_another_goes_by(url: str, tmp_path: Path) -> None:
    filled.fill(url, finished=True)
    call("rename", "schedules", "test")
    with (
        closing(Store(url)) as store,
        closing(Reader(url)) as reader,
        pytest.raises(InvalidConfig, match="sweep schedules goes by the name test"),
    ):
        register(make_spec(), tmp_path / "files", store, reader, print)


def test_only_a_sweep_that_is_there_is_renamed(url: str) -> None:
    filled.fill(url)
    with pytest.raises(StoreError, match="there is no sweep 9"):
        notes.rename(url, 9, "x")


def test_display_names_are_completed(url: str) -> None:
    from sweeper.cli.options import _names

    filled.fill(url)
    call("rename", "schedules", "first try")
    assert _names("") == ["first try", "schedules"]
