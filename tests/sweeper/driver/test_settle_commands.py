"""`settle` and `reevaluate` on the command line, and without it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.execution.reevaluation import Masks, contenders, reevaluate
from sweeper.files.remote import within
from sweeper.files.snapshots import Snapshots
from sweeper.results.leaderboard import leaderboard
from sweeper.store.engine import LeaseLost
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests.sweeper.driver.test_control_commands import call
from tests.sweeper.driving import make_spec, opened, run_to_end

SMALL = ("search.trials=3", "search.sampler=random", "always=[{finetune.block_size: 16}]", "always_seeds=2")
MASKS = Masks(None, 3)


def ended(place: tuple[str, Path]) -> str:
    """The URL of a store whose sweep has ended, and that nobody drives."""
    run_to_end(place[0], make_spec(*SMALL), place[1])
    with closing(Store(place[0])) as store:
        store.release_lease(1, "me")
    return place[0]


def test_settle_is_asked_of_a_sweep_that_runs(place: tuple[str, Path]) -> None:
    url = place[0]
    with opened(url, make_spec(*SMALL), place[1]) as driver:
        code, said = call("settle", "test", "--within", "0.5%", "--seeds", "3", "--db", url)
        assert (code, said) == (0, "asked test to be settled to 0.005; it goes on to that by itself\n")
        driver.poll()
        code, said = call("settle", "test", "--until", "winner", "--json", "--db", url)
        assert json.loads(said)["settle"] == {
            "sweep": "test", "running": True, "within": 0.005, "until": "winner", "confidence": 0.95,
            "seeds": 3, "contenders": 12, "by": None,
        }  # fmt: skip
    assert call("settle", "test", "--within", "much", "--db", url)[0] == 2
    assert call("settle", "other", "--db", url)[0] == 2


def test_by_can_be_taken_back_and_must_be_of_few_values(place: tuple[str, Path]) -> None:
    url = place[0]
    by = "settle={by: finetune.block_size, seeds: 3}"
    with opened(url, make_spec(*SMALL, by), place[1]) as driver:
        code, said = call("settle", "test", "--by", "finetune.schedule.mu", "--db", url)
        assert (code, "settle.by: finetune.schedule.mu is a continuous range" in said) == (2, True)
        code, said = call("settle", "test", "--by", "", "--json", "--db", url)
        assert (code, json.loads(said)["settle"]["by"]) == (0, None)
        driver.poll()
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("test")
        assert sweep is not None
        assert (sweep.spec["settle"]["by"], sweep.spec["settle"]["seeds"]) == (None, 3)


def test_checkpoints_are_scored_again_and_the_board_goes_by_that(place: tuple[str, Path]) -> None:
    url = ended(place)
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("test")
        assert sweep is not None
        everyone = contenders(reader, sweep)
        before = leaderboard(reader, "test")
        runs = {t.id for t in reader.trials(1) if t.state == "complete" and t.repeat_of is None}
    said: list[str] = []
    scored, _ = reevaluate(url, "test", everyone, MASKS, said.append, "tests.fakes")
    assert {trial.id for trial in scored} == runs
    with closing(Reader(url)) as reader:
        scores = {score.trial: score.nelbo for score in reader.scores(1)}
        after = leaderboard(reader, "test")
        assert {score.round for score in reader.scores(1)} == {0}
    assert scores.keys() == runs
    (searched,) = [row for row in after.rows if row.rank == 1][:1]
    assert searched.val_nelbo is not None
    assert min(scores.values()) <= searched.val_nelbo <= max(scores.values())
    assert [row.val_nelbo for row in after.rows] != [row.val_nelbo for row in before.rows]


def test_a_score_of_more_masks_is_not_replaced_by_one_of_fewer(place: tuple[str, Path]) -> None:
    url = ended(place)
    with closing(Reader(url)) as reader:
        everyone = [trial.configuration for trial in reader.trials(1)]

    def again(masks: int) -> tuple[int, int, list[str], list[int]]:
        said: list[str] = []
        scored, kept = reevaluate(url, "test", everyone, Masks(None, masks), said.append, "tests.fakes")
        with closing(Reader(url)) as reader:
            return len(scored), len(kept), said, [each.provenance["draws"] for each in reader.scores(1)]

    n, none_kept, _, draws = again(16)
    assert (none_kept, draws) == (0, [16] * n)
    scored, kept, said, draws = again(4)
    assert (scored, kept, draws) == (0, n, [16] * n)
    assert {line.partition(": ")[2] for line in said} == {
        "keeps its score of 16 masks a block: one of 4 has more error of masks"
    }
    assert again(16)[:2] == (n, 0)
    assert again(32)[3] == [32] * n


def test_what_cannot_be_scored_is_said_and_the_rest_goes_on(place: tuple[str, Path]) -> None:
    url = ended(place)
    (place[1] / "trials" / "1" / "1" / "unreadable").touch()
    with closing(Reader(url)) as reader:
        everyone = [trial.configuration for trial in reader.trials(1)]
    said: list[str] = []
    scored, _ = reevaluate(url, "test", everyone, MASKS, said.append, "tests.fakes")
    assert 1 not in [trial.id for trial in scored]
    assert "there is no checkpoint" in next(line for line in said if line.startswith("trial 1:"))


def test_nothing_is_scored_of_a_sweep_that_is_being_run(place: tuple[str, Path]) -> None:
    url = place[0]
    with opened(url, make_spec(*SMALL), place[1]), pytest.raises(LeaseLost, match="is being run"):
        reevaluate(url, "test", [1], MASKS, print, "tests.fakes")


def test_rows_and_masks_are_checked(place: tuple[str, Path]) -> None:
    url = ended(place)
    assert call("reevaluate", "test", "99", "--db", url)[0] == 2
    code, said = call("reevaluate", "test", "--masks", "4", "--error", "0.01", "--db", url)
    assert (code, said) == (2, "--error sets the number of masks: say one of the two\n")


def test_what_lies_in_an_object_store_is_scored_the_same(
    place: tuple[str, Path], remote: str, cache: Path
) -> None:
    url = ended(place)
    with closing(Reader(url)) as reader:
        everyone = [trial.configuration for trial in reader.trials(1)]
        ran = [trial for trial in reader.trials(1) if trial.repeat_of is None]
        runs = {trial.id for trial in ran if trial.state == "complete"}
    reevaluate(url, "test", everyone, MASKS, print, "tests.fakes")
    with closing(Reader(url)) as reader:
        here = {score.trial: score.nelbo for score in reader.scores(1)}
    for run in runs - {1}:
        Snapshots(within(remote, "trials", "1", str(run))).push(place[1] / "trials" / "1" / str(run))
    with closing(sqlite3.connect(place[0].removeprefix("sqlite:///"))) as store, store:
        store.execute("DELETE FROM scores")
        store.execute("UPDATE sweeps SET folder = ?", (remote,))
    said: list[str] = []
    reevaluate(url, "test", everyone, MASKS, said.append, "tests.fakes")
    with closing(Reader(url)) as reader:
        assert {score.trial: score.nelbo for score in reader.scores(1)} == {r: here[r] for r in runs - {1}}
    assert "there is no checkpoint" in next(line for line in said if line.startswith("trial 1:"))


def test_where_nothing_could_be_scored_the_exit_code_says_so(place: tuple[str, Path]) -> None:
    """The checkpoints of the fake trainer are none that the real one can read."""
    code, said = call("reevaluate", "test", "--masks", "4", "--db", ended(place))
    assert code == 5
    assert "0 runs of" in said
