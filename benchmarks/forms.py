"""Which two forms of a training step are compared? Ours and the straightforward one, on a case of either.

The straightforward form (tests/reference/step.py) computes everything as the public code writes it: a dense
mask over 2L, a logit for every row and word, AdamW and the moving average parameter after parameter.
"""

import time
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch

from tests.reference.step import Step
from trainer.config.train_config import TrainConfig
from trainer.network.model import Shape
from trainer.objectives.forward import corrupt, sample_time
from trainer.randomness import seed_of
from trainer.training.learner import Learner, learning_rate
from trainer.training.learner import Step as StepOfRun


class Case(NamedTuple):
    objective: str
    size: str
    length: int
    vocab_size: int
    batch: int
    block_size: int
    levers: bool = False  # are they switched off one by one?
    dtype: str = "float32"
    device: str = "cpu"


def named(case: Case) -> str:
    name = f"{case.objective} {case.size} {case.length} {case.vocab_size} {case.batch} {case.block_size}"
    return name + "".join(f" {each}" for each in (case.dtype, case.device) if each not in ("float32", "cpu"))


def prepared(case: Case, with_plain: bool = True, seed: int = 0) -> tuple[Learner, Any, torch.Tensor]:
    config = TrainConfig.from_dotted(
        {
            "seed": seed,
            "objective.name": case.objective,
            "data.length": case.length,
            "model.size": case.size,
            "model.dropout": 0,
            "compute.precision": case.dtype,
            "finetune.block_size": case.block_size,
            "finetune.batch_size": case.batch,
        }
    )
    model = config.model
    shape = Shape(
        model.width,
        model.layers,
        model.heads,
        model.cond_width,
        case.length,
        case.vocab_size,
        case.vocab_size - 1,
    )
    learner = Learner(config, shape, torch.device(case.device))
    plain = None
    if with_plain:
        plain = Step(learner, case.length, None if case.objective == "ar" else case.block_size)
        plain.mask_SS, plain.positions_S = (x.to(case.device) for x in (plain.mask_SS, plain.positions_S))
    generator = torch.Generator().manual_seed(0)
    x0_BL = torch.randint(0, case.vocab_size - 1, (case.batch, case.length), generator=generator)
    return learner, plain, x0_BL.to(case.device)


def clock(case: Case) -> float:
    """CPU seconds; where a GPU works, the clock's."""
    if case.device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def our_step(learner: Learner, x0_BL: torch.Tensor, step: int) -> float:
    return learner.take_step(StepOfRun(x0_BL, learner.config.finetune, "finetune", step, step))[0]


def plain_step(plain: Step, learner: Learner, x0_BL: torch.Tensor, step: int) -> float:
    phase = learner.config.finetune
    xt_BL, _, charge_BL = noise(learner, x0_BL, step)
    low = x0_BL.is_cuda and learner.model.dtype == torch.bfloat16
    with torch.autocast("cuda", torch.bfloat16) if low else nullcontext():
        return plain.take(x0_BL, xt_BL, charge_BL, learning_rate(phase, step), step)


def noise(
    learner: Learner, x0_BL: torch.Tensor, step: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(xt_BL, masked_BL, charge_BL) that the learner draws for this step; AR: of no use."""
    phase, (batch, length) = learner.config.finetune, x0_BL.shape
    generator = torch.Generator().manual_seed(seed_of(learner.config.seed, "finetune", "masks", step))
    blocks = length // phase.block_size
    u_BN = sample_time(batch, blocks, antithetic=True, generator=generator, device=x0_BL.device)
    level = phase.clip.level(phase.schedule, u_BN, 0.0)
    mask_id = learner.model.shape.mask_id
    xt_BL, masked_BL, importance_BN = corrupt(x0_BL, level.move_chance, phase.masking, mask_id, generator)
    return xt_BL, masked_BL, (importance_BN * level.loss_scale).repeat_interleave(phase.block_size, dim=1)
