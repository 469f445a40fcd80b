"""Text from a trained network: block after block, all samples of a batch in lockstep.

A sampler fills one block; a new one is one class. Shapes: B batch, L length, S tokens of the window,
P positions of the block, V vocabulary.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.model import Denoiser, evaluating
from trainer.objectives.base import Objective


class SampleResult(NamedTuple):
    tokens_BL: Tensor
    nfe: int  # passes of the denoiser behind each sample


# The block as it stands (mask_id where undecided) -> probs_BPV, float64: one pass of the denoiser.
Predict = Callable[[Tensor], Tensor]


class Sampler(ABC):
    @abstractmethod
    def fill(
        self, block_BP: Tensor, masked_BP: Tensor, predict: Predict, generator: torch.Generator
    ) -> tuple[Tensor, int]:
        """The block with every masked token decided, and how often `predict` was called."""


class FirstHitting(Sampler):
    """One token a pass, at a position uniform among the masked (Zheng et al. 2025, arXiv 2409.02908).

    The times of its unmaskings, t <- t * u^(1/masked), are not drawn: the network is not told them. Every
    sample decides one token a pass, so a batch needs no more passes than one sample. At P = 1 it is plain
    autoregressive sampling.
    """

    def fill(
        self, block_BP: Tensor, masked_BP: Tensor, predict: Predict, generator: torch.Generator
    ) -> tuple[Tensor, int]:
        block_BP, masked_BP = block_BP.clone(), masked_BP.clone()
        passes = int(masked_BP[0].sum())  # the same in every sample
        rows_B = torch.arange(len(block_BP), device=block_BP.device)
        for _ in range(passes):
            probs_BPV = predict(block_BP)
            position_B = _draw(masked_BP.double(), generator)
            block_BP[rows_B, position_B] = _draw(probs_BPV[rows_B, position_B], generator)
            masked_BP[rows_B, position_B] = False
        return block_BP, passes


def sample(
    model: Denoiser,
    objective: Objective,
    *,
    num: int,
    length: int,
    block_size: int,
    bos_id: int,
    generator: torch.Generator,
    nucleus: float = 1.0,
    sampler: Sampler = FirstHitting(),  # noqa: B008 (it has no state)
) -> SampleResult:
    """`num` samples of `length` tokens, BOS included; the generator lives on the CPU.

    Past the trained length the context is a sliding window of whole blocks. nucleus = p keeps a
    token's most probable alternatives as far as their sum is at most p, and always the first
    (Holtzman et al. 2020, in the public BD3-LM code's strict form). Raises ValueError in a sentence.
    """
    problem = _problem(num, length, block_size, nucleus, model.shape.length)
    if problem:
        raise ValueError(problem)
    device = next(model.parameters()).device
    window = model.shape.length // block_size * block_size
    mask_id = model.shape.mask_id
    tokens_BL = torch.full((num, length), mask_id, device=device)
    tokens_BL[:, 0] = bos_id
    undecided_BL = torch.ones_like(tokens_BL, dtype=torch.bool)
    undecided_BL[:, 0] = False
    nfe = 0
    with evaluating(model):
        for start in range(0, length, block_size):
            end = start + block_size
            context_BS = tokens_BL[:, max(0, end - window) : start]

            def predict(block_BP: Tensor, context_BS: Tensor = context_BS) -> Tensor:
                logits_BPV = objective.predict(model, torch.cat([context_BS, block_BP], dim=1), block_size)
                return _nucleus(logits_BPV.double().softmax(dim=-1), nucleus)

            tokens_BL[:, start:end], passes = sampler.fill(
                tokens_BL[:, start:end], undecided_BL[:, start:end], predict, generator
            )
            nfe += passes
    return SampleResult(tokens_BL, nfe)


def _problem(num: int, length: int, block_size: int, nucleus: float, trained: int) -> str | None:
    if num < 1:
        return f"num must be at least 1, not {num}"
    if not 1 <= block_size <= trained:
        return f"block size must be from 1 to the trained length {trained}, not {block_size}"
    if length < 1 or length % block_size:
        return f"a sample's length must be a multiple of the block size {block_size}, not {length}"
    if not 0 < nucleus <= 1:
        return f"nucleus must be in (0, 1], not {nucleus}"
    return None


def _nucleus(probs_BPV: Tensor, nucleus: float) -> Tensor:
    """The probabilities outside the nucleus set to 0; not normalised again."""
    if nucleus == 1:
        return probs_BPV
    sorted_BPV, order_BPV = probs_BPV.sort(dim=-1, descending=True, stable=True)
    kept_BPV = sorted_BPV.cumsum(dim=-1) <= nucleus
    kept_BPV[..., 0] = True
    return torch.zeros_like(probs_BPV).scatter(-1, order_BPV, sorted_BPV * kept_BPV)


def _draw(weights_BX: Tensor, generator: torch.Generator) -> Tensor:
    """index_B with probability proportional to weights_BX, by inversion; the same draws on every device.

    An index of weight 0 is never drawn.
    """
    cumulative_BX = weights_BX.cumsum(dim=-1)
    u_B = torch.rand(len(weights_BX), generator=generator, dtype=torch.float64).to(weights_BX.device)
    below_B = u_B * cumulative_BX[:, -1]
    return torch.searchsorted(cumulative_BX, below_B[:, None], right=True).squeeze(1)
