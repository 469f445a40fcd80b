"""A batch in micro-batches: the step is the whole batch's, and the run is the same run."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.networks import network
from tests.trainer.tiny_runs import reports_of, tiny_config, write_corpus
from trainer.config.train_config import TrainConfig
from trainer.objectives.base import Objective
from trainer.objectives.diffusion import Diffusion
from trainer.objectives.union import OBJECTIVES
from trainer.training.train import train
from trainer.values import kind_of

LENGTH, VOCAB_SIZE = 8, 11
KINDS = [(kind, kind.only_block_size(LENGTH) or size) for kind in OBJECTIVES for size in (1, 4)]


def gradients(config: TrainConfig, x0_BL: torch.Tensor, parts: int) -> tuple[float, list[torch.Tensor]]:
    model = network(config.objective, length=LENGTH, vocab_size=VOCAB_SIZE)
    generator = torch.Generator().manual_seed(5)
    total = 0.0
    given = (model, x0_BL, config.finetune, 0.5, generator)
    for share, losses in config.objective.losses(*given, parts):
        loss = share * losses.loss_BL.sum() / losses.scored_BL.sum()
        loss.backward()
        total += loss.item()
    return total, [p.grad for p in model.parameters() if p.grad is not None]


@settings(max_examples=25, deadline=None)
@given(kind=st.sampled_from(KINDS), batch=st.integers(1, 7), parts=st.integers(1, 9), weighted=st.booleans())
def test_the_gradient_is_that_of_the_whole_batch(
    kind: tuple[type[Objective], int], batch: int, parts: int, weighted: bool
) -> None:
    """Micro-batches of unequal size count by their sequences; more than there are sequences make one each."""
    objective, block_size = kind
    said = {"objective.name": kind_of(objective), "data.length": LENGTH, "finetune.block_size": block_size}
    if weighted and issubclass(objective, Diffusion):
        said |= {"finetune.reweighting.name": "iddpm", "finetune.clip.low": 0.3, "finetune.clip.high": 0.8}
    config = TrainConfig.from_dotted(said)
    x0_BL = torch.randint(0, VOCAB_SIZE - 1, (batch, LENGTH), generator=torch.Generator().manual_seed(batch))
    whole, expected = gradients(config, x0_BL, 1)
    loss, ours = gradients(config, x0_BL, parts)
    assert loss == pytest.approx(whole, rel=1e-5, abs=1e-7)
    scale = torch.stack([each.norm() for each in expected]).norm()
    assert len(ours) == len(expected)
    for one, other in zip(ours, expected, strict=True):
        assert (one - other).norm() <= 1e-5 * scale + 1e-8


def test_a_run_goes_on_in_smaller_pieces_as_the_same_run(tmp_path: Path) -> None:
    plain = tiny_config(write_corpus(tmp_path), model__dropout=0.0, evaluation__test=False)
    halves = plain.model_copy(update={"accumulate": 2})
    assert (halves.content(), halves.stage_key()) == (plain.content(), plain.stage_key())
    whole = reports_of(plain, tmp_path / "whole")
    cut = train(plain, tmp_path / "cut", device="cpu")
    for report in cut:
        if report is not None and report.step >= 30:
            break
    cut.close()
    rest = reports_of(halves, tmp_path / "cut", attempt=2)
    assert rest[-1].step == whole[-1].step == 50
    nelbo = whole[-1].values["val_nelbo"]
    assert rest[-1].values["val_nelbo"] == pytest.approx(nelbo, rel=1e-3)
    assert rest[-1].values["val_nelbo"] != nelbo  # it was summed in another order
    assert (tmp_path / "cut" / "ledger.txt").read_text().splitlines()[-1] == "2 50"
