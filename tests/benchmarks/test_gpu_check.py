"""The check of a GPU, pretended: every line of it runs here, so that no typo costs minutes of a card."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import gpu_check
from benchmarks.gpu import fused, rates, steps, there, trials, whole, worker
from benchmarks.gpu.parts import Part, parts_of, rows_of
from benchmarks.gpu.scale import FULL, PRETENDED, TESTS, Row, Scale
from sweeper.planning.cost_estimates import Measured
from tests.trainer.tiny_runs import write_corpus

ROOT = Path(__file__).parents[2]
MEASURED = Measured(step=0.1, evaluation=0.1, end=0.1, begin=0.1, memory=500 << 20, disk=1)


def test_what_is_done_in_8_minutes():
    """Were every part to take as long as it may, the last would find no time; those of a good card take
    a half of it. Nothing that is asked stands behind what is not."""
    parts = parts_of(FULL)
    assert sum(part.limit for part in parts) < 2.5 * 60 * gpu_check.MINUTES
    assert len({part.name for part in parts}) == len(parts)
    asked = [step.ratio is not None for step in FULL.steps]
    assert asked == sorted(asked, reverse=True)
    assert [part.name for part in parts_of(PRETENDED)] == [
        "rates",
        *(f"tests: {each}" for each in TESTS),
        "step 16, 2",
        "trials",
        "fused",
        "run",
    ]


def test_no_file_of_tests_is_left_out():
    assert sorted(TESTS) == sorted(
        each.name.removeprefix("test_").removesuffix("_on_gpu.py")
        for each in (ROOT / "tests" / "gpu").glob("test_*.py")
    )


@pytest.mark.parametrize("module", [rates, steps, fused], ids=lambda each: each.__name__.rpartition(".")[2])
def test_parts_without_processes_of_their_own(module):
    found = list(module.rows(PRETENDED, 0))
    assert len(found) >= 2
    assert all(row.found and row.ok is not False for row in found), found
    json.dumps([row._asdict() for row in found])


def test_trials_on_one_card(monkeypatch: pytest.MonkeyPatch):
    """The three ways, the processes stood in for."""
    monkeypatch.setattr(trials, "rate", lambda case, number, seconds, environment=None: 100.0 * number)
    found = list(trials.rows(PRETENDED, 0))
    assert [row.what for row in found] == ["batch 2: one trial", "2 trials, processes", "2 trials, MPS"]
    assert "2.00x of one" in found[1].found
    without = list(trials.rows(PRETENDED._replace(device="cuda"), 0))
    assert without[-1].found.endswith("is not there")


def test_a_worker_counts_its_steps(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    case = steps.case_of(PRETENDED, PRETENDED.steps[0])
    monkeypatch.setattr(sys, "argv", ["worker", json.dumps(case), "0.01"])
    monkeypatch.setattr(sys, "stdin", io.StringIO("go\n"))
    worker.main()
    ready, counted = capsys.readouterr().out.splitlines()
    assert ready == "ready"
    assert json.loads(counted)["steps"] >= 1


def test_a_whole_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """With a forecast that holds, and without one."""
    scale = PRETENDED._replace(text=str(write_corpus(tmp_path)))
    asked = []
    monkeypatch.setattr(whole, "in_a_process", lambda *given: asked.append(given) or MEASURED)
    monkeypatch.setattr(whole, "peak_memory", lambda device, before: 400 << 20)
    found = {row.what: row for row in whole.rows(scale, 0)}
    assert found["forecast of plan"].ok
    assert found["memory"].ok
    assert "forecast 1.25 of it" in found["memory"].found
    assert "tokens/s" in found["run"].found
    assert asked[0][1] == "cpu"

    def cannot(*given):
        raise whole.CannotRun("too little memory")

    monkeypatch.setattr(whole, "in_a_process", cannot)
    failed = {row.what: row for row in whole.rows(scale, 0)}
    assert failed["forecast of plan"] == Row("forecast of plan", False, "too little memory")
    assert failed["memory"].ok is None


def test_what_fails_in_a_part_is_its_last_row():
    part = Part("steps", 1, (), "benchmarks.gpu.steps", which=99)
    (row,) = rows_of(part, PRETENDED)
    assert row.ok is False
    assert row.found.startswith("IndexError")
    assert "Traceback" in str(row.facts["traceback"])


def said_by(code: str, limit: float = 60.0) -> tuple[list[dict], str]:
    log = io.StringIO()
    log.fileno = lambda: 2  # type: ignore[method-assign]
    command = [sys.executable, "-c", code]
    return list(gpu_check.said_by(command, "part", limit, dict(os.environ), log)), log.getvalue()


ROW = json.dumps(gpu_check.of("part", Row("first", True, "well")))


def test_a_part_that_hangs_is_ended_and_keeps_what_it_said():
    """With what it has started, which holds its output open."""
    rows, _ = said_by(
        f"import subprocess, sys\nprint({ROW!r}, flush=True)\n"
        "subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])",
        limit=3,
    )
    assert [(row["what"], row["ok"]) for row in rows] == [("first", True), ("part", False)]
    assert rows[1]["found"] == "not done within 3 s"


def test_a_part_that_ends_badly_is_a_row_and_noise_is_none():
    rows, log = said_by(f"print('noise')\nprint({ROW!r})\nprint('[1, 2]')\nraise SystemExit(3)")
    assert [row["found"] for row in rows] == ["well", "ended with code 3: see log.txt"]
    assert "noise\n[1, 2]\n" in log


def test_a_part_whose_package_is_missing_is_said_and_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        there, "missing", lambda packages: [each for each in packages if each == "tokenizers"]
    )
    given = gpu_check.Given(pretend=False, text=None)
    begun = []
    monkeypatch.setattr(gpu_check, "rows_of", lambda part, *rest: begun.append(part.name) or iter(()))
    rows = list(gpu_check.found(given, None, {}, 0.0, io.StringIO()))
    (said,) = [row for row in rows if row["what"] == "tokenizers"]
    assert said["ok"] is False
    assert said["found"].startswith("missing; skipped without it: tests: precision, ")
    assert "run" not in begun
    assert "rates" in begun


def test_the_command(tmp_path: Path):
    """One part of it, in its process: a row for the test, the table, the files, the exit code."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.gpu_check", "--pretend", "--out", str(tmp_path)),
            *("--only", "tests: promises"),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert {row["part"] for row in rows} == {"there", "tests: promises"}
    assert [row["ok"] for row in rows if row["part"] != "there"] == [True, None]
    assert "| tests: promises | test_fresh_weights_are_the_same_bits |" in done.stdout
    document = json.loads((tmp_path / "check.json").read_text())
    assert document["rows"] == rows
    assert document["summary"] == {"looked at": len(rows), "failed": []}


@pytest.mark.long
def test_a_process_of_several():
    assert trials.rate(steps.case_of(PRETENDED, PRETENDED.steps[0]), 1, 0.01) > 0


@pytest.mark.long
def test_the_whole_command(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu_check", "--pretend", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "none failed" in done.stdout


def test_failures_make_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows = [gpu_check.of("a", Row("one", False, "bad", "good")), gpu_check.of("a", Row("two", True, "good"))]
    with pytest.raises(SystemExit, match="1"):
        gpu_check.finish(tmp_path, rows, gpu_check.Given(False, None), write=False)
    assert "- a: one: bad" in capsys.readouterr().out
    assert json.loads((tmp_path / "check.json").read_text())["summary"]["failed"] == ["a: one"]


def test_scales_are_of_one_kind():
    assert isinstance(FULL, Scale)
    assert FULL.device == "cuda"
    assert [(step.batch, step.ratio) for step in FULL.steps[:3]] == [(8, 5), (512, 3), (32, 5)]
