"""AdamW is torch's, to the bit; and nothing that trains on a CPU imports torch's compiler."""

import subprocess
import sys

import pytest
import torch

from trainer.training.adamw import AdamW


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_it_is_torchs_to_the_bit(dtype: torch.dtype):
    """Two groups, rates that change, and now and then a parameter without a gradient."""
    shapes = [(5, 7), (3,), (130,)]
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]
    ours, theirs = ([each.clone().requires_grad_() for each in start] for _ in range(2))
    settings = [
        {"betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.0},
        {"betas": (0.5, 0.9), "eps": 1e-4, "weight_decay": 0.1},
    ]

    def groups(of: list[torch.Tensor]) -> list[dict]:
        return [{"params": of[:2], **settings[0]}, {"params": of[2:], **settings[1]}]

    mine, torchs = AdamW(groups(ours)), torch.optim.AdamW(groups(theirs), fused=True)
    for step in range(1, 8):
        for optimizer in (mine, torchs):
            optimizer.zero_grad()
            for number, group in enumerate(optimizer.param_groups, start=1):
                group["lr"] = 1e-2 * step / number
        for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            if (step == 3 and i == 1) or (step == 4 and i == 2):
                continue
            gradient = torch.randn(one.shape, generator=generator, dtype=dtype)
            one.grad, other.grad = gradient.clone(), gradient.clone()
        mine.step()
        torchs.step()
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)
        assert all(torch.equal(mine.state[one][name], torchs.state[other][name]) for name in mine.state[one])
    assert [mine.state[each]["step"].item() for each in ours] == [7, 6, 6]


TRAINS = """
import sys, torch
from trainer.config.train_config import TrainConfig
from trainer.network.model import Shape
from trainer.training.learner import Learner, Step, warm_up
import trainer.training.train
warm_up("cpu")
values = {"data.length": 16, "finetune.block_size": 4, "compute.precision": "float32"}
config = TrainConfig.from_dotted(values)
learner = Learner(config, Shape(16, 2, 2, 8, 16, 31, 30), torch.device("cpu"))
learner.take_step(Step(torch.ones(2, 16, dtype=torch.long), config.finetune, "finetune", 1, 1))
assert "torch._dynamo" not in sys.modules
"""


def test_what_trains_imports_no_compiler():
    done = subprocess.run([sys.executable, "-c", TRAINS], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
