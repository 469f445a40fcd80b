"""`tag` and `note`: what they say, and where what was said is shown."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sweeper.cli import main as cli
from sweeper.store.store import Store
from tests.sweeper import filled


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A finished sweep, named schedules, whose trials have the numbers 1 to 11."""
    url = f"sqlite:///{tmp_path}/s.db"
    filled.fill(url, finished=True)
    monkeypatch.setenv("SWEEPER_DB", url)
    return url


def call(*words: str) -> Result:
    return CliRunner().invoke(cli.app, [*words])


def document(*words: str) -> Any:
    return json.loads(call(*words, "--json").stdout)


def test_a_tag_stands_until_it_is_taken_off(db: str) -> None:
    assert call("tag", "schedules", "paper", "worth a look").stdout == (
        "schedules is tagged paper, worth a look\n"
    )
    assert call("tag", "schedules", "4", "new").stdout == "trial 4 of schedules is tagged new\n"
    assert call("tag", "schedules").stdout == ("schedules: paper, worth a look\ntrial 4 of schedules: new\n")
    assert document("tag", "schedules", "4", "again")["tagged"] == {
        "sweep": "schedules", "trial": 4, "trial_number": 4, "tags": ["new", "again"],
    }  # fmt: skip
    assert document("tag", "schedules")["tags"]["trials"][0]["tags"] == ["new", "again"]
    off = call("tag", "schedules", "paper", "worth a look", "--remove")
    assert off.stdout == "schedules has no tag\n"
    assert call("tag", "schedules", "5").stdout == "trial 5 of schedules: no tag\n"


def test_they_are_shown_where_one_looks(db: str) -> None:
    call("tag", "schedules", "paper")
    call("tag", "schedules", "4", "new")
    call("note", "schedules", "4", "the", "loss", "jumps")
    call("note", "schedules", "on the old machine")
    shown = call("show", "schedules", "4").stdout
    assert "tags: new\n" in shown
    assert ": the loss jumps\n" in shown
    one = document("show", "schedules", "4")
    assert one["trial"]["tags"] == ["new"]
    assert [each["text"] for each in one["notes"]] == ["the loss jumps"]
    assert document("show", "schedules", "5")["trial"]["tags"] == []
    told = call("status", "schedules").stdout
    assert "tags: paper\n" in told
    assert ": on the old machine\n" in told
    assert "  [paper]\n" in call("list").stdout
    assert document("list")["sweeps"][0]["tags"] == ["paper"]
    tagged = {number: row["tags"] for row in document("leaderboard", "schedules")["rows"]
              for number in row["trial_numbers"]}  # fmt: skip
    assert tagged[4] == ["new"]
    assert tagged[5] == []


def test_what_a_specification_says_of_its_sweep_is_shown_too(db: str) -> None:
    store = Store(db)
    spec = {
        "name": "described",
        "metric": "val_ppl",
        "describe": "clip bounds again\nand more",
        "tags": ["night", "paper"],
    }
    store.create_sweep(name="described", spec_text="", spec=spec, code_version="0", folder="files")
    store.close()
    call("tag", "described", "paper", "worth a look")
    told = call("status", "described").stdout
    assert "\nclip bounds again\nand more\ntags: night, paper, worth a look\n" in told
    assert "  [night, paper, worth a look]  clip bounds again\n" in call("list").stdout
    (shown,) = (each for each in document("list")["sweeps"] if each["name"] == "described")
    assert (shown["describe"], shown["tags"]) == (
        "clip bounds again\nand more",
        ["night", "paper", "worth a look"],
    )


def test_notes_are_listed_with_whose_they_are(db: str) -> None:
    assert call("note", "schedules").stdout == "nobody has noted anything of schedules\n"
    assert call("note", "schedules", "4", "one").stdout == "noted of trial 4 of schedules\n"
    call("note", "schedules", "two")
    lines = call("note", "schedules").stdout.splitlines()
    assert [line.rpartition(", of ")[2] for line in lines] == ["trial 4 of schedules: one", "schedules: two"]
    assert all("@" in line for line in lines)
    assert [(each["trial_number"], each["text"]) for each in document("note", "schedules")["notes"]] == [
        (4, "one"),
        (None, "two"),
    ]
    assert len(call("note", "schedules", "4").stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("tag", "schedules", "99", "new"), "schedules has no trial 99"),
        (("tag", "schedules", "4", "5"), "'5' is no tag: a number means a trial"),
        (("tag", "schedules", "--remove"), "which tag is to be taken off? say its text"),
        (("tag", "schedules", "x", "--remove"), "there is no tag 'x' to take off"),
        (("note", "schedules", "4", " "), "a note has 1 to 4,000 characters"),
        (("note", "nosuch", "x"), "there is no sweep nosuch in this database"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(db: str, words: tuple[str, ...], sentence: str) -> None:
    refused = call(*words)
    assert (refused.exit_code, refused.stderr) == (2, f"{sentence}\n")
