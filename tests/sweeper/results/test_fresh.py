"""Rows that ran on fresh seeds: what they say of test, of optimism, and of who may stand where."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.results.estimates import gaps
from sweeper.results.leaderboard import Board, leaderboard
from sweeper.results.race_plan import UNSCORED
from sweeper.results.rows import _race_by_race, _ranks
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from sweeper.store.writer import Writer
from trainer.evaluation.record import Evaluation, ratio_and_se

TOKENS = [30, 50, 40, 80, 65]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/sweeps.db"


@pytest.fixture
def writer(url: str) -> Iterator[Writer]:
    store = Store(url)
    sweep = store.create_sweep(name="s", spec_text="", spec={}, code_version="1", folder="")
    store.take_lease(sweep.id, "me", 3600)
    yield store.writer(sweep.id, "me")
    store.close()


def board(url: str) -> Board:
    reader = Reader(url)
    try:
        return leaderboard(reader, "s")
    finally:
        reader.close()


def add(
    writer: Writer,
    name: int,
    valid: float,
    test: float,
    *,
    seed: int,
    role: str = "search",
    end: str = "complete",
) -> int:
    """All documents alike: no error of the text."""
    configuration = writer.add_configuration(f"{name}", {"lr": name})
    said = {"params": {}, "distributions": {}, "system_attrs": {}}
    trial = writer.add_trial(configuration=configuration, role=role, seed=seed, steps=9, **said).id
    attempt = writer.start_trial(trial)
    evaluations = []
    for split, level in (("valid", valid), ("test", test)):
        nats = [level * count for count in TOKENS]
        evaluations.append(Evaluation(split, 9, *ratio_and_se(nats, TOKENS), {}, {}, nats, TOKENS))
    writer.add_rows(trial, attempt, [], evaluations)
    writer.end_trial(trial, attempt, end)
    return trial


def names(found: Board) -> list[int]:
    return [row.values["lr"] for row in found.rows]


def test_test_of_a_confirmed_row_is_of_its_fresh_runs(url: str, writer: Writer) -> None:
    """Seed 8 costs 1 nat on both splits; row 2 has not run it. Adjusted, row 2 is .1 worse on test, not
    .4 better."""
    add(writer, 1, 5.0, 5.2, seed=0)
    add(writer, 2, 5.1, 5.1, seed=0)
    for seed, cost in ((7, 0.0), (8, 1.0)):
        add(writer, 1, 5.1 + cost, 5.3 + cost, seed=seed, role="confirm")
    add(writer, 2, 5.3, 5.4, seed=7, role="confirm")
    found = board(url)
    assert names(found) == [1, 2]
    first, second = (row.estimates["test_ppl"] for row in found.rows)
    assert second.value / first.value == pytest.approx(2.718281828459045**0.1)
    assert second.difference == pytest.approx(0.1)
    assert [row.confirmed_test_ppl for row in found.rows] == [first.value, second.value]


def test_optimism_is_of_the_gap_between_valid_and_test(url: str, writer: Writer) -> None:
    """Row 1: valid less test was -.2 when it was picked, and is -.05 on fresh seeds. Row 3 is not
    confirmed."""
    add(writer, 1, 5.0, 5.2, seed=0)
    add(writer, 2, 5.1, 5.2, seed=0)
    add(writer, 3, 5.4, 5.4, seed=0)
    for seed, cost in ((7, 0.0), (8, 1.0)):
        add(writer, 1, 5.1 + cost, 5.15 + cost, seed=seed, role="confirm")
        add(writer, 2, 5.2 + cost, 5.32 + cost, seed=seed, role="confirm")
    rows = {row.values["lr"]: row for row in board(url).rows}
    assert rows[1].optimism == pytest.approx(0.15)
    assert rows[2].optimism == pytest.approx(-0.02)
    assert rows[3].optimism is None
    assert rows[1].to_json()["optimism"] == rows[1].optimism


runs_made = st.dictionaries(
    st.tuples(st.integers(0, 7), st.integers(0, 3)), st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=1
)


@given(runs_made, st.sets(st.integers(0, 7)))
def test_gaps_that_are_asked_for_are_those_of_all(runs: dict[tuple[int, int], float], of: set[int]) -> None:
    """A configuration that ran on one seed moves nobody else's."""
    test = {10 * c + seed: SimpleNamespace(nelbo=0.0) for c, seed in runs}
    entries = []
    for c in sorted({c for c, _ in runs}):
        seeds = [seed for one, seed in runs if one == c]
        evaluated = [SimpleNamespace(trial=10 * c + seed, nelbo=runs[c, seed]) for seed in seeds]
        entries.append(SimpleNamespace(configuration=c, seeds=seeds, evaluated=evaluated))
    every, some = gaps(entries, test), gaps(entries, test, of)
    assert of & every.keys() <= some.keys()
    assert some == pytest.approx({c: every[c] for c in some}, abs=1e-9)


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.sets(st.integers(0, 9)))
def test_rows_without_fresh_numbers_rank_behind_those_that_have_them(tied: list[bool], has: set[int]) -> None:
    ranked = [
        SimpleNamespace(entry=SimpleNamespace(configuration=c), standing=SimpleNamespace(tied_with_best=t))
        for c, t in enumerate(tied)
    ]
    after = SimpleNamespace(standings=[SimpleNamespace(configuration=c) for c in has])
    found = _ranks(ranked, after)
    others = [c for c in range(len(tied)) if c not in has]
    behind = 1 + len(tied) - len(others)
    assert [found[c] for c in others] == [
        behind if tied[c] else place for place, c in enumerate(others, start=behind)
    ]


def race(store: Store) -> Writer:
    """Of three, over two rounds."""
    spec = {"settle": {"within": 0.01, "seeds": 8}}
    sweep = store.create_sweep(name="s", spec_text="", spec=spec, code_version="1", folder="")
    store.take_lease(sweep.id, "me", 3600)
    writer = store.writer(sweep.id, "me")
    add(writer, 1, 5.0, 5.2, seed=0)
    add(writer, 2, 5.1, 5.2, seed=0)
    add(writer, 3, 5.4, 5.4, seed=0)
    for round, noise in ((1, 0.0), (2, 0.001)):
        for name, valid, test in ((1, 5.1 + noise, 5.15), (2, 5.2, 5.32), (3, 5.5 - noise, 5.5)):
            trial = add(writer, name, valid, test, seed=round, role="race")
            score(writer, trial, round, valid + 0.01)
    return writer


def score(writer: Writer, trial: int, round: int, valid: float) -> None:
    nats, way = [valid * count for count in TOKENS], {"round": round}
    scored = Evaluation("valid", 9, *ratio_and_se(nats, TOKENS), {}, way, nats, TOKENS)
    writer.add_scores(trial, round, [scored])


def test_of_a_race_its_own_scores_count(url: str) -> None:
    """Under the masks of a round valid is .01 above what the run itself said."""
    with closing(Store(url)) as store:
        race(store)
    rows = {row.values["lr"]: row for row in board(url).rows}
    assert [rows[name].confirmed_seeds for name in (1, 2, 3)] == [2, 2, 2]
    assert rows[1].optimism == pytest.approx(5.1105 - 5.15 + 0.2)
    assert rows[2].optimism == pytest.approx(5.21 - 5.32 + 0.1)
    assert rows[2].estimates["test_ppl"].difference == pytest.approx(5.32 - 5.15)
    assert rows[2].confirmed_test_ppl == rows[2].estimates["test_ppl"].value


def test_a_race_that_an_earlier_version_ended_stays_ended(tmp_path: Path) -> None:
    """Of the fourth the one run could not be scored: with that it had left, as with one that failed."""
    boards = []
    for how in ("failed", "complete"):
        url = f"sqlite:///{tmp_path}/{how}.db"
        with closing(Store(url)) as store:
            writer = race(store)
            add(writer, 4, 5.2, 5.3, seed=0)
            run = add(writer, 4, 5.3, 5.3, seed=1, role="race", end=how)
            if how == "complete":
                writer.add_event(UNSCORED, "its checkpoint is gone", run)
                assert board(url).fresh is None  # while the sweep runs it is to be run once more
            writer.set_sweep_state("complete", "")
        boards.append(board(url))
    assert boards[0].fresh is not None
    assert [each.fresh and each.fresh.standings for each in boards] == [boards[0].fresh.standings] * 2
    assert boards[0].answers == boards[1].answers


def test_whose_second_run_was_scored_is_in_the_race_to_its_end(url: str) -> None:
    with closing(Store(url)) as store:
        writer = race(store)
        add(writer, 4, 5.2, 5.3, seed=0)
        writer.add_event(UNSCORED, "gone", add(writer, 4, 5.3, 5.3, seed=1, role="race"))
        for round in (1, 2):
            score(writer, add(writer, 4, 5.3, 5.3, seed=round, role="race"), round, 5.31)
        writer.set_sweep_state("complete", "")
    found = board(url).fresh
    assert found is not None
    assert len(found.standings) == 4


def test_rows_that_were_not_confirmed_keep_their_ties(url: str, writer: Writer) -> None:
    """3 and 4 ran once and were tied: nothing has told them from the confirmed, whatever these turned out to
    be. 5 ran on the seeds of 1 and 2, and is surely worse."""
    for seed in (0, 1, 2):
        noise = 0.001 * (seed - 1)
        add(writer, 1, 5.0 + noise, 5.0, seed=seed, role="baseline")
        add(writer, 2, 5.0 - noise, 5.0, seed=seed, role="baseline")
        add(writer, 5, 9.0, 9.0, seed=seed, role="baseline")
    add(writer, 3, 5.001, 5.0, seed=0)
    add(writer, 4, 5.001, 5.0, seed=0)
    before = {row.values["lr"]: (row.rank_low, row.rank_high) for row in board(url).rows}
    assert before == {1: (1, 4), 2: (1, 4), 3: (1, 5), 4: (1, 5), 5: (3, 5)}
    for seed in (7, 8, 9):
        noise = 0.001 * (seed - 8)
        add(writer, 1, 5.0 + noise, 5.0, seed=seed, role="confirm")
        add(writer, 2, 5.5 - noise, 5.0, seed=seed, role="confirm")
    found = board(url)
    assert names(found)[:2] == [1, 2]
    after = {row.values["lr"]: (row.rank_low, row.rank_high) for row in found.rows}
    # Of five, 1 is above 2 (confirmed) and 5 (searched); 2 is below 1, and above 5.
    assert after == {1: (1, 4), 2: (2, 4), 3: (1, 5), 4: (1, 5), 5: (3, 5)}
    assert [row.rank for row in found.rows] == [1, 2, 3, 3, 5]
    assert [row.tied_with_best for row in found.rows[2:]] == [True, True, False]


def test_several_races_stand_one_after_the_other() -> None:
    """The race whose lowest row is lowest first; in each what may be its best before the rest."""
    found = [
        SimpleNamespace(configuration=c, tied_with_best=tied)
        for c, tied in ((7, False), (1, True), (4, True), (2, False), (5, False), (3, True))
    ]
    races = SimpleNamespace(
        contests=[SimpleNamespace(contenders=[4, 5]), SimpleNamespace(contenders=[1, 2, 3, 7])]
    )
    assert [each.configuration for each in _race_by_race(found, races)] == [1, 3, 7, 2, 4, 5]
    one = SimpleNamespace(contests=[])
    assert [each.configuration for each in _race_by_race(found, one)] == [1, 4, 3, 7, 2, 5]
