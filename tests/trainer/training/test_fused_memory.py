"""Where trials are trained as one, what each had for itself is given back as it is moved."""

from pathlib import Path

import pytest
import torch

from trainer.config.train_config import TrainConfig
from trainer.network.model import Shape
from trainer.training.fused import Fused
from trainer.training.learner import Learner, Step

TRIALS, WORDS, LENGTH = 4, 31, 16
MARKED = Path("/proc/self/clear_refs")  # Linux alone lowers the mark of what was held at most


def learners() -> list[Learner]:
    """Of some 10 MB each kind: malloc gives back at once what is as large as all of a kind."""
    given = {"data.length": LENGTH, "model.dropout": 0, "finetune.block_size": 4, "finetune.batch_size": 1}
    config = TrainConfig.from_dotted({**given, "compute.precision": "float32"})
    shape = Shape(256, 3, 2, 8, LENGTH, WORDS, WORDS - 1)
    return [Learner(config, shape, torch.device("cpu")) for _ in range(TRIALS)]


def fused(of: list[Learner]) -> Fused:
    return Fused(of, [each.config.finetune for each in of])


def test_what_steps_alone_have_left_is_not_kept() -> None:
    """A gradient beside that of all is as much as the weights."""
    trials = learners()
    for each in trials:
        each.take_step(Step(torch.zeros(1, LENGTH, dtype=torch.long), each.config.finetune, "finetune", 1, 1))
    fused(trials)
    assert all(own.grad is None for each in trials for own in each.model.parameters())


@pytest.mark.skipif(not MARKED.exists(), reason="the system does not say what was held at most")
def test_trials_that_meet_another_do_not_lie_in_two_places() -> None:
    trials = learners()
    first = fused(trials)
    kind = first._weights_JP.nbytes
    del first
    before = held("VmRSS")
    MARKED.write_text("5")
    fused(trials)
    # The gradients, which were given back before; and of one kind at a time the new and the old.
    assert held("VmHWM") - before < 2.5 * kind


def held(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
