"""Faults of what surrounds a sweep, under real Ray: files that cannot be written, a stage that goes, damage,
an older store. No trial fails of them."""

import json
import shutil
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.store.queries import Reader
from tests.sweeper.processes import Work, end_of, pairs, wait_for

TEXT = """
name: test
trainer: {data: {name: pydocs, length: 64}, model.size: nano, evaluation.every: 5, finetune.steps: 30,
  checkpoint.every: 0.2, pretrain: {steps: 4, block_size: 64}}
space: {finetune.lr: {log_uniform: [1e-4, 1e-2]}}
search: {sampler: random, trials: 6}
resources: {cpu: 1, gpu: 0, slots: 2}
"""

pytestmark = pytest.mark.long


def ends_whole(work: Work, seconds: float = 0.0) -> str:
    """The same line again: every trial is complete, of all its steps. What it said."""
    code, output = end_of(work.start(TEXT, seconds=seconds))
    assert code == 0, output
    assert "Traceback" not in output
    with closing(Reader(work.url)) as reader:
        assert reader.trial_states(1) == {"complete": 6}
    for ledger in work.files.glob("trials/1/*/ledger.txt"):
        assert {step for _, step in pairs(ledger)} == set(range(5, 35))
    return output


def immutable(files: Path, how: str) -> None:
    done = subprocess.run(["chattr", "-R", how, str(files)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this file system has no such flag: {done.stderr}")


def test_files_that_cannot_be_written_for_a_while(tmp_path: Path) -> None:
    work = Work(tmp_path)
    driver = work.start(TEXT, seconds=0.05)
    wait_for(lambda: work.steps() > 20, driver)
    immutable(work.files, "+i")
    try:
        code, output = end_of(driver)
        assert code == 7, output
        assert "Traceback" not in output
        assert "Operation not permitted; to go on: python -m sweeper resume test" in output
        code, output = end_of(work.start(TEXT))  # nor can it begin
        assert (code, "Operation not permitted" in output, "Traceback" in output) == (7, True, False), output
        with closing(Reader(work.url)) as reader:
            assert not {"failed", "lost"} & set(reader.trial_states(1))
    finally:
        immutable(work.files, "-i")
    ends_whole(work)


def delete_the_stage(work: Work) -> None:
    shutil.rmtree(next(work.files.glob("stages/*")))


def cut_a_checkpoint(work: Work) -> None:
    for checkpoint in work.files.glob("trials/1/*/last.safetensors"):
        checkpoint.write_bytes(checkpoint.read_bytes()[:20])


def a_later_attempt(work: Work) -> None:
    """As where an older copy of the store is used."""
    for checkpoint in work.files.glob("trials/1/*/last.safetensors"):
        checkpoint.write_text(json.dumps({**json.loads(checkpoint.read_text()), "attempt": 5}))


def test_a_stage_that_is_deleted_while_its_trials_run(tmp_path: Path) -> None:
    work = Work(tmp_path)
    driver = work.start(TEXT, seconds=0.05)
    wait_for(lambda: work.steps() > 20, driver)
    delete_the_stage(work)
    code, output = end_of(driver)
    assert code == 0, output
    assert "waits for its pretrain, which is looked at again" in output
    ends_whole(work)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (delete_the_stage, "is run again: its checkpoint is gone"),
        (cut_a_checkpoint, "begins again from its pretrain: "),
        (a_later_attempt, "goes on as attempt 6: "),
    ],
)
def test_harm_between_two_drivers(harm: Callable[[Work], None], said: str, tmp_path: Path) -> None:
    work = Work(tmp_path)
    driver = work.start(TEXT, seconds=0.05)
    wait_for(lambda: work.steps() > 20, driver)
    driver.terminate()
    assert end_of(driver)[0] == 143
    harm(work)
    ends_whole(work)
    with closing(Reader(work.url)) as reader:
        assert any(said in event.text for event in reader.events(1))
