"""What one begins with: a specification of one's own, one that ships, the version, a part that is missing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweeper.cli.main import app
from sweeper.shipped import shipped
from sweeper.spec.load import load_spec
from tests.sweeper.filled import fill
from trainer.data.pretrained import pretrained
from trainer.data.wikitext import WikiText
from trainer.errors import DataError, JudgeError
from trainer.evaluation.judges import open_judge

ROOT = Path(__file__).parents[3]


def said(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("source", ["starter", "schedules", "report/table1"])
def test_a_specification_of_ones_own_is_sound_and_has_its_name(source: str, here: Path) -> None:
    assert "python -m sweeper run mine" in said("init", "mine", "--from", source)
    assert load_spec(here / "mine.yaml").name == "mine"
    begun = (here / "mine.yaml").read_text()
    assert "sweeper run mine" in begun
    itself = source.rpartition("/")[2]
    assert not re.search(rf"sweeper \w+ +\S*{itself}(\.yaml)?(\s|$)", begun, re.M), (
        "its lines name the shipped one"
    )


def test_the_file_s_name_is_taken_for_the_sweep_s(here: Path) -> None:
    said("init", "mine.yaml")
    assert [each.name for each in here.iterdir()] == ["mine.yaml"]


def test_nothing_is_written_over(here: Path) -> None:
    (here / "mine.yaml").write_text("name: old\n")
    assert "stays as it is" in said("init", "mine", code=2)
    assert (here / "mine.yaml").read_text() == "name: old\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a/b"], "is no name of a sweep"),
        (["../up"], "is no name of a sweep"),
        (["mine", "--from", "shedules"], "did you mean schedules?"),
    ],
)
def test_what_cannot_be_begun_is_said(arguments: list[str], words: str, here: Path) -> None:
    assert words in said("init", *arguments, code=2)
    assert not list(here.iterdir())


def test_a_name_is_a_file_or_what_ships(here: Path) -> None:
    said("init", "mine")
    assert "mine: the specification is sound" in said("check", "mine")
    assert "smoke: the specification is sound" in said("check", "smoke")
    output = said("check", "nosuch", code=2)
    assert "there is no file nosuch" in output.replace("\n", " ")
    assert "is a folder" in said("check", str(here), code=2)


def test_every_file_that_ships_has_a_name() -> None:
    assert {"schedules", "smoke", "starter", "report/table1"} <= shipped().keys()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_a_shell_is_told_completes_the_installed_command(shell: str) -> None:
    plainly = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    words = [sys.executable, "-m", "sweeper", "--show-completion", shell]
    script = subprocess.run(words, env=plainly, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"_SWEEPER_COMPLETE=complete_{shell}" in script
    assert "python" not in script


def test_the_list_of_commands_is_whole_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    listed = said("--help").partition("Commands:")[2]
    assert "..." not in listed
    assert all(len(line) <= 80 for line in listed.splitlines())


def test_the_version_is_that_of_the_project() -> None:
    assert said("--version").startswith("bd3lm-sweep 0.")


def test_names_of_sweeps_are_completed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sweeper.cli.options import _names

    monkeypatch.setenv("SWEEPER_DB", f"sqlite:///{here}/sweeps.db")
    assert _names("") == []
    fill(f"sqlite:///{here}/sweeps.db")
    assert _names("sch") == ["schedules"]
    assert _names("x") == []


def test_a_part_that_is_not_installed_is_a_sentence(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("datasets", "transformers"):
        monkeypatch.setitem(sys.modules, package, None)
    for place in ("importlib.util", "trainer.evaluation.judges"):
        monkeypatch.setattr(f"{place}.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"datasets, which is not installed: pip install datasets.*\[hub\]"):
        WikiText().count("test")
    with pytest.raises(DataError, match=r"\[hub\]"):
        pretrained("nosuch/tokenizer")
    with pytest.raises(JudgeError, match=r"\[judge\]"):
        open_judge("nosuch/judge")
    assert "[dashboard]" in said("dashboard", code=7)
