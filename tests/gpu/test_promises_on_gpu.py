"""What is promised of every device: the same weights and masks to the bit, the same text from the same seed,
and a run that was cut off and goes on with the bits of one that was not."""

from pathlib import Path

import pytest
import torch

from tests.gpu.learners import LENGTH, PRECISIONS, learner_of, tokens_for
from tests.trainer.networks import network
from tests.trainer.tiny_runs import same_tensors, tiny_config, write_corpus
from trainer.checkpoints.checkpoint import Checkpoint
from trainer.config.train_config import TrainConfig
from trainer.network.model import Shape
from trainer.objectives.autoregressive import Autoregressive
from trainer.objectives.base import Objective
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.masked_diffusion import MaskedDiffusion
from trainer.sampling.decoder import Rereading
from trainer.sampling.generate import sample
from trainer.sampling.union import default_sampler
from trainer.training.learner import Learner
from trainer.training.train import train

pytestmark = pytest.mark.gpu
CPU = torch.device("cpu")
OBJECTIVES = [(BlockDiffusion(), 4), (MaskedDiffusion(), 16), (Autoregressive(), 1)]


def test_fresh_weights_are_the_same_bits(device: torch.device):
    config = TrainConfig.from_dotted({"compute.compile": "off"})
    here, there = (Learner(config, Shape(32, 2, 2, 8, LENGTH, 31, 30), each) for each in (device, CPU))
    assert same_tensors({name: each.cpu() for name, each in here.tensors().items()}, there.tensors())


def test_masks_are_the_same_bits(device: torch.device):
    drawn = []
    for each in (device, CPU):
        learner, generator = learner_of(each), torch.Generator().manual_seed(3)
        x0_BL = tokens_for(learner)
        drawn.append(
            learner.config.objective.draw(learner.model, x0_BL, learner.config.finetune, 0.0, generator)
        )
    here, there = ([each.cpu() for each in of] for of in drawn)
    assert torch.equal(here[0], there[0])
    assert torch.equal(here[1], there[1])
    torch.testing.assert_close(here[3], there[3])


@pytest.mark.parametrize(
    ("objective", "block_size"), OBJECTIVES, ids=lambda each: getattr(each, "name", None)
)
def test_a_bound_is_the_same_number(objective: Objective, block_size: int, device: torch.device):
    """In float64, under the same masks."""
    x0_BL = torch.randint(0, 10, (3, 16), generator=torch.Generator().manual_seed(0))
    here, there = (
        objective.bound(
            network(objective, length=16).double().to(each), x0_BL.to(each), block_size, 3, [1, 2, 3]
        )
        for each in (device, CPU)
    )
    torch.testing.assert_close(here.cpu(), there, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("objective", "block_size"), OBJECTIVES, ids=lambda each: getattr(each, "name", None)
)
def test_text_is_the_same_with_the_cache_and_without(
    objective: Objective, block_size: int, device: torch.device, monkeypatch: pytest.MonkeyPatch
):
    """In float64, token for token: on the CPU with its cache, here with it, here reading all of it again."""
    length = 16 if objective.whole else 40

    def text(on: torch.device) -> list[list[int]]:
        drawn = sample(
            network(objective, length=16).double().to(on),
            objective,
            sampler=default_sampler(objective),
            num=3,
            length=length,
            block_size=length if objective.whole else block_size,
            bos_id=7,
            seed=0,
        )
        return [list(each.tokens) for each in drawn]

    expected, cached = text(CPU), text(device)
    decoder = type(objective).decoder
    monkeypatch.setattr(type(objective), "decoder", lambda *given: Rereading(decoder(*given)))
    assert cached == expected
    assert text(device) == expected


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_run_goes_on_with_the_bits_of_one_that_was_not_cut(
    precision: str, tmp_path: Path, device: torch.device
):
    """On one card, graph and all; layers are not compiled, which would take a minute."""
    changes = {"compute__precision": precision, "compute__compile": "off", "pretrain__steps": 4}
    config = tiny_config(write_corpus(tmp_path), **changes, finetune__steps=12, evaluation__every=4)
    assert [each for each in train(config, tmp_path / "whole", device=device.type) if each is not None]
    running = train(config, tmp_path / "cut", device=device.type)
    next(each for each in running if each is not None)
    running.close()
    assert [each for each in train(config, tmp_path / "cut", device=device.type) if each is not None]
    found = []
    for name in ("whole", "cut"):
        with Checkpoint(tmp_path / name / "last.safetensors") as file:
            found.append(file.load(_like(config, device), ("model.", "ema.", "optimizer.")))
    assert same_tensors(*found)


def _like(config: TrainConfig, device: torch.device) -> dict[str, torch.Tensor]:
    from trainer.config.network import shape_of
    from trainer.data.corpus import load

    return Learner(config, shape_of(config, load(config.data).tokenizer), device).tensors()
