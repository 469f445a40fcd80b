"""The peak of memory that a run reports."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.forms import Case
from tests.trainer.tiny_runs import reports_of, tiny_config, write_corpus
from trainer.network.hardware import Memory

ROOT = Path(__file__).parents[3]


def test_the_peak_since_it_was_made():
    before = bytearray(400_000_000)
    del before
    memory = Memory(torch.device("cpu"))
    bottom = memory.peak_mb()
    held = bytearray(100_000_000)
    del held
    assert memory.peak_mb() >= bottom + 95
    if Path("/proc/self/clear_refs").exists():
        assert memory.peak_mb() < bottom + 300  # what was held before does not count


def test_every_evaluation_reports_it(tmp_path: Path):
    reports = reports_of(tiny_config(write_corpus(tmp_path), pretrain__steps=0), tmp_path / "run")
    peaks = [report.values["peak_memory"] for report in reports if report.evaluations]
    assert len(peaks) == 3
    assert peaks == sorted(peaks)
    assert 50 < peaks[-1] < resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3 + 50


@pytest.mark.parametrize(
    ("case", "checkpoint", "limit"),
    [
        (Case("bd3lm", "nano", 64, 2_048, 16, 4), 10, 700),
        pytest.param(Case("bd3lm", "tiny", 128, 30_522, 16, 16), 370, 2_500, marks=pytest.mark.long),
    ],
)
def test_a_worker_stays_small(case: Case, checkpoint: int, limit: int):
    """MB of a process that trains, with room for the copy of its tensors that is written beside it."""
    words = ["-m", "benchmarks.step", "--case", json.dumps(case), "--form", "ours"]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) + checkpoint < limit
