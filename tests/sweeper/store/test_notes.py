"""Tags and notes: anyone's to append beside a living driver; which tags stand follows from the rows alone."""

import random

import pytest

from sweeper.store.engine import StoreError
from sweeper.store.notes import (
    LONGEST_NOTE,
    LONGEST_TAG,
    MOST_TAGS,
    note,
    rename,
    standing,
    tag,
    tags_of,
)
from sweeper.store.queries import Reader
from sweeper.store.records import NoteRecord, SweepRecord
from sweeper.store.store import Store
from sweeper.store.writer import Writer
from tests.sweeper.store.stores import new_sweep, new_trial


def test_what_is_said_is_kept_with_whose_it_is(
    url: str, reader: Reader, sweep: SweepRecord, writer: Writer
) -> None:
    trial = new_trial(writer).id
    assert tag(url, sweep.id, ["paper", "good one", "paper"], who="ada@box") == ["paper", "good one"]
    assert tag(url, sweep.id, ["paper"], trial) == ["paper"]
    note(url, sweep.id, "two\nlines, größe", trial, who="ada@box")
    assert tag(url, sweep.id, ["paper"], remove=True) == ["good one"]
    said = reader.notes(sweep.id)
    assert [(each.trial, each.kind, each.text) for each in said] == [
        (None, "tag", "paper"),
        (None, "tag", "good one"),
        (trial, "tag", "paper"),
        (trial, "note", "two\nlines, größe"),
        (None, "untag", "paper"),
    ]
    assert said[0].who == "ada@box"
    assert "@" in said[2].who
    assert standing(said) == {None: ("good one",), trial: ("paper",)}
    assert tags_of(standing(said), [trial + 1, trial]) == ("paper",)


def test_what_is_so_already_is_not_said_again(url: str, reader: Reader, sweep: SweepRecord) -> None:
    tag(url, sweep.id, ["a", "b"])
    assert tag(url, sweep.id, ["b", "c"]) == ["a", "b", "c"]
    assert len(reader.notes(sweep.id)) == 3
    with pytest.raises(StoreError, match="no tag 'd' to take off"):
        tag(url, sweep.id, ["a", "d"], remove=True)
    assert len(reader.notes(sweep.id)) == 3  # all or nothing


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "characters in one line"),
        (" a", "no space at its ends"),
        ("a\nb", "in one line"),
        ("\ud800", "in one line"),
        ("x" * (LONGEST_TAG + 1), f"1 to {LONGEST_TAG}"),
        ("17", "a number means a trial"),
        ("a,b", "a comma"),
    ],
)
def test_a_tag_is_short_and_no_number(text: str, why: str, url: str, sweep: SweepRecord) -> None:
    with pytest.raises(StoreError, match=why):
        tag(url, sweep.id, ["fine", text])


@pytest.mark.parametrize("text", ["", "  \n", "a\x00b", "\ud800", "x" * (LONGEST_NOTE + 1)])
def test_a_note_is_text(text: str, url: str, reader: Reader, sweep: SweepRecord) -> None:
    with pytest.raises(StoreError, match="a note"):
        note(url, sweep.id, text)
    assert reader.notes(sweep.id) == []


def test_so_many_tags_stand_and_no_more(url: str, reader: Reader, sweep: SweepRecord) -> None:
    tag(url, sweep.id, [f"t{n}" for n in range(MOST_TAGS)])
    with pytest.raises(StoreError, match=f"{MOST_TAGS} tags at most"):
        tag(url, sweep.id, ["one more"])
    tag(url, sweep.id, ["t0"], remove=True)
    assert "one more" in tag(url, sweep.id, ["one more"])


def test_it_is_of_a_sweep_or_a_trial_that_is_there(url: str, sweep: SweepRecord) -> None:
    for bad, sentence in (((99, ["a"]), "no sweep 99"), ((sweep.id, ["a"], 99), "no trial 99")):
        with pytest.raises(StoreError, match=sentence):
            tag(url, *bad)
    with pytest.raises(StoreError, match="no database"):
        note("sqlite:////nonexistent/x.db", 1, "a")


def test_what_stands_is_what_a_set_would_hold() -> None:
    """Any rows, in any order: also tags that two people put on at once, or took off twice."""
    for seed in range(50):
        rng = random.Random(seed)
        held: dict[int | None, set[str]] = {None: set(), 1: set(), 2: set()}
        records = []
        for id in range(rng.randrange(40)):
            trial, text = rng.choice((None, 1, 2)), rng.choice("abc")
            kind = rng.choice(("tag", "untag", "note"))
            records.append(NoteRecord(id, 1, trial, 0.0, "", kind, text))
            if kind == "tag":
                held[trial].add(text)
            elif kind == "untag":
                held[trial].discard(text)
        found = standing(records)
        assert {trial: set(tags) for trial, tags in found.items()} == {t: s for t, s in held.items() if s}


def test_the_last_display_name_stands_and_no_two_sweeps_share_one(
    store: Store, url: str, reader: Reader, sweep: SweepRecord
) -> None:
    other = new_sweep(store, "other")
    for name in ("one", "two", "two"):
        rename(url, sweep.id, name)
    assert [(each.name, each.called) for each in reader.sweeps()] == [("first", "two"), ("other", "other")]
    for taken in ("two", "first"):
        with pytest.raises(StoreError, match="another sweep of this database goes by"):
            rename(url, other.id, taken)
    rename(url, other.id, "one")  # nobody's any more
    rename(url, sweep.id, "first")
    assert [each.called for each in reader.sweeps()] == ["first", "one"]
    found = reader.sweep_called("one")
    assert found is not None
    assert found.name == "other"
    assert reader.sweep_called("two") is None
