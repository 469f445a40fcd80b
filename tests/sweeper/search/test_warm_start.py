"""A search that begins with the trials of earlier sweeps."""

# ruff: noqa: E501 (tables: a line is a case)

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.results.leaderboard import leaderboard
from sweeper.search.proposals import Proposals
from sweeper.search.warm_start import foreign_trials
from sweeper.spec.spec import SweepSpec
from sweeper.store.queries import Reader
from sweeper.store.records import ForeignTrial
from tests.sweeper.driving import make_spec, run_to_end, run_until_killed
from trainer.config.problems import InvalidConfig

OVERRIDES = ("search.warm_start=test", "name=second", "search.seed=8", "search.trials=6")


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a sweep named test: 14 trials by TPE, and two baselines."""
    folder = tmp_path_factory.mktemp("earlier")
    baselines = ["always=[{finetune.block_size: 16, finetune.schedule.name: loglinear}]", "always_seeds=2"]
    run_to_end(f"sqlite:///{folder}/s.db", make_spec(*baselines), folder)
    return folder / "s.db"


@pytest.fixture
def url(earlier: Path, tmp_path: Path) -> str:
    copy(earlier, tmp_path / "s.db")
    return f"sqlite:///{tmp_path}/s.db"


def copy(database: Path, to: Path) -> None:
    with closing(sqlite3.connect(database)) as old, closing(sqlite3.connect(to)) as new:
        old.backup(new)


def test_its_search_trials_are_learned_from_and_are_not_this_sweeps(url: str, tmp_path: Path) -> None:
    spec = make_spec(*OVERRIDES)
    run_to_end(url, spec, tmp_path)
    with closing(Reader(url)) as reader:
        first, second = reader.sweep("test"), reader.sweep("second")
        assert first is not None
        assert second is not None
        taken = reader.foreign_trials(second.id)
        searched = [t for t in reader.trials(first.id) if t.role == "search" and t.repeat_of is None]
        best = {row.trial: row.best for row in reader.latest(first.id) if row.name == "val_ppl"}
        assert [(each.trial, each.params, each.values) for each in taken] == [
            (trial.id, trial.params, [best[trial.id]]) for trial in searched
        ]
        assert {trial.sweep for trial in reader.trials(second.id)} == {second.id}
        assert reader.trial_states(second.id) == {"complete": 6}
        assert len(leaderboard(reader, "second").rows) == 6
        texts = [event.text for event in reader.events(second.id)]
        assert f"the search begins with {len(searched)} trials of test" in texts
        # TPE begins at random, unless it knows ten trials.
        proposed = next(trial for trial in reader.trials(second.id) if trial.number == 0)
    alone = Proposals(make_spec("name=second", "search.seed=8"), [], {}).ask()
    assert alone is not None
    assert alone.system_attrs == {}
    assert any(key.startswith("tpe:") for key in proposed.system_attrs)


def test_what_becomes_of_the_other_sweep_and_kills_change_nothing(url: str, tmp_path: Path) -> None:
    spec, other = make_spec(*OVERRIDES), f"sqlite:///{tmp_path}/copy.db"
    copy(tmp_path / "s.db", tmp_path / "copy.db")
    run_to_end(url, spec, tmp_path / "whole")
    kills = 0
    while run_until_killed(other, spec, tmp_path / "cut", commits=9 + kills):
        kills += 1
        with closing(sqlite3.connect(tmp_path / "copy.db")) as database:
            database.execute("UPDATE latest SET best = best + 100 WHERE trial <= 5")
            database.execute("UPDATE trials SET state = 'failed' WHERE id = 4")
            database.commit()
    assert kills > 3

    def proposed(place: str) -> list[object]:
        with closing(Reader(place)) as reader:
            sweep = reader.sweep("second")
            assert sweep is not None
            return [(trial.number, trial.params) for trial in reader.trials(sweep.id)]

    assert proposed(other) == proposed(url)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["search.warm_start=tset"], "there is no sweep 'tset' in this database; did you mean test?"),
        (["trainer.data.length=128"], "sweep 'test' was measured on other text: its data.length is 64, here it is 128"),
        (["trainer.evaluation.sequences=64"], "sweep 'test' was measured on other text: its evaluation.sequences is 128, "),
        (["metric=[val_ppl, var_nelbo]"], "sweep 'test' has no complete trial of its search with val_ppl, var_nelbo"),
        (["space.finetune.block_size.choice=[1, 2]"], " complete trials of sweep 'test' lies in this space"),
        (["constraints=['finetune.block_size > 16']", "space.finetune.block_size.choice=[4, 64]"], "lies in this space"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_from_is_a_sentence_and_leaves_nothing(
    overrides: list[str], said: str, url: str
) -> None:
    with closing(Reader(url)) as reader:
        with pytest.raises(InvalidConfig) as caught:
            foreign_trials(make_spec(*OVERRIDES, *overrides), reader)
        assert said in str(caught.value)
        assert str(caught.value).startswith("search.warm_start: ")


def test_only_the_part_that_lies_in_this_space_is_taken(url: str) -> None:
    spec = make_spec(
        *OVERRIDES, "space.finetune.block_size.choice=[4, 8]", "constraints=['finetune.schedule.mu < 0.6']"
    )
    with closing(Reader(url)) as reader:
        every, some = foreign_trials(make_spec(*OVERRIDES), reader), foreign_trials(spec, reader)
    assert some == [
        each
        for each in every
        if each.params["finetune.block_size"] < 16 and each.params.get("finetune.schedule.mu", 0) < 0.6
    ]
    assert 0 < len(some) < len(every)


def _spec(sampler: str) -> SweepSpec:
    return make_spec(f"search.sampler={sampler}", "name=second", "search.warm_start=test")


def test_nsgaii_takes_them_for_its_first_generation(small_samplers: None) -> None:
    params = {"finetune.block_size": 8, "finetune.schedule.name": "gaussian", "finetune.schedule.mu": 0.3125}
    foreign = [ForeignTrial("test", number, params, [1.0 + number]) for number in range(6)]
    proposals = Proposals(_spec("nsgaii"), [], {}, foreign)
    asked = [proposals.ask() for _ in range(12)]
    assert all(each and each.system_attrs["Evolution:generation"] == 1 for each in asked)
    inherited = [each.params for each in asked if each and each.params["finetune.block_size"] == 8]
    assert len(inherited) > 6  # of parents who all had 8; the rest are mutants
