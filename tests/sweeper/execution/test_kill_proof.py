"""The kill proof: real text, the real trainer, real Ray. A sweep that is killed again and again ends as one
that nobody killed: the same trials, rows and board, and no step that a checkpoint held is trained again.
"""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sweeper.store.queries import Reader
from tests.sweeper.driving import told
from tests.sweeper.processes import ROOT, Work, end_of, kill, launch, pairs, wait_for
from trainer.checkpoints.checkpoint import read_facts

TEXT = """
name: test
trainer:
  data: {name: files, train: TRAIN, valid: VALID, document: heading, vocab_size: 512, length: 32}
  model.size: nano
  pretrain: {steps: PRETRAIN, block_size: 32}
  finetune.steps: FINETUNE
  evaluation: {every: 20, sequences: 32, draws: 1, variance_batches: 2}
  checkpoint.every: 0.3
  log_every: 5
space:
  finetune.block_size: {choice: [4, 8, 16]}
  finetune.schedule.name: {choice: [loglinear, gaussian]}
  finetune.schedule.mu: {uniform: [0.2, 0.8], when: {finetune.schedule.name: gaussian}}
always:
  - {finetune.block_size: 16}
always_seeds: 2
search: {sampler: tpe, trials: 3, seed: 3}
resources: {cpu: 1, gpu: 0, slots: 1}
"""
PRETRAIN, FINETUNE, STAGES, TRIALS = 60, 40, 2, 5
PATIENCE = 600.0  # seconds: half a minute on an idle machine
STAGE, TRIAL = "stages/*", "trials/*/*"
WIKITEXT = Path(os.environ.get("SHARED", ROOT.parent / "shared")) / "data" / "wikitext-2"

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not WIKITEXT.is_dir(), reason=f"needs WikiText-2 in {WIKITEXT}"),
]


class Whole(NamedTuple):
    """The sweep that nobody killed."""

    text: str
    told: dict[str, Any]
    board: dict[str, Any]
    tokens: list[int]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tokenised once for all sweeps of this module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAINER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return make_whole(tmp_path_factory.mktemp("whole"))


def make_whole(place: Path) -> Whole:
    text = TEXT.replace("PRETRAIN", str(PRETRAIN)).replace("FINETUNE", str(FINETUNE))
    for split, length in (("train", 400_000), ("valid", 120_000)):
        shorter = place / f"{split}.txt"
        shorter.write_text((WIKITEXT / f"wiki.{split}.tokens").read_text()[:length])
        text = text.replace(split.upper(), str(shorter))
    work = Work(place)
    code, output = end_of(work.start_real(text), PATIENCE)
    assert code == 0, output
    assert work.steps(TRIAL) + work.steps(STAGE) == STAGES * PRETRAIN + TRIALS * FINETUNE
    return Whole(text, told(work.url), board(work), tokens(work))


@pytest.mark.parametrize("seed", range(4), ids=lambda seed: f"seed{seed}")
def test_driver_killed_three_times_and_a_worker_once(seed: int, whole: Whole, tmp_path: Path) -> None:
    chance = random.Random(seed)
    cut, snapshots = Work(tmp_path), []
    for _ in range(3):
        driver = cut.start_real(whole.text)
        wait_for(trained(cut, chance.randrange(5, 90)), driver, PATIENCE)
        time.sleep(chance.uniform(0, 0.5))
        kill(driver)
        wait_for_silence(cut)
        snapshots.append(snapshot(cut))
        cut.lose_rays_files()
        assert not list(cut.place.rglob("*optuna*")), "Optuna keeps nothing of its own"
    driver = cut.start_real(whole.text)
    wait_for(trained(cut, chance.randrange(5, 60)), driver, PATIENCE)
    wait_for(lambda: bool(cut.workers()), driver, PATIENCE)
    (worker,) = cut.workers()
    os.kill(worker, signal.SIGKILL)
    snapshots.append(snapshot(cut))
    code, output = end_of(driver, PATIENCE)
    assert code == 0, output
    assert "lost its worker; it goes on from its last checkpoint" in output
    check(cut, whole, snapshots)


def test_killed_in_a_stage_between_trials_and_while_starting(whole: Whole, tmp_path: Path) -> None:
    """Every next driver starts at once, beside whatever the last one's worker still does."""
    cut, snapshots = Work(tmp_path), []

    def killed(when: Callable[["subprocess.Popen[str]"], None]) -> None:
        driver = cut.start_real(whole.text)
        when(driver)
        kill(driver)
        snapshots.append(snapshot(cut))

    killed(lambda driver: time.sleep(0.5))
    killed(lambda driver: wait_for(trained(cut, 30, STAGE), driver, PATIENCE))
    killed(lambda driver: time.sleep(1.0))
    for ended in (1, 3):
        killed(lambda driver, ended=ended: wait_for(lambda: complete(cut) >= ended, driver, PATIENCE))
    killed(lambda driver: wait_for(lambda: bool(cut.workers()), driver, PATIENCE))
    code, output = end_of(cut.start_real(whole.text), PATIENCE)
    assert code == 0, output
    check(cut, whole, snapshots)


# --- what is looked at while it runs ------------------------------------------------------------
def trained(work: Work, more: int, *of: str) -> Callable[[], bool]:
    """That so many steps have been trained from now on."""
    before = sum(work.steps(each) for each in of or (STAGE, TRIAL))
    return lambda: sum(work.steps(each) for each in of or (STAGE, TRIAL)) >= before + more


def complete(work: Work) -> int:
    with closing(Reader(work.url)) as reader:
        return reader.trial_states(1).get("complete", 0)


def wait_for_silence(work: Work) -> None:
    """Until the worker of a killed driver is gone: it may save one more checkpoint."""
    deadline = time.monotonic() + 30
    while work.workers():
        assert time.monotonic() < deadline, "a worker has outlived its driver"
        time.sleep(0.05)


def snapshot(work: Work) -> dict[Path, tuple[int, int]]:
    """By folder: the step that its checkpoint holds, and how many lines its ledger then has."""
    found = {}
    for file in (file for of in (STAGE, TRIAL) for file in work.files.glob(f"{of}/last.safetensors")):
        step = read_facts(file)["progress"]["step"]
        found[file.parent] = step, len(pairs(file.parent / "ledger.txt"))
    return found


# --- what it came to ----------------------------------------------------------------------------
def check(cut: Work, whole: Whole, snapshots: list[dict[Path, tuple[int, int]]]) -> None:
    for kept in snapshots:
        for folder, (step, lines) in kept.items():
            again = [each for each in pairs(folder / "ledger.txt")[lines:] if each[1] <= step]
            assert not again, f"{folder.name}: step {step} was on disk, and trained again: {again}"
    for of, first, last in ((STAGE, 1, PRETRAIN), (TRIAL, PRETRAIN + 1, PRETRAIN + FINETUNE)):
        for folder in cut.files.glob(of + "/"):
            ledger = pairs(folder / "ledger.txt")
            assert {step for _, step in ledger} == set(range(first, last + 1)), f"{folder}: steps are missing"
            assert [a for a, _ in ledger] == sorted(a for a, _ in ledger), f"{folder}: two attempts at once"
            for attempt in {a for a, _ in ledger}:
                own = [step for a, step in ledger if a == attempt]
                assert own == list(range(own[0], own[-1] + 1)), f"{folder}: attempt {attempt} trains in order"
    assert len(list(cut.files.glob(STAGE + "/"))) == STAGES

    with closing(Reader(cut.url)) as reader:
        own = [trial for trial in reader.trials(1) if trial.repeat_of is None]
        events = reader.events(1, limit=10_000)
    ends = [event.trial for event in events if event.kind == "end" and event.trial]
    assert [trial.state for trial in own] == ["complete"] * TRIALS
    assert sorted(ends) == [trial.id for trial in own], "every trial ends once"
    assert all(trial.worker.rpartition(":")[2].isdigit() and trial.cpu_seconds > 0 for trial in own)
    assert told(cut.url) == whole.told
    assert tokens(cut) == whole.tokens
    assert board(cut) == whole.board


def board(work: Work) -> dict[str, Any]:
    """leaderboard --json, without how long things took, what they would cost, and what sharing has saved:
    that counts steps that a kill had repeated."""
    asked = launch("sweeper", "leaderboard", "test", "--json", "--db", work.url)
    code, output = end_of(asked)
    assert code == 0, output
    document = json.loads(output)
    del document["limits"], document["saved"]
    for row in document["rows"]:
        del row["seconds"]
        row.pop("peak_memory", None)
        (row["limits"] or {}).pop("remedy", None)
    return document


def tokens(work: Work) -> list[int]:
    with closing(Reader(work.url)) as reader:
        return [trial.tokens for trial in reader.trials(1)]
