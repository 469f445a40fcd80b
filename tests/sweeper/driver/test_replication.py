"""Replicates of what the search completes, and its best on fresh seeds: which, on which, and the board."""

import math
import random
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.results.leaderboard import Board, leaderboard
from sweeper.results.ranking import best_of_search
from sweeper.spec.spec import SweepSpec
from sweeper.store.queries import Reader
from sweeper.store.records import TrialRecord
from tests.sweeper.driving import (
    STAGED,
    drive,
    kill_points,
    make_spec,
    opened,
    run_to_end,
    run_until_killed,
    told,
)

SMALL = ("search.trials=4", "search.sampler=random", "trainer.evaluation.every=4", "always_seeds=2", *STAGED)
BASELINE = "always=[{finetune.block_size: 16}]"
CONFIRM = "confirm={top: 2, seeds: 2}"


def trials_of(url: str, role: str) -> list[TrialRecord]:
    with closing(Reader(url)) as reader:
        return [trial for trial in reader.trials(1) if trial.role == role]


def board_of(url: str) -> Board:
    with closing(Reader(url)) as reader:
        return leaderboard(reader, "test")


def run(spec: SweepSpec, place: Path, slots: int = 1) -> str:
    url = f"sqlite:///{place}/sweeps.db"
    run_to_end(url, spec, place / "files", slots=slots)
    return url


def test_each_complete_configuration_has_its_replicates_and_their_own_pretrains(tmp_path: Path) -> None:
    url = run(make_spec("replicates=3", "search.trials=3", *SMALL[1:]), tmp_path)
    searched = [trial for trial in trials_of(url, "search") if trial.repeat_of is None]
    replicates = trials_of(url, "replicate")
    for trial in searched:
        mine = [each for each in replicates if each.configuration == trial.configuration]
        assert [each.seed for each in mine] == [4, 5]
        assert len({trial.stage, *(each.stage for each in mine)}) == 3
        assert all(each.number is None and each.params == trial.params for each in mine)
    assert len(replicates) == 2 * len(searched)
    assert all(row.seeds == 3 for row in board_of(url).rows)


def test_the_study_never_hears_of_replicates(tmp_path: Path) -> None:
    with_them = run(make_spec("replicates=2", *SMALL), tmp_path / "with")
    without = run(make_spec(*SMALL), tmp_path / "without")
    proposed = [[(t.number, t.params) for t in trials_of(url, "search")] for url in (with_them, without)]
    assert proposed[0] == proposed[1]


def test_what_is_pruned_or_has_failed_has_no_replicates(tmp_path: Path) -> None:
    rule = "early_stopping={pruner: patient, min_steps: 2, patience: 0}"
    steps = ("trainer.finetune.steps=12", "trainer.evaluation.every=2")
    url = run(make_spec("replicates=2", rule, "search.trials=6", *SMALL[1:2], *steps), tmp_path)
    states = {trial.configuration: trial.state for trial in trials_of(url, "search")}
    assert set(states.values()) == {"complete", "pruned"}
    replicated = {trial.configuration for trial in trials_of(url, "replicate")}
    assert replicated == {each for each, state in states.items() if state == "complete"}
    assert {trial.state for trial in trials_of(url, "replicate")} == {"complete"}  # never pruned


def test_a_baseline_that_the_search_proposes_again_is_completed_to_its_seeds(tmp_path: Path) -> None:
    point = "{finetune.block_size: 16, finetune.schedule.name: loglinear}"
    spec = make_spec(f"always=[{point}]", f"search={{sampler: fixed, seed: 3, points: [{point}]}}",
                     "always_seeds=2", "replicates=3")  # fmt: skip
    url = run(spec, tmp_path)
    assert [trial.seed for trial in trials_of(url, "baseline")] == [3, 4]
    assert [trial.seed for trial in trials_of(url, "replicate")] == [5]


@pytest.mark.parametrize("slots", [1, 3])
def test_the_best_are_confirmed_on_seeds_that_nothing_else_had(slots: int, tmp_path: Path) -> None:
    url = run(make_spec(BASELINE, CONFIRM, "replicates=3", *SMALL), tmp_path, slots)
    with closing(Reader(url)) as reader:
        best = best_of_search(reader, 1, 2)
        trials = reader.trials(1)
    confirming = trials_of(url, "confirm")
    assert [(trial.configuration, trial.seed) for trial in confirming] == [
        *((configuration, 6) for configuration in best),
        *((configuration, 7) for configuration in best),
    ]
    others = [trial for trial in trials if trial.role != "confirm"]
    assert not {trial.seed for trial in confirming} & {trial.seed for trial in others}
    assert not {trial.stage for trial in confirming} & {trial.stage for trial in others}
    assert min(trial.id for trial in confirming) > max(trial.id for trial in others)
    assert {trial.state for trial in trials} == {"complete"}


def test_the_board_shows_both_and_is_led_by_the_confirmed(tmp_path: Path) -> None:
    url = run(make_spec(BASELINE, CONFIRM, *SMALL), tmp_path)
    board, before = board_of(url), run(make_spec(BASELINE, *SMALL), tmp_path / "before")
    plain = {row.configuration: row for row in board_of(before).rows}
    assert [row.confirmed_seeds for row in board.rows[:3]] == [2, 2, 0]
    for row in board.rows:  # the search's own numbers are what they were
        assert row.val_nelbo == plain[row.configuration].val_nelbo
        assert row.why == plain[row.configuration].why
    for row in board.confirmed:
        mean = math.fsum(confirmed_values(url, row.configuration)) / 2
        assert row.confirmed_nelbo == pytest.approx(mean)
        assert row.confirmed_ppl == pytest.approx(math.exp(mean))
        assert row.confirmed_low < row.confirmed_ppl < row.confirmed_high
        assert "confirm" in row.roles
        assert len(row.trials) == row.seeds + 2
    assert [row.confirmed_nelbo for row in board.confirmed] == sorted(
        row.confirmed_nelbo for row in board.confirmed
    )
    assert {row.rank for row in board.rows[2:]} == {3}, "what was not confirmed keeps its ties"
    assert board.answers[0].kind == "confirmed"
    flat = board.to_json()["rows"][0]
    assert {"confirmed_ppl", "confirmed_low", "confirmed_high", "confirmed_seeds", "confirmed_tied"} <= set(
        flat
    )


def confirmed_values(url: str, configuration: int) -> list[float]:
    mine = [trial.id for trial in trials_of(url, "confirm") if trial.configuration == configuration]
    with closing(Reader(url)) as reader:
        stored = reader.evaluations(1, "valid")
    return [math.fsum(each.nats) / sum(each.tokens) for each in stored if each.trial in mine]


@pytest.mark.parametrize(
    "stride",
    [23, pytest.param(1, marks=[pytest.mark.long, pytest.mark.timeout(1800)])],
    ids=["some", "every"],
)
def test_kill_points(stride: int, tmp_path: Path) -> None:
    spec, url = make_spec(BASELINE, CONFIRM, "replicates=2", *SMALL), f"sqlite:///{tmp_path}/whole.db"
    points = 0
    for copy in kill_points(url, spec, tmp_path / "whole", stride):
        run_to_end(copy, spec, tmp_path)
        assert told(copy) == told(url), f"killed at {copy}"
        points += 1
    assert points * stride > 60  # what belongs together is one commit
    assert len(trials_of(url, "confirm")) == 4


def test_killed_again_and_again_the_same_are_confirmed(tmp_path: Path) -> None:
    spec = make_spec(BASELINE, CONFIRM, "replicates=2", *SMALL)
    whole, cut = run(spec, tmp_path / "whole"), f"sqlite:///{tmp_path}/cut.db"
    lifetimes, kills = random.Random(1), 0
    while run_until_killed(cut, spec, tmp_path / "cut", commits=lifetimes.randrange(5, 40)):
        kills += 1
    assert kills > 3
    assert told(cut) == told(whole)


def test_extended_after_it_was_confirmed_it_confirms_the_new_best(tmp_path: Path) -> None:
    spec = make_spec("confirm={top: 1, seeds: 2}", *SMALL)
    url = run(spec.model_copy(update={"search": spec.search.model_copy(update={"trials": 2})}), tmp_path)
    first = {trial.configuration for trial in trials_of(url, "confirm")}
    longer = spec.model_copy(update={"search": spec.search.model_copy(update={"trials": 8})})
    with opened(url, longer, tmp_path / "files") as driver:
        assert not driver.over()
        drive(driver)
    with closing(Reader(url)) as reader:
        (best,) = best_of_search(reader, 1, 1)
    assert {trial.configuration for trial in trials_of(url, "confirm")} == first | {best}
    assert len(trials_of(url, "confirm")) == 2 * len(first | {best})


def test_with_nothing_complete_there_is_nothing_to_confirm(tmp_path: Path) -> None:
    url = run(make_spec(CONFIRM, *SMALL[:3], "search.trials=2", "trainer.finetune.batch_size=2"), tmp_path)
    assert trials_of(url, "confirm") == []
    assert told(url)["sweep"][0] == "failed"
