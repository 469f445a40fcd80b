"""Sweeps with faults, from seeds: the short form of `make simulate`, and whether its oracle can see."""

import json
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sweeper.driver.failures import Damaged
from sweeper.spec.load import read_spec
from sweeper.store.controls import request_of_driver
from sweeper.store.engine import transaction
from sweeper.store.leased import Leased
from sweeper.store.queries import Reader
from sweeper.store.writer import Writer
from tests.simulation import drawing, oracle, reliability, simulate, tables
from tests.simulation.drawing import DAMAGES, TrialDamaged
from tests.simulation.faults import FAULTS, Fault, Kill, Theft, Unready
from tests.simulation.scenario import Scenario, draw
from tests.simulation.simulate import Outcome
from tests.simulation.sweep import Sweep
from tests.simulation.trainer import BEST
from tests.simulation.world import BETWEEN, TURN

# Of the first 120 seeds some of those with the least to run.
SHORT = 76
# Whose baselines run on the race's seeds, before it begins.
RACED = """
name: simulated
trainer: {data: {name: pydocs, length: 64}, model.size: nano, finetune.steps: 3, evaluation.every: 1}
space: {finetune.block_size: {choice: [4, 8]}}
search: {sampler: grid, trials: 2}
always: [{finetune.block_size: 4}, {finetune.block_size: 8}]
always_seeds: 2
settle: {within: 1%, until: chance, seeds: 2}
"""
LIGHT = (29, 51, 22, 84, 13, 34, 77, 117, 94)


@pytest.mark.parametrize(
    "seed", [*LIGHT[:4], *(pytest.param(seed, marks=pytest.mark.long) for seed in LIGHT[4:])]
)
def test_a_sweep_with_faults_ends_as_it_should(seed: int) -> None:
    assert simulate.simulate(seed).violation == ""


@pytest.mark.long
@pytest.mark.parametrize("seed", range(200, 240))
def test_any_sweep_with_faults_ends_as_it_should(seed: int) -> None:
    assert simulate.simulate(seed).violation == ""


def test_the_same_seed_gives_the_same_sweep(tmp_path: Path) -> None:
    one, other = (Sweep(draw(5), tmp_path / place) for place in ("one", "two"))
    for sweep in (one, other):
        Kill(100).plant(sweep)
        sweep.run()
    oracle.same(one, other)
    assert one.world.struck == ["Kill"]
    with pytest.raises(AssertionError, match="the same seed gives another"):
        oracle.same(one, Sweep(draw(9), tmp_path / "three").run())


@pytest.mark.long
def test_a_driver_that_was_asked_for_more_does_it_however_late(tmp_path: Path) -> None:
    """At any of the last moments: it is asked and does it, or nobody is asked. Nothing waits unheard."""
    last = Sweep(draw(SHORT), tmp_path / "whole").run().world.points
    answers = []
    for at in range(last - 90, last + 1, 15):
        sweep, heard = Sweep(draw(SHORT), tmp_path / str(at)), list[bool]()
        sweep.world.strike(Kill(at), BETWEEN, partial(_ask_for_more, sweep, heard))
        sweep.run()
        with closing(Reader(sweep.url)) as reader:
            assert reader.controls(1) == []
            found = reader.sweep(sweep.spec.name)
            assert found is not None
            grown = found.spec["search"]["trials"] - sweep.spec.search.trials
            assert (grown, found.state) == (2 * sum(heard), "complete")
        answers += heard
    assert set(answers) == {True, False}


def _ask_for_more(sweep: Sweep, heard: list[bool]) -> None:
    """Where another transaction is open that is refused, and the driver whose thread it is ends."""
    heard.append(request_of_driver(sweep.url, 1, "extend +2", clock=sweep.world.clock))


@pytest.mark.parametrize("seed", [7, pytest.param(17, marks=pytest.mark.long)])
def test_each_tenth_sweep_has_something_damaged_and_the_others_have_what_they_had(
    seed: int, tmp_path: Path
) -> None:
    world = Sweep(draw(seed), tmp_path).run().world
    with_damage, without = (drawing.draw(each, world) for each in (seed, seed + 1))
    assert [type(each) in DAMAGES for each in with_damage].count(True) == 1
    assert not any(type(each) in DAMAGES for each in without)
    assert simulate.simulate(seed).violation == ""


def test_workers_that_are_never_made_ready_change_nothing(tmp_path: Path) -> None:
    """After the third, one after another, a driver stops; the next one goes on."""
    scenario = draw(SHORT)
    undisturbed, sweep = (Sweep(scenario, tmp_path / place) for place in ("undisturbed", "disturbed"))
    fault = Unready(1, 3)
    fault.plant(sweep)
    for each in (undisturbed.run(), sweep.run()):
        oracle.check(each, [fault])
    oracle.equal(sweep, undisturbed)
    why = "no worker becomes ready: 3, one after another, gave no sign of life"
    assert sweep.endings == [f"stopped: {why}", "ended"]


@pytest.mark.parametrize(("role", "seed", "how"), [("baseline", 1, "cut"), ("race", 2, "folder")])
def test_what_cannot_be_scored_is_run_once_more(role: str, seed: int, how: str, tmp_path: Path) -> None:
    """Its best checkpoint is damaged, or its folder gone, before the race scores it."""
    sweep = Sweep(Scenario(0, read_spec(RACED, "raced.yaml", "raced", ()), 1), tmp_path)
    complete = f"SELECT id FROM trials WHERE role = '{role}' AND seed = {seed} AND state = 'complete'"

    def damage() -> bool:
        found = tables.rows(sweep.store, complete)
        return bool(found) and sweep.crash(f"trials/1/{found[0][0]}", how, BEST)

    fault = TrialDamaged(1, how, 0, BEST)
    sweep.world.strike(fault, (TURN,), damage)
    oracle.check(sweep.run(), [fault])
    assert oracle.unscored(sweep)
    assert sweep.endings == ["killed", "ended"]


def test_damage_that_nobody_counts_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that lets a trial begin again however often its checkpoint was damaged."""
    monkeypatch.setattr(Damaged, "most", 99)
    fault = TrialDamaged(600, "cut", 5)
    sweep = Sweep(draw(5), tmp_path)
    fault.plant(sweep)
    with pytest.raises(AssertionError, match="begun again too often: \\['damaged'\\]"):
        oracle.check(sweep.run(), [fault])


def test_a_lease_that_is_not_asked_for_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that writes on under a stolen lease."""
    monkeypatch.setattr(Leased, "_transaction", lambda self: transaction(self._engine))
    assert _any_violation(range(60, 600, 60), tmp_path, Theft)


def test_a_row_that_is_lost_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    keep = Writer.add_rows

    def forgetful(self: Writer, trial: int, attempt: int, rows: Any, *arguments: Any, **more: Any) -> bool:
        return keep(self, trial, attempt, list(rows)[1:], *arguments, **more)

    monkeypatch.setattr(Writer, "add_rows", forgetful)
    assert simulate.simulate(5).violation


def test_it_prints_what_is_wrong_and_how_to_see_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Outcome(7, ("Kill", "Theft"), 3, "lost", "trial 2 is gone", 0.5, frozenset())
    monkeypatch.setattr(
        simulate, "outcomes", lambda *_: iter([bad._replace(seed=6, kind="", violation=""), bad])
    )
    monkeypatch.setattr(sys, "argv", ["simulate", "--seeds", "2"])
    assert simulate.main() == 1
    said = capsys.readouterr().out
    assert "seed 7 (Kill, Theft): trial 2 is gone\n" in said
    assert "    python -m tests.simulation.simulate --first 7 --seeds 1 --jobs 1\n" in said
    assert "2 sweeps, 6 drivers, 1 CPU-seconds (0.50 each): 1 violations" in said


def test_the_table_of_the_document_is_what_was_simulated() -> None:
    assert reliability.PAGE.read_text() == reliability.with_tables(reliability.PAGE.read_text())


def test_every_kind_of_fault_is_said_in_the_document() -> None:
    assert set(reliability.SAID) == {kind.__name__ for kind in (*FAULTS, *DAMAGES)}


def _any_violation(points: range, place: Path, fault: type[Fault]) -> bool:
    for at in points:
        sweep = Sweep(draw(5), place / str(at))
        fault(at).plant(sweep)  # type: ignore[call-arg]
        try:
            sweep.run()
        except AssertionError:
            return True
    return False


def test_sweeps_that_are_tried_in_parts_make_the_table_of_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    every = [
        Outcome(
            seed, ("Kill", *("Theft",) * (seed % 2)), 3, "lost" if seed == 5 else "", "x", 0.5, frozenset("a")
        )
        for seed in range(8)
    ]
    monkeypatch.setattr(simulate, "outcomes", lambda seeds, *_: (every[seed] for seed in seeds))

    def made(name: str, *parts: tuple[int, int]) -> Any:
        (tmp_path / name).mkdir()
        monkeypatch.setattr("benchmarks.document.RESULTS", tmp_path / name)
        monkeypatch.setattr(simulate, "KEPT", tmp_path / name / "simulation.json")
        for first, seeds in parts:
            words = ["x", "--first", str(first), "--seeds", str(seeds), "--write"]
            monkeypatch.setattr(sys, "argv", words)
            simulate.main()
        return {**json.loads((tmp_path / name / "simulation.json").read_text()), "machine": {}}

    assert made("whole", (0, 8)) == made("parts", (0, 3), (3, 1), (4, 4))
    assert made("again", (0, 8), (0, 8)) == made("elsewhere", (0, 4), (6, 1), (0, 8))
