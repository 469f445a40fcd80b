"""Runs in threads of one process, whose steps are taken as one: each is what it is alone."""

import gc
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.trainer.tiny_runs import reports_of, same_tensors, tiny_config, without_seconds, write_corpus
from tests.trainer.training.test_fused import learners, tokens
from trainer.config.train_config import TrainConfig
from trainer.errors import TrainingError
from trainer.evaluation.record import Report
from trainer.training import fused
from trainer.training.cuda_graphs import CaptureFailed
from trainer.training.fused import Fused, Taken
from trainer.training.learner import Learner, Step
from trainer.training.together import Alone, Rendezvous, _Group, _Turn, steps, together
from trainer.training.train import train


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def met(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many took each step that was not one run's."""
    counts: list[int] = []
    take = Fused.take_steps

    def counting(self: Fused, of: Sequence[Step | None]) -> list[Taken | None]:
        counts.append(sum(step is not None for step in of))
        return take(self, of)

    monkeypatch.setattr(Fused, "take_steps", counting)
    return counts


def configured(corpus: Path, **changes: Any) -> TrainConfig:
    """AdamW divides gradients by their size: where they are rounding alone, it makes steps of it."""
    plain = {
        "pretrain__steps": 0,
        "model__dropout": 0,
        "compute__precision": "float32",
        "optimizer__eps": 1e-4,
    }
    return tiny_config(corpus, **{**plain, **changes})


def in_threads(works: Sequence[Callable[[], list[Report]]]) -> list[list[Report] | Exception]:
    found: dict[int, list[Report] | Exception] = {}

    def kept(number: int, work: Callable[[], list[Report]]) -> None:
        try:
            found[number] = work()
        except Exception as error:
            found[number] = error

    threads = [threading.Thread(target=kept, args=each) for each in enumerate(works)]
    with together():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return [found[number] for number in range(len(works))]


def near(found: Sequence[Report], expected: Sequence[Report], error: float) -> None:
    for one, other in zip(without_seconds(list(found)), without_seconds(list(expected)), strict=True):
        assert one.step == other.step
        assert one.values.keys() == other.values.keys()
        for name in ("train_loss", "val_nelbo", "test_nelbo"):
            if name in other.values:
                assert one.values[name] == pytest.approx(other.values[name], rel=error)


OF_EACH: list[dict[str, Any]] = [
    {"seed": 1},
    {"seed": 2, "finetune__lr": 1e-3, "finetune__schedule__name": "cosine"},
    {"seed": 3, "finetune__steps": 20, "finetune__clip__low": 0.5},
    {"seed": 4, "evaluation__every": 7, "log_every": 7},
    {"seed": 5, "finetune__block_size": 8},  # of another shape
    {"seed": 6, "finetune__block_size": 8},
    {"seed": 7, "finetune__ar_weight": 0.1},  # trained by itself
]


def test_each_run_is_what_it_is_alone(corpus: Path, tmp_path: Path, met: list[int]) -> None:
    configs = [configured(corpus, **each) for each in OF_EACH]
    found = in_threads(
        [lambda i=i, c=c: reports_of(c, tmp_path / f"together-{i}") for i, c in enumerate(configs)]
    )
    assert len(met) > 20
    assert max(met) == 4
    assert isinstance(steps(), Alone)
    for number, (config, reports) in enumerate(zip(configs, found, strict=True)):
        assert isinstance(reports, list), reports
        alone = reports_of(config, tmp_path / f"alone-{number}")
        near(reports, alone, 1e-5)
    assert without_seconds(found[-1]) == without_seconds(alone)  # type: ignore[arg-type]


def test_who_ends_early_stops_no_other(corpus: Path, tmp_path: Path, met: list[int]) -> None:
    """One is closed after its first row, one diverges; the closed one goes on by itself."""
    configs = [configured(corpus, seed=each) for each in (1, 2, 3)]
    configs.append(configured(corpus, seed=4, finetune__lr=1e30, finetune__warmup=0))

    def first_row() -> list[Report]:
        run = train(configs[0], tmp_path / "0", device="cpu")
        reports = [next(report for report in run if report is not None)]
        run.close()
        return reports

    rest = [lambda i=i: reports_of(configs[i], tmp_path / f"{i}") for i in (1, 2, 3)]
    found = in_threads([first_row, *rest])
    assert isinstance(found[3], TrainingError)
    assert "diverged at step" in str(found[3]) or "the bound is" in str(found[3])
    gone_on = reports_of(configs[0], tmp_path / "0")
    for number, reports in enumerate([gone_on, *found[1:3]]):
        assert isinstance(reports, list), reports
        near(reports, reports_of(configs[number], tmp_path / f"alone-{number}"), 1e-5)
    assert max(met) >= 3


def test_a_run_that_meets_nobody_keeps_its_bits(corpus: Path, tmp_path: Path, met: list[int]) -> None:
    config = configured(corpus, model__dropout=0.1)
    (found,) = in_threads([lambda: reports_of(config, tmp_path / "one")])
    assert isinstance(found, list)
    assert without_seconds(found) == without_seconds(reports_of(config, tmp_path / "alone"))
    assert not met
    assert same_tensors(*(load_file(tmp_path / each / "last.safetensors") for each in ("one", "alone")))


def test_what_is_wrong_with_one_fails_no_other(
    corpus: Path, tmp_path: Path, met: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where what is drawn for it raises, for one."""
    drawn = fused._drawn

    def raising(learner: Learner, step: Step) -> tuple[torch.Tensor, ...]:
        if learner.config.seed == 2 and step.of_phase == 7:
            learner.take_step = broken  # type: ignore[method-assign]
            raise ValueError("its own")
        return drawn(learner, step)

    def broken(step: Step) -> tuple[float, float]:
        raise ValueError("its own")

    monkeypatch.setattr(fused, "_drawn", raising)
    configs = [configured(corpus, seed=each) for each in (1, 2, 3)]
    found = in_threads([lambda i=i, c=c: reports_of(c, tmp_path / f"{i}") for i, c in enumerate(configs)])
    assert isinstance(found[1], ValueError)
    for number in (0, 2):
        reports = found[number]
        assert isinstance(reports, list), reports
        near(reports, reports_of(configs[number], tmp_path / f"alone-{number}"), 1e-5)
    assert max(met) == 3


def test_where_memory_is_too_small_for_all_half_of_them_meet(
    corpus: Path, tmp_path: Path, met: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    look, tries = Fused._gradients, []

    def small(self: Fused) -> tuple[torch.Tensor, torch.Tensor]:
        if len(self.learners) > 2:
            tries.append(len(self.learners))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return look(self)

    monkeypatch.setattr(Fused, "_gradients", small)
    configs = [configured(corpus, seed=each) for each in (1, 2, 3, 4)]
    found = in_threads([lambda i=i, c=c: reports_of(c, tmp_path / f"{i}") for i, c in enumerate(configs)])
    for number, (config, reports) in enumerate(zip(configs, found, strict=True)):
        assert isinstance(reports, list), reports
        near(reports, reports_of(config, tmp_path / f"alone-{number}"), 1e-5)
    assert 1 <= len(tries) <= 2  # of 4, or of the 3 who came first
    assert len(met) > 20


def test_what_goes_wrong_while_weights_are_moved_is_said_to_all(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows whose are moved."""

    def full(self: Fused, of: Sequence[Step | None], taken: Sequence[Taken | None]) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Fused, "_move_weights", full)
    configs = [configured(corpus, seed=each) for each in (1, 2)]
    found = in_threads([lambda i=i, c=c: reports_of(c, tmp_path / f"{i}") for i, c in enumerate(configs)])
    assert any(isinstance(each, torch.OutOfMemoryError) for each in found)


def test_what_leaves_is_forgotten_with_its_memory() -> None:
    meeting, trials = Rendezvous(), learners()
    asked = [
        threading.Thread(
            target=meeting.take,
            args=(each, Step(x0_BL, each.config.finetune, "finetune", 1, 1)),
        )
        for each, x0_BL in zip(trials, tokens(1, len(trials)), strict=True)
    ]
    for thread in asked:
        thread.start()
    for thread in asked:
        thread.join()
    gone = weakref.ref(trials[0])
    meeting.leave(trials.pop(0))
    del asked, thread
    gc.collect()
    assert gone() is None


def test_a_capture_that_is_lost_ends_the_steps_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch is of no use in that process any more: nobody takes a step alone there."""

    def lost(self: Fused, of: Sequence[Step | None]) -> Any:
        raise CaptureFailed("the capture of a CUDA graph failed")

    monkeypatch.setattr(Fused, "_looked_at", lost)
    monkeypatch.setattr(Learner, "take_step", lambda self, step: pytest.fail("it took one"))
    here = learners()
    group, turns = _Group(len(here)), []
    for learner, x0_BL in zip(here, tokens(1, len(here)), strict=True):
        turns.append(_Turn(learner, Step(x0_BL, learner.config.finetune, "finetune", 1, 1)))
        group.come(turns[-1])
    assert group.go()
    assert {type(turn.failure) for turn in turns} == {CaptureFailed}
