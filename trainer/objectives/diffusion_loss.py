"""Masked diffusion over blocks: the cross-entropy of masked tokens, and the training objective made of it.

MDLM (Sahoo et al. 2024, arXiv 2406.07524) is BD3-LM (Arriola et al. 2025, arXiv 2503.09573) at L' = L.
Shapes: B batch, K copies of a sequence under different masks, L length, N blocks, P positions of a
block (L = N * P), S tokens of a pass, M masked tokens, D width, V vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.network.attention import noised
from trainer.network.model import Denoiser
from trainer.objectives.base import TokenLoss


def masked_cross_entropy(
    model: Denoiser,
    x0_BL: Tensor,
    xt_BKL: Tensor,
    masked_BKL: Tensor,
    block_size: int,
    charge_BKL: Tensor | None = None,
) -> Tensor:
    """loss_M: -log p(x_0) of every masked token times its charge (1), in the order of masked_BKL's true
    entries.

    One pass over [x_t ; x_0]. Unmasked tokens are carried over at no cost (SUBS), so nothing is
    computed for them behind the last layer.
    """
    layout = noised(x0_BL.shape[1], block_size, copies=xt_BKL.shape[1])
    tokens_BS = torch.cat([xt_BKL.flatten(1), x0_BL[:, : layout.clean]], dim=1)
    masked_M = masked_BKL.flatten().nonzero().squeeze(1)
    hidden_MD = model.hidden(tokens_BS, layout, masked_M)
    target_M = x0_BL[:, None].expand_as(masked_BKL).flatten().index_select(0, masked_M)
    charge_M = hidden_MD.new_ones(len(masked_M)) if charge_BKL is None else charge_BKL.flatten()[masked_M]
    return model.cross_entropy(hidden_MD, target_M, charge_M)


def diffusion_loss(
    model: Denoiser, x0_BL: Tensor, xt_BL: Tensor, masked_BL: Tensor, charge_BN: Tensor, *, block_size: int
) -> TokenLoss:
    """The charge times -log p(x_0) of every masked token, in nats."""
    return losses_of_views(model, x0_BL, [(xt_BL, masked_BL, charge_BN)], block_size)[0]


def losses_of_views(
    model: Denoiser, x0_BL: Tensor, views: Sequence[tuple[Tensor, Tensor, Tensor]], block_size: int
) -> list[TokenLoss]:
    """The same of several views (xt_BL, masked_BL, charge_BN) of the sequences, in one pass: they read the
    same clean tokens."""
    length = x0_BL.shape[1]
    xt_BKL, masked_BKL = (torch.stack([view[i] for view in views], dim=1) for i in range(2))
    charges = [charge_BN.repeat_interleave(length // charge_BN.shape[1], dim=1) for *_, charge_BN in views]
    charge_BKL = torch.stack(charges, dim=1)
    loss_M = masked_cross_entropy(model, x0_BL, xt_BKL, masked_BKL, block_size, charge_BKL)
    loss_BKL = loss_M.new_zeros(masked_BKL.shape).masked_scatter(masked_BKL, loss_M)
    scored_BL = torch.ones_like(x0_BL, dtype=torch.bool)
    scored_BL[:, 0] = False
    return [TokenLoss(loss_BL, scored_BL) for loss_BL in loss_BKL.unbind(dim=1)]
