"""The race after the search: who runs on which seed, what is scored, when it ends; a kill changes nothing."""

import random
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sweeper.spec.spec import SweepSpec
from sweeper.store.queries import Reader
from sweeper.store.records import ScoreRecord, TrialRecord
from tests.sweeper.driving import (
    STAGED,
    kill_points,
    make_spec,
    run_to_end,
    run_until_killed,
    told,
)

SMALL = ("search.trials=5", "search.sampler=random", "trainer.evaluation.every=4", *STAGED)
BASELINE = "always=[{finetune.block_size: 16}]"
SETTLE = "settle={within: 1%, seeds: 4, contenders: 4}"


def run(spec: SweepSpec, place: Path, slots: int = 1) -> str:
    url = f"sqlite:///{place}/sweeps.db"
    run_to_end(url, spec, place / "files", slots=slots)
    return url


def trials_of(url: str, *roles: str) -> list[TrialRecord]:
    with closing(Reader(url)) as reader:
        return [trial for trial in reader.trials(1) if trial.role in roles]


def scores_of(url: str) -> list[ScoreRecord]:
    with closing(Reader(url)) as reader:
        return [each._replace(cpu_seconds=0.0) for each in reader.scores(1)]


def events_of(url: str, kind: str) -> list[str]:
    with closing(Reader(url)) as reader:
        return [event.text for event in reader.events(1, limit=1000) if event.kind == kind]


def all_of(url: str) -> dict[str, Any]:
    return {**told(url), "scores": scores_of(url), "settle": events_of(url, "settle")}


def raced(url: str) -> set[tuple[int, int]]:
    """(configuration, round) of all that has a score."""
    with closing(Reader(url)) as reader:
        configuration = {trial.id: trial.configuration for trial in reader.trials(1)}
    return {(configuration[each.trial], each.round) for each in scores_of(url)}


@pytest.mark.parametrize("slots", [1, 3])
def test_all_contenders_run_on_the_same_seeds(slots: int, tmp_path: Path) -> None:
    url = run(make_spec(BASELINE, SETTLE, *SMALL), tmp_path, slots)
    print(events_of(url, "settle"), raced(url))


@pytest.mark.parametrize(
    "stride",
    [23, pytest.param(1, marks=[pytest.mark.long, pytest.mark.timeout(1800)])],
    ids=["some", "every"],
)
def test_kill_points(stride: int, tmp_path: Path) -> None:
    spec, url = make_spec(BASELINE, SETTLE, *SMALL), f"sqlite:///{tmp_path}/whole.db"
    points = 0
    for copy in kill_points(url, spec, tmp_path / "whole", stride):
        run_to_end(copy, spec, tmp_path)
        assert all_of(copy) == all_of(url), f"killed at {copy}"
        points += 1
    assert points * stride > 100
    assert len(scores_of(url)) > 8


def test_killed_again_and_again_it_decides_the_same(tmp_path: Path) -> None:
    spec = make_spec(BASELINE, SETTLE, *SMALL)
    whole, cut = run(spec, tmp_path / "whole"), f"sqlite:///{tmp_path}/cut.db"
    lifetimes, kills = random.Random(1), 0
    while run_until_killed(cut, spec, tmp_path / "cut", commits=lifetimes.randrange(5, 40)):
        kills += 1
    assert kills > 3
    assert all_of(cut) == all_of(whole)
