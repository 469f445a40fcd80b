"""Sweeps on Ray clusters of several nodes, all on this machine: found, joined, refused, and killed in part."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.cluster_ray import Introduction, Pulse, disagreement, find, slots_on, why_not
from sweeper.machine import LacksError
from sweeper.spec import Resources
from sweeper.store.queries import Reader
from tests.sweeper.clusters import LoopbackCluster, cluster
from tests.sweeper.driving import make_spec, run_to_end, told
from tests.sweeper.processes import ROOT, Work, end_of, kill, launch, wait_for
from tests.sweeper.test_kill import check_ledger

TEXT = """
name: test
trainer:
  data: {name: pydocs, length: 64}
  model.size: nano
  pretrain.steps: 4
  pretrain.block_size: 64
  finetune.steps: 12
  evaluation.every: 3
  checkpoint.every: 0.2
space: {finetune.block_size: {choice: [4, 8, 16, 32]}}
search: {sampler: grid, seed: 3}
resources: {cpu: 1, gpu: 0}
"""


def start(work: Work, at: LoopbackCluster, text: str = TEXT) -> "subprocess.Popen[str]":
    return work.start(text, address=at.address, **at.environment)


def nothing_lost_nothing_doubled(work: Work, whole: Work) -> None:
    assert told(work.url) == told(whole.url)
    for folder in work.files.glob("trials/*/*/"):
        check_ledger(folder, 5, 16)
    for folder in work.files.glob("stages/*/"):
        check_ledger(folder, 1, 4)
    assert not list(work.files.glob(".seen-*"))


@pytest.fixture
def whole(tmp_path: Path) -> Work:
    """The sweep that nobody disturbed, without Ray: the same Book, the same trainer."""
    work = Work(tmp_path / "whole")
    work.place.mkdir()
    run_to_end(work.url, make_spec(text=TEXT), work.files)
    return work


@pytest.mark.timeout(600)
def test_the_trial_of_a_node_that_died_goes_on_elsewhere(whole: Work, tmp_path: Path) -> None:
    work = Work(tmp_path)
    with cluster(2, FAKE_SECONDS="0.5", FAKE_PIDS=str(work.place / "pids")) as at:
        driver = start(work, at)
        wait_for(lambda: len(at_work(work)) == 2, driver)
        assert sorted(map(parent, at_work(work))) == sorted(at.raylets)
        at.kill(at.raylets[0])
        code, said = end_of(driver)
        assert code == 0, said
        assert "lost its worker; it goes on from its last checkpoint" in said
        assert "raylet" not in said
    nothing_lost_nothing_doubled(work, whole)
    assert sorted(attempts(work)) == [1, 1, 1, 2]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_without_its_head_the_driver_ends_and_says_what_to_do(whole: Work, tmp_path: Path) -> None:
    work = Work(tmp_path)
    with cluster(2, FAKE_SECONDS="0.5", FAKE_PIDS=str(work.place / "pids")) as at:
        driver = start(work, at)
        wait_for(lambda: len(at_work(work)) == 2, driver)
        at.kill_head()
        killed = time.monotonic()
        code, said = end_of(driver)
        assert code == 1, said
        assert time.monotonic() - killed < 90
        assert f"the head of the Ray cluster, {at.address}, has not answered for" in said
        assert f"to go on: python -m sweeper resume test --db {work.url} --address {at.address}" in said
    with cluster(
        3, FAKE_SECONDS="0.1", FAKE_PIDS=str(work.place / "pids")
    ) as at:  # another head, another token
        code, said = end_of(start(work, at))
        assert code == 0, said
    nothing_lost_nothing_doubled(work, whole)


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def at_work(work: Work) -> set[int]:
    """The processes that train trials now."""
    doing = {}
    for _, pid, what, folder in work.spells():
        if folder.isdigit():
            doing[folder] = pid if what == "begin" else 0
    return set(doing.values()) - {0}


def attempts(work: Work) -> list[int]:
    with closing(Reader(work.url)) as reader:
        return [trial.attempt for trial in reader.trials(1)]
