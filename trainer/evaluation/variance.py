"""The training objective on the valid split, and the variance of its unweighted form. None of it is a bound.

B batch, L length, N blocks.
"""

from collections.abc import Generator

import numpy as np
import torch

from trainer.config import EvaluationConfig, Phase
from trainer.data.packing import Corpus
from trainer.model import Denoiser, evaluating
from trainer.objectives.base import Objective, TokenLoss
from trainer.randomness import seed_of
from trainer.reweighting import Unweighted
from trainer.schedules import Clip, LogLinear


def variance(
    model: Denoiser, objective: Objective, phase: Phase, corpus: Corpus, config: EvaluationConfig
) -> Generator[None, None, dict[str, float]]:
    """Yields None after each pass; returns var_nelbo, var_nelbo_loglinear and objective.

    Batches have the training's size, which belongs to these metrics, and the end of training's progress.
    A variance is left out where a batch has one block, and everything is where variance_batches is 0.
    """
    unweighted = phase.model_copy(update={"reweighting": Unweighted()})
    loglinear = unweighted.model_copy(update={"schedule": LogLinear(), "clip": Clip()})
    tokens_SL = corpus.valid.tokens_SL
    order = np.random.default_rng(seed_of(config.seed, "variance rows")).permutation(len(tokens_SL))
    device = next(model.parameters()).device

    found: dict[str, list[float]] = {"objective": [], "var_nelbo": [], "var_nelbo_loglinear": []}
    for batch in range(config.variance_batches):
        rows_B = order[np.arange(batch * phase.batch_size, (batch + 1) * phase.batch_size) % len(order)]
        x0_BL = torch.from_numpy(np.asarray(tokens_SL[rows_B], np.int64)).to(device)
        losses: list[tuple[Phase, TokenLoss]] = []
        for variant in (phase, unweighted, loglinear):
            done = [loss for earlier, loss in losses if earlier == variant]
            seed = seed_of(config.seed, "variance masks", batch)
            losses.append((variant, done[0] if done else _loss(model, objective, x0_BL, variant, seed)))
            yield None
        (_, trained), (_, plain), (_, common) = losses
        found["objective"].append((trained.loss_BL.sum() / trained.scored_BL.sum()).item())
        found["var_nelbo"].append(_variance_of_blocks(plain, phase.block_size))
        found["var_nelbo_loglinear"].append(_variance_of_blocks(common, phase.block_size))
    means = {name: float(np.mean(values)) for name, values in found.items() if values}
    return {name: mean for name, mean in means.items() if np.isfinite(mean)}


def _loss(model: Denoiser, objective: Objective, x0_BL: torch.Tensor, phase: Phase, seed: int) -> TokenLoss:
    generator = torch.Generator().manual_seed(seed)
    with evaluating(model):
        return objective.loss(model, x0_BL, phase, 1.0, generator)


def _variance_of_blocks(loss: TokenLoss, block_size: int) -> float:
    """The unbiased variance, over the B * N blocks of a batch, of a block's mean over its L' tokens.

    As the report has it: BOS and what is not masked count as tokens of loss 0.
    """
    mean_BN = loss.loss_BL.double().unflatten(1, (-1, block_size)).mean(-1)
    return mean_BN.var().item() if mean_BN.numel() > 1 else float("nan")
