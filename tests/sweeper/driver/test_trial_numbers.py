"""What people call a trial: its number in the sweep, from 1; the store's id in a sweep that is older."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from sweeper.store.engine import sqlite_file
from sweeper.store.queries import Reader, trial_called
from tests.sweeper.driver.test_control_commands import call
from tests.sweeper.driving import make_spec, opened, run_to_end, trial_of

SMALL = ("search.trials=2", "search.sampler=random")


def second(place: tuple[str, Path]) -> str:
    """The URL of a store whose second sweep has ended."""
    url, files = place
    run_to_end(url, make_spec(*SMALL, "name=first"), files)
    run_to_end(url, make_spec(*SMALL, "name=second"), files)
    return url


def test_each_sweep_counts_from_1_and_ids_do_not_move(place: tuple[str, Path]) -> None:
    url = second(place)
    with closing(Reader(url)) as reader:
        numbers = [[(t.id, t.called) for t in reader.trials(sweep)] for sweep in (1, 2)]
        assert numbers == [[(1, 1), (2, 2)], [(3, 1), (4, 2)]]
        found = trial_called(reader, 2, 2)
        assert found is not None
        assert found.id == 4
        assert trial_called(reader, 2, 4) is None
    code, said = call("show", "second", "2", "--db", url)
    assert (code, said.splitlines()[0].partition(":")[0]) == (0, "trial 2 of second")
    assert call("show", "second", "4", "--db", url)[0] == 2
    shown = json.loads(call("show", "second", "2", "--json", "--db", url)[1])["trial"]
    assert (shown["id"], shown["trial_number"]) == (4, 2)
    assert (place[1] / "trials" / "2" / "4").is_dir()


def test_an_older_sweep_keeps_the_numbers_that_its_users_wrote_down(place: tuple[str, Path]) -> None:
    url = second(place)
    with closing(sqlite3.connect(str(sqlite_file(url)))) as database:
        database.execute("UPDATE trials SET trial_number = NULL")
        database.commit()
    assert call("show", "second", "4", "--db", url)[0] == 0
    assert call("show", "second", "1", "--db", url)[0] == 2
    grown = make_spec("search.trials=3", *SMALL[1:], "name=second")
    with opened(url, grown, place[1]) as driver:
        job = trial_of(driver)
        assert job.trial > 4
        assert job.name == f"trial {job.trial}"


def test_what_is_asked_of_a_number_is_asked_of_its_trial(place: tuple[str, Path]) -> None:
    url, files = place
    run_to_end(url, make_spec(*SMALL, "name=first"), files)
    with opened(url, make_spec(*SMALL, "name=second"), files) as driver:
        one = trial_of(driver)
        assert (one.trial, one.name) == (3, "trial 1")
        assert call("pause", "second", "--trial", "3", "--db", url)[0] == 2
        code, said = call("pause", "second", "--trial", "1", "--db", url)
        assert (code, said.partition(":")[0]) == (0, "asked trial 1 of second to pause")
        driver.poll()
        assert not driver.take(one, [])
        with closing(Reader(url)) as reader:
            assert [trial.state for trial in reader.trials(2)] == ["paused"]
            texts = [event.text for event in reader.events(2)]
        assert "trial 1 is paused" in texts
        assert not [text for text in texts if "trial 3" in text]
