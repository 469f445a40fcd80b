"""A run that was closed or killed and goes on ends with the bits of one that was not."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load, load_file

from tests.trainer.tiny_runs import reports_of, same_tensors, tiny_config, without_seconds, write_corpus
from trainer.checkpoints import checkpoint
from trainer.checkpoints.trained import load_weights, open_trained
from trainer.errors import CheckpointError, DamagedCheckpoint
from trainer.evaluation.record import Report
from trainer.training.rows import read_rows
from trainer.training.train import pretrain, train

STEPS = {"pretrain__steps": 100, "finetune__steps": 100}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def straight(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 + 100 steps in one go."""
    folder = tmp_path_factory.mktemp("straight")
    reports_of(tiny_config(corpus, **STEPS), folder)
    return folder


def ledger(folder: Path) -> list[tuple[int, int]]:
    lines = (folder / "ledger.txt").read_text().splitlines()
    return [(int(attempt), int(step)) for attempt, step in map(str.split, lines)]


def assert_equal_runs(a: Path, b: Path) -> None:
    for name in ("last.safetensors", "best.safetensors", "evaluation-valid.safetensors"):
        assert same_tensors(load_file(a / name), load_file(b / name)), name
    rows = [without_seconds(list(read_rows(folder / "rows.jsonl"))) for folder in (a, b)]
    assert rows[0] == rows[1]


def test_a_closed_finetune_goes_on_to_the_same_bits(corpus: Path, straight: Path, tmp_path: Path) -> None:
    monitored = tiny_config(corpus, **STEPS)
    reports: list[Report] = []
    running = train(monitored, tmp_path, pretrained=straight / "pretrain", device="cpu")
    for event in running:
        reports += [event] if event else []
        if reports and reports[-1].step >= 150:
            break
    running.close()
    closed = checkpoint.read_facts(tmp_path / "last.safetensors")["progress"]["step"]
    assert closed >= 150  # the report waits for the disk, the steps behind it do not
    reports += reports_of(
        monitored, tmp_path, pretrained=straight / "pretrain", attempt=2, acknowledged=reports[-1].step
    )
    assert_equal_runs(tmp_path, straight)
    assert without_seconds(reports) == without_seconds(list(read_rows(straight / "rows.jsonl")))
    trained_twice = [(1, s) for s in range(101, closed + 1)] + [(2, s) for s in range(closed + 1, 201)]
    assert ledger(tmp_path) == trained_twice


def test_a_closed_pretrain_goes_on_to_the_same_bits(
    corpus: Path, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed between two rows, so the sums behind the next one are carried over."""
    monkeypatch.setattr("trainer.training.train.HEARTBEAT", 0.0)
    running = pretrain(tiny_config(corpus, **STEPS), tmp_path / "pretrain", device="cpu")
    for _ in running:
        path = tmp_path / "pretrain" / "ledger.txt"
        if path.exists() and path.read_text().endswith(" 53\n"):
            break
    running.close()
    assert checkpoint.read_facts(tmp_path / "pretrain" / "last.safetensors")["progress"]["step"] == 53
    reports_of(tiny_config(corpus, **STEPS), tmp_path)
    assert_equal_runs(tmp_path, straight)
    name = "pretrain/last.safetensors"
    assert same_tensors(load_file(tmp_path / name), load_file(straight / name))


def test_closing_at_every_heartbeat_loses_and_doubles_nothing(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also within an evaluation and the variance, and between a checkpoint and its reports."""
    monkeypatch.setattr("trainer.training.train.HEARTBEAT", 0.0)
    config = tiny_config(
        corpus,
        pretrain__steps=0,
        finetune__steps=12,
        evaluation__every=6,
        evaluation__batch_size=4,
        log_every=2,
    )
    expected = reports_of(config, tmp_path / "straight")
    reports: dict[int, Report] = {}
    for attempt in range(1, 100):
        # Ever later: closed always at the same beat, no attempt would get through the last evaluation.
        running = train(
            config, tmp_path / "closed", attempt=attempt, acknowledged=max(reports, default=0), device="cpu"
        )
        for beat, event in enumerate(running):
            if event is not None:
                assert event.step not in reports
                reports[event.step] = event
            if beat == 2 + attempt:
                running.close()
                break
        else:
            break
    assert attempt > 3
    assert without_seconds(list(reports.values())) == without_seconds(expected)
    assert_equal_runs(tmp_path / "closed", tmp_path / "straight")
    assert [step for _, step in ledger(tmp_path / "closed")] == list(range(1, 13))


AUTO = {"name": "auto", "widths": [0.5], "step": 0.25, "batches": 1}
SEARCHED = {"finetune__clip": AUTO, "evaluation__every": 20, "evaluation__variance_batches": 1}


def test_a_clip_that_was_found_survives_a_kill(corpus: Path, tmp_path: Path) -> None:
    """Killed after an interval was adopted, and closed within the next search."""
    steps = {"pretrain__steps": 0, "finetune__steps": 60}
    config = tiny_config(corpus, **steps, **SEARCHED)
    reports_of(config, tmp_path / "straight")
    adopted = [
        (r.values["clip_low"], r.values["clip_high"])
        for r in read_rows(tmp_path / "straight" / "rows.jsonl")
        if "clip_low" in r.values
    ]
    assert adopted[0] != (0, 1), "nothing to lose otherwise"

    folder, environment = tmp_path / "killed", {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    script = SCRIPT.replace("100, finetune__steps=100", f"0, finetune__steps=60, **{SEARCHED}")
    process = subprocess.Popen([sys.executable, "-c", script, str(corpus), str(folder), "1"], env=environment)
    path, last = folder / "ledger.txt", folder / "last.safetensors"
    # One may stand between step 20 and its evaluation, which finds the interval; a later one knows it.
    while not (last.exists() and checkpoint.read_facts(last)["progress"]["recorded"] >= 20):
        assert process.poll() is None, "the run ended before it was killed"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    facts = checkpoint.read_facts(last)
    recorded = facts["progress"]["recorded"]
    assert 20 <= recorded < 60
    assert tuple(facts["progress"]["clip"]) == adopted[0 if recorded < 40 else 1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.training.train.HEARTBEAT", 0.0)
        running = train(config, folder, attempt=2, device="cpu")
        for _ in running:
            if path.read_text().endswith(" 40\n"):
                next(running), next(running)  # into the evaluation, or the search after it
                break
        running.close()
    reports_of(config, folder, attempt=3)
    assert_equal_runs(folder, tmp_path / "straight")


SCRIPT = """
import sys
from pathlib import Path
from tests.trainer.tiny_runs import tiny_config
from trainer.training.train import train
corpus, folder, attempt = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
config = tiny_config(corpus, pretrain__steps=100, finetune__steps=100, checkpoint__every=0.05)
for report in train(config, folder, attempt=attempt, device="cpu"):
    pass
"""


@pytest.mark.long
def test_killed_at_random_steps(corpus: Path, straight: Path, tmp_path: Path) -> None:
    """SIGKILL once in each phase: only what came after the last checkpoint is trained again."""
    rng = random.Random()
    kills = [("pretrain", rng.randint(5, 95)), (".", rng.randint(105, 195))]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    trained: list[tuple[Path, int]] = []  # a folder, and how far its checkpoint had come at the kill
    for attempt, (where, step) in enumerate(kills, start=1):
        folder = tmp_path / where
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(corpus), str(tmp_path), str(attempt)], env=environment
        )
        path, mark = folder / "ledger.txt", f" {step}\n"
        while not (path.exists() and mark in path.read_text()):
            assert process.poll() is None, "the run ended before it was killed"
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        last = folder / "last.safetensors"
        trained.append((folder, checkpoint.read_facts(last)["progress"]["step"] if last.exists() else 0))
    reports_of(tiny_config(corpus, **STEPS), tmp_path, attempt=len(kills) + 1)

    assert_equal_runs(tmp_path, straight)
    for attempt, (folder, saved) in enumerate(trained, start=1):
        again = [step for number, step in ledger(folder) if number > attempt]
        assert min(again) == max(saved, 100 if folder == tmp_path else 0) + 1, f"kills: {kills}"
    for folder, first in ((tmp_path / "pretrain", 1), (tmp_path, 101)):
        assert {step for _, step in ledger(folder)} == set(range(first, first + 100))
        steps = [report.step for report in read_rows(folder / "rows.jsonl")]
        assert steps == list(range(first + 4, first + 100, 5)), f"kills: {kills}"


def test_killed_between_the_last_checkpoint_and_the_best(
    corpus: Path, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best is a part of the last then, and is made again from it."""
    config, save = tiny_config(corpus, **STEPS), checkpoint.save

    def save_last_alone(path: Path, *rest: Any) -> None:
        if path.name == "best.safetensors":
            raise InterruptedError
        save(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", save_last_alone)
        with pytest.raises(InterruptedError):
            list(train(config, tmp_path, pretrained=straight / "pretrain", device="cpu"))
    assert checkpoint.read_facts(tmp_path / "last.safetensors")["progress"]["step"] == 110
    assert not (tmp_path / "best.safetensors").exists()
    next(train(config, tmp_path, pretrained=straight / "pretrain", device="cpu"))
    assert checkpoint.read_facts(tmp_path / "best.safetensors")["progress"]["step"] == 110


def test_a_best_that_the_last_checkpoint_contains_is_made_again(
    corpus: Path, straight: Path, tmp_path: Path
) -> None:
    """Whatever has become of it: no step is trained for it."""
    config = tiny_config(corpus, pretrain__steps=0, finetune__steps=5)
    reports_of(config, tmp_path)
    best, trained = tmp_path / "best.safetensors", ledger(tmp_path)
    whole = best.read_bytes()
    flipped = bytes([*whole[:-9], whole[-9] ^ 1, *whole[-8:]])
    for damaged in (whole[:1000], flipped, b"", (straight / "best.safetensors").read_bytes()):
        best.write_bytes(damaged)
        reports_of(config, tmp_path)
        assert same_tensors(load(best.read_bytes()), load(whole))
    assert ledger(tmp_path) == trained


def test_a_best_of_another_step_is_not_read(corpus: Path, straight: Path) -> None:
    config, path = tiny_config(corpus, **STEPS), straight / "best.safetensors"
    model, _, _, step = open_trained(config, path, device="cpu")
    load_weights(model, path, step)
    with pytest.raises(DamagedCheckpoint, match=f"it is of step {step}, and the run's best is of step 150"):
        load_weights(model, path, 150)


def test_a_damaged_folder_is_a_sentence(corpus: Path, straight: Path, tmp_path: Path) -> None:
    config = tiny_config(corpus, pretrain__steps=0, finetune__steps=5)
    reports_of(config, tmp_path)
    rows, last = tmp_path / "rows.jsonl", tmp_path / "last.safetensors"
    content = rows.read_bytes()
    rows.write_bytes(content[:10])
    with pytest.raises(CheckpointError, match=r"rows.jsonl: 10 bytes, but its checkpoint was saved with \d+"):
        reports_of(config, tmp_path)
    rows.write_bytes(content)
    last.write_bytes(last.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="damaged or cut off"):
        reports_of(config, tmp_path)


def test_rows_after_the_checkpoint_are_dropped(corpus: Path, tmp_path: Path) -> None:
    config = tiny_config(corpus, pretrain__steps=0, finetune__steps=5)
    expected = reports_of(config, tmp_path)
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write('{"step": 6, "values": {"train_loss": 1.0}, "evaluations": []}\n{"step"')
    assert reports_of(config, tmp_path) == expected


def test_data_that_changed_is_noticed(corpus: Path, tmp_path: Path) -> None:
    own = tmp_path / "corpus.txt"
    own.write_text(corpus.read_text())
    config = tiny_config(own, pretrain__steps=0, finetune__steps=5)
    reports_of(config, tmp_path / "run")
    own.write_text(corpus.read_text().upper())
    with pytest.raises(CheckpointError, match="was trained on other data"):
        reports_of(config, tmp_path / "run")
