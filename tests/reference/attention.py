"""Block-diffusion attention spelled out: every token asks every token, one at a time."""

import math

import torch


def may_read(query: int, key: int, length: int, block_size: int) -> bool:
    """Tokens 0..L-1 are noisy, L..2L-1 clean (Arriola et al. 2025, section 3.1)."""
    query_clean, key_clean = query >= length, key >= length
    query_block, key_block = query % length // block_size, key % length // block_size
    if query_clean:
        return key_clean and key_block <= query_block
    if key_clean:
        return key_block < query_block
    return key_block == query_block


def mask(length: int, block_size: int) -> torch.Tensor:
    both = range(2 * length)
    return torch.tensor([[may_read(q, k, length, block_size) for k in both] for q in both])


def attend(
    q_BHSK: torch.Tensor, k_BHSK: torch.Tensor, v_BHSK: torch.Tensor, mask_SS: torch.Tensor
) -> torch.Tensor:
    scores = q_BHSK @ k_BHSK.transpose(-1, -2) / math.sqrt(q_BHSK.shape[-1])
    return scores.masked_fill(~mask_SS, -math.inf).softmax(dim=-1) @ v_BHSK
