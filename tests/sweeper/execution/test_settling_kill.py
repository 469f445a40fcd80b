"""The race under Ray, its driver killed again and again: the same runs, the same scores, the same end."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.sweeper.driver.test_settling import events_of, scores_of
from tests.sweeper.driving import make_spec, run_to_end, told
from tests.sweeper.execution.test_kill import TEXT
from tests.sweeper.processes import Work, end_of, kill, wait_for

RACE = TEXT + "settle: {within: 1%, seeds: 4, contenders: 4}\n"


def scored(work: Work) -> int:
    with suppress(sqlite3.Error), closing(sqlite3.connect(work.place / "sweeps.db")) as database:
        ((count,),) = database.execute("SELECT count(*) FROM scores").fetchall()
        return int(count)
    return 0


@pytest.mark.long
@pytest.mark.timeout(900)
def test_killed_in_the_race_it_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    whole, cut = Work(tmp_path / "whole"), Work(tmp_path / "cut")
    whole.place.mkdir()
    cut.place.mkdir()
    run_to_end(whole.url, make_spec(text=RACE), whole.files)
    for moment in (1, 3, 6):
        driver = cut.start(RACE, seconds=0.02)
        wait_for(lambda at=moment: scored(cut) >= at, driver)
        kill(driver)
        cut.lose_rays_files()
    code, output = end_of(cut.start(RACE))
    assert code == 0, output
    assert told(cut.url) == told(whole.url)
    assert scores_of(cut.url) == scores_of(whole.url)
    assert events_of(cut.url, "settle") == events_of(whole.url, "settle")
