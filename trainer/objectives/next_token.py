"""The cross-entropy of each token given all before it: AR's loss, and what ar_weight adds to diffusion's.

Of a network that was trained to fill masks it is another use of the same weights: a clean token's row
predicts the token behind it, a mask's row its own. Public hybrids add it so. I-DLM's clean_loss_weight, .2,
is ar_weight: CE_noisy + weight * CE_clean (Yu et al. 2026, arXiv 2604.11035). NeMo Automodel's ar_loss_alpha,
.3, weighs the other branch, alpha * diffusion + AR (its HybridDiffusionLLMLoss): ar_weight is 1 / alpha
there, and the whole loss alpha times this one.

Shapes: B batch, L length, R rows that are read off, D width, M targets.
"""

import torch
import torch.nn.functional as F

from trainer.network.attention import block_causal
from trainer.network.model import Denoiser


def next_token_nats(model: Denoiser, x0_BL: torch.Tensor) -> torch.Tensor:
    """nats_BL: -log p(x_i | x_<i), 0 for BOS. Row i of the hidden ones predicts token i + 1."""
    hidden_BRD = model.hidden(x0_BL[:, :-1], block_causal(x0_BL.shape[1] - 1, block_size=1))
    hidden_MD, target_M = hidden_BRD.flatten(0, 1), x0_BL[:, 1:].flatten()
    nats_M = model.cross_entropy(hidden_MD, target_M, hidden_MD.new_ones(len(target_M)))
    return F.pad(nats_M.view_as(x0_BL[:, 1:]), (1, 0))
