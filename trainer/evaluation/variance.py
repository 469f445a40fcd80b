"""The training objective on the valid split, and the variance of its unweighted form. None of it is a bound.

B batch, L length, N blocks.
"""

from collections.abc import Generator, Sequence

import numpy as np
import torch
from torch import Tensor

from trainer.config.evaluation import EvaluationConfig
from trainer.data.corpus import Corpus
from trainer.network.model import Denoiser, evaluating
from trainer.noise.clips import Clip
from trainer.noise.masking import Uniform
from trainer.noise.reweighting import Unweighted
from trainer.noise.schedules import LogLinear
from trainer.noise.times import UniformTime
from trainer.objectives.base import Objective, TokenLoss
from trainer.randomness import seed_of
from trainer.settings.phase import Phase

# Draws of the same sequences in a pass, which reads their clean tokens once: with one more as much as half of
# what a step computes, so that memory and signs of life are a step's.
AT_ONCE = 4


def variance(
    model: Denoiser, objective: Objective, phase: Phase, corpus: Corpus, config: EvaluationConfig
) -> Generator[None, None, dict[str, float]]:
    """Yields None after each pass; returns var_nelbo, var_nelbo_loglinear and objective.

    Batches have the training's size, which belongs to these metrics, and the end of training's progress.
    var_nelbo includes what the density of times is divided by: it is the price of that density, or its gain.
    A variance is left out where a batch has one block, and everything is where variance_batches is 0.
    """
    bare = {"reweighting": Unweighted(), "time": phase.time.correcting()}
    unweighted = phase.of_diffusion().model_copy(update=bare)
    common_phase = {"schedule": LogLinear(), "clip": Clip(), "masking": Uniform(), "time": UniformTime()}
    loglinear = unweighted.model_copy(update=common_phase)
    variants = phase, unweighted, loglinear
    different = [each for i, each in enumerate(variants) if each not in variants[:i]]

    found: dict[str, list[float]] = {"objective": [], "var_nelbo": [], "var_nelbo_loglinear": []}
    for batch in range(config.variance_batches):
        x0_BL = valid_batch(model, corpus, phase.batch_size, config.seed, batch)
        seeds = [seed_of(config.seed, "variance masks", batch)] * len(different)
        losses = yield from losses_of(model, objective, x0_BL, different, seeds)
        trained, plain, common = (losses[different.index(each)] for each in variants)
        found["objective"].append((trained.loss_BL.sum() / trained.scored_BL.sum()).item())
        found["var_nelbo"].append(_variance_of_blocks(plain, phase.block_size))
        found["var_nelbo_loglinear"].append(_variance_of_blocks(common, phase.block_size))
    means = {name: float(np.mean(values)) for name, values in found.items() if values}
    return {name: mean for name, mean in means.items() if np.isfinite(mean)}


def valid_batch(model: Denoiser, corpus: Corpus, batch_size: int, seed: int, batch: int) -> Tensor:
    """x0_BL, on the model's device: the valid split in an order of its own, around and around."""
    tokens_SL = corpus.valid.tokens_SL
    order = np.random.default_rng(seed_of(seed, "variance rows")).permutation(len(tokens_SL))
    rows_B = order[np.arange(batch * batch_size, (batch + 1) * batch_size) % len(order)]
    x0_BL = torch.from_numpy(np.asarray(tokens_SL[rows_B], np.int64))
    return x0_BL.to(next(model.parameters()).device)


def losses_of(
    model: Denoiser, objective: Objective, x0_BL: Tensor, phases: Sequence[Phase], seeds: Sequence[int]
) -> Generator[None, None, list[TokenLoss]]:
    """The training objective of each phase at progress 1, without gradients and dropout, each with masks of
    its own seed. Yields None after each pass of AT_ONCE."""
    losses: list[TokenLoss] = []
    for first in range(0, len(phases), AT_ONCE):
        some = phases[first : first + AT_ONCE]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds[first : first + AT_ONCE]]
        with evaluating(model):
            drawn = [
                objective.draw(model, x0_BL, phase, 1.0, generator)
                for phase, generator in zip(some, generators, strict=True)
            ]
            losses += objective.drawn_losses(model, x0_BL, drawn, some)
        yield None
    return losses


def loss_of(
    model: Denoiser, objective: Objective, x0_BL: Tensor, phase: Phase, progress: float, seed: int
) -> TokenLoss:
    """The training objective without gradients and dropout."""
    generator = torch.Generator().manual_seed(seed)
    with evaluating(model):
        return objective.loss(model, x0_BL, phase, progress, generator)


def block_means(loss: TokenLoss, block_size: int) -> Tensor:
    """mean_BN, float64: a block's loss over its L' tokens.

    As the report has it: BOS and what is not masked count as tokens of loss 0.
    """
    return loss.loss_BL.double().unflatten(1, (-1, block_size)).mean(-1)


def _variance_of_blocks(loss: TokenLoss, block_size: int) -> float:
    """Unbiased, over the B * N blocks of a batch."""
    mean_BN = block_means(loss, block_size)
    return mean_BN.var().item() if mean_BN.numel() > 1 else float("nan")
