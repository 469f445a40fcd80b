"""The kill proof with a fake trainer: a driver killed three times and a worker once lose nothing."""

import os
import random
import signal
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.store.queries import Reader
from tests.sweeper.driving import make_spec, run_to_end, told
from tests.sweeper.processes import Work, end_of, kill, pairs, wait_for

TRAINER = """
name: test
trainer:
  data: {name: pydocs, length: 64}
  model.size: nano
  pretrain.steps: 4
  pretrain.block_size: 64
  finetune.steps: 12
  evaluation.every: 3
"""
TEXT = (
    TRAINER
    + """
space:
  finetune.block_size: {choice: [4, 8, 16]}
  finetune.schedule.name: {choice: [loglinear, gaussian]}
  finetune.schedule.mu: {uniform: [0.2, 0.8], when: {finetune.schedule.name: gaussian}}
search: {sampler: tpe, trials: 6, seed: 3}
resources: {cpu: 1, gpu: 0, slots: 1}
"""
)
STEPS = 4 + 6 * 12


def check_ledger(folder: Path, first: int, last: int) -> None:
    trained, saved = pairs(folder / "ledger.txt"), pairs(folder / "saves.txt")
    assert {step for _, step in trained} == set(range(first, last + 1)), f"{folder}: a step is missing"
    for attempt, step in trained:
        kept = max((s for a, s in saved if a < attempt), default=first - 1)
        assert step > kept, (
            f"{folder}: step {step} was in a checkpoint, and attempt {attempt} trained it again"
        )
    assert [a for a, _ in trained] == sorted(a for a, _ in trained), f"{folder}: two attempts at once"


def kill_in_mid_trial(work: Work, known: int) -> bool:
    """Its worker, if it has steps to go: held while one looks, or it might end its trial meanwhile.

    known: spells of drivers before, whose workers are not meant.
    """
    spells = work.spells()
    if len(spells) == known or spells[-1][2] != "begin":
        return False
    _, pid, _, trial = spells[-1]
    os.kill(pid, signal.SIGSTOP)
    ledgers = [file for file in work.files.glob(f"trials/*/{trial}/ledger.txt") if pairs(file)]
    within = work.spells() == spells and any(pairs(file)[-1][1] < 4 + 12 for file in ledgers)
    os.kill(pid, signal.SIGKILL if within else signal.SIGCONT)
    return within


@pytest.mark.long
@pytest.mark.parametrize("seed", range(6), ids=lambda seed: f"seed{seed}")
@pytest.mark.timeout(600)
def test_killed_three_times_and_a_worker_once(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    whole, cut = Work(tmp_path / "whole"), Work(tmp_path / "cut")
    whole.place.mkdir()
    cut.place.mkdir()
    run_to_end(whole.url, make_spec(text=TEXT), whole.files)  # without Ray: the same Driver, the same trainer

    moments = sorted(chance.sample(range(3, STEPS - 12), 3))
    for moment in moments:
        driver = cut.start(TEXT, seconds=0.05)
        wait_for(lambda at=moment: cut.steps() >= at, driver)
        kill(driver)
        cut.lose_rays_files()
    known = len(cut.spells())
    driver = cut.start(TEXT, seconds=0.05)
    wait_for(lambda: kill_in_mid_trial(cut, known), driver)
    code, output = end_of(driver)
    assert code == 0, output
    assert "lost its worker; it goes on from its last checkpoint" in output

    assert told(cut.url) == told(whole.url)
    with closing(Reader(cut.url)) as reader:
        trials = reader.trials(1)
        assert sum(trial.attempt for trial in trials if trial.repeat_of is None) > 6
        kinds = {event.kind for event in reader.events(1, limit=1000)}
    assert {"resume", "lost", "start", "end"} <= kinds
    for folder in cut.files.glob("trials/*/*/"):
        check_ledger(folder, 5, 16)
    for folder in cut.files.glob("stages/*/"):
        check_ledger(folder, 1, 4)
