"""A pretrain that goes on from a shorter one has the bits of one that was trained in one piece."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.trainer.tiny_runs import same_tensors, tiny_config, without_seconds, write_corpus
from trainer.config.train_config import TrainConfig
from trainer.evaluation.record import Report
from trainer.training.rows import read_rows
from trainer.training.train import pretrain

WSD: dict[str, Any] = {"pretrain__warmup": 4, "pretrain__lr_schedule__name": "wsd"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def trained(config: TrainConfig, folder: Path, parent: Path | None = None) -> Path:
    assert all(
        report is None or report.step <= config.pretrain.steps
        for report in pretrain(config, folder, parent=parent, device="cpu")
    )
    return folder


def steps_of(folder: Path) -> list[int]:
    return [int(line.split()[1]) for line in (folder / "ledger.txt").read_text().splitlines()]


def rows_of(folder: Path) -> list[Report]:
    return without_seconds(list(read_rows(folder / "rows.jsonl")))


def assert_same_end(a: Path, b: Path) -> None:
    assert same_tensors(load_file(a / "last.safetensors"), load_file(b / "last.safetensors"))


def test_decays_from_several_points_of_one_stable_part(corpus: Path, tmp_path: Path) -> None:
    """Stable parts of 10 and 20 steps, the second from the first's end, and a decay from each."""
    parent = None
    for steps, decay in ((20, 0.5), (25, 0.2)):
        whole = tiny_config(corpus, **WSD, pretrain__steps=steps, pretrain__lr_schedule__decay=decay)
        stable = whole.until(whole.pretrain.stable_steps)
        first = 0 if parent is None else 10
        parent = trained(stable, tmp_path / f"stable {steps}", parent)
        assert steps_of(parent) == list(range(first + 1, stable.pretrain.steps + 1))

        branch = trained(whole, tmp_path / f"branch {steps}", parent)
        assert steps_of(branch) == list(range(stable.pretrain.steps + 1, steps + 1))
        piece = trained(whole, tmp_path / f"piece {steps}")
        assert_same_end(branch, piece)
        later = [row for row in rows_of(branch) if row.step > stable.pretrain.steps]
        assert later == [row for row in rows_of(piece) if row.step > stable.pretrain.steps]
        assert [row.step for row in rows_of(branch)] == [row.step for row in rows_of(piece)]


def test_a_decay_that_was_closed_goes_on(corpus: Path, tmp_path: Path) -> None:
    whole = tiny_config(corpus, **WSD, pretrain__steps=40, pretrain__lr_schedule__decay=0.5)
    stable = trained(whole.until(20), tmp_path / "stable")
    running = pretrain(whole, tmp_path / "branch", parent=stable, device="cpu")
    while not (tmp_path / "branch" / "ledger.txt").exists() or len(steps_of(tmp_path / "branch")) < 7:
        next(running)
    running.close()
    shutil.rmtree(stable)  # what it began with is not needed again
    branch = trained(whole, tmp_path / "branch", stable)
    assert_same_end(branch, trained(whole, tmp_path / "piece"))
    assert steps_of(branch) == list(range(21, 41))


@pytest.mark.parametrize(
    "other",
    [
        {"pretrain__warmup": 3},
        {"pretrain__lr": 2e-3},
        {"seed": 1},
        {"pretrain__steps": 20},  # behind where the decay begins
        {"pretrain__steps": 12, "pretrain__lr_schedule__name": "wsd"},  # decayed itself
        {"pretrain__blocks__name": "curriculum"},
    ],
)
def test_what_is_no_part_of_it_is_not_gone_on_from(
    corpus: Path, tmp_path: Path, other: dict[str, Any]
) -> None:
    whole = tiny_config(corpus, **WSD, pretrain__steps=20, pretrain__lr_schedule__decay=0.5)
    of_another = tiny_config(corpus, **{"pretrain__steps": 10, "pretrain__warmup": 4, **other})
    parent = trained(of_another, tmp_path / "other")
    found = trained(whole, tmp_path / "whole", parent)
    assert steps_of(found) == list(range(1, 21))
    assert_same_end(found, trained(whole, tmp_path / "piece"))


@pytest.mark.parametrize(
    "harm", [shutil.rmtree, lambda folder: (folder / "last.safetensors").write_bytes(b"x")]
)
def test_a_stable_part_that_is_damaged_or_gone_costs_its_steps_alone(
    corpus: Path, tmp_path: Path, harm: Any
) -> None:
    whole = tiny_config(corpus, **WSD, pretrain__steps=12, pretrain__lr_schedule__decay=0.5)
    harm(stable := trained(whole.until(6), tmp_path / "stable"))
    assert steps_of(trained(whole, tmp_path / "whole", stable)) == list(range(1, 13))
