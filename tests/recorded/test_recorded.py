"""Today's driver, fed with what the runs of recorded sweeps reported, proposes, prunes and ends the same.

Where it does not and need not, they are renewed in words: python -m tests.recorded.record --because "..."."""

import json
from pathlib import Path

import pytest

from tests.recorded.specs import BEFORE, SWEEPS
from tests.recorded.tape import KEPT, Recording, driven, read
from tests.sweeper.driver.test_kept_store import assert_close

LAST_DIGITS = 1e-9  # of proposals: they were made on another machine


@pytest.mark.parametrize("name", SWEEPS)
def test_todays_driver_goes_the_same_way(name: str, tmp_path: Path) -> None:
    recordings = {each: read(each) for each in (name, *((BEFORE[name],) if name in BEFORE else ()))}
    now, then = driven(name, tmp_path, recordings), recordings[name]
    assert now.events == then.events
    assert_close(now.tables, then.tables, LAST_DIGITS)


def test_the_recordings_are_those_of_the_specifications() -> None:
    assert {file.name.removesuffix(".json.xz") for file in KEPT.glob("*.xz")} == set(SWEEPS)
    assert sum(file.stat().st_size for file in KEPT.iterdir()) < 200_000


def test_each_kind_has_something_to_say() -> None:
    """Pruned, repeated, replicated, confirmed, raced and scored trials are among them."""
    kinds = {kind for name in SWEEPS for kind, _, _ in read(name).events}
    assert {"prune", "repeat", "score", "confirm", "settle", "warm start"} <= kinds


def test_another_way_is_seen(tmp_path: Path) -> None:
    """One value that is another: a trial that was pruned goes on, or another one is."""
    recording = read("tpe")
    said = json.loads(json.dumps(recording.said))
    for report in said["trial 8"]:
        report["values"]["val_ppl"] += 10
    now = driven("tpe", tmp_path, {"tpe": Recording(said, recording.events, recording.tables)})
    assert now.tables != recording.tables
