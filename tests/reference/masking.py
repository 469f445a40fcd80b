"""The forward process with three loops."""

import torch


def mask_tokens(
    x0_BL: torch.Tensor, move_chance_BN: torch.Tensor, mask_id: int, generator: torch.Generator
) -> torch.Tensor:
    batch, length = x0_BL.shape
    block_size = length // move_chance_BN.shape[1]
    draw_BL = torch.rand(batch, length, generator=generator)
    xt_BL = x0_BL.clone()
    for row in range(batch):
        for position in range(1, length):
            if draw_BL[row, position] < move_chance_BN[row, position // block_size]:
                xt_BL[row, position] = mask_id
    return xt_BL
