"""The forward process with loops, one token at a time."""

import math
import random
from itertools import product

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


def chances(block: list[int], counts: list[int], p: float, strength: float, given: int = 0) -> list[float]:
    """The chance of each token of a block to be masked: rarer ones more often, their mean p.

    The first `given` tokens (BOS) are never masked: 0, and the mean is that of the others.
    """
    tilts = []
    for token in block:
        rarer = sum(counts[other] < counts[token] for other in block)
        commoner = sum(counts[other] > counts[token] for other in block)
        tilts.append(strength * (commoner - rarer) / len(block) * min(1.0, math.sqrt(16 / len(block))))
    centre = sum(tilts[given:]) / max(1, len(block) - given)
    return [0.0] * given + [p + p * (1 - p) * (tilt - centre) for tilt in tilts[given:]]


def probability(masked: list[bool], each: list[float]) -> float:
    """Of a mask, tokens being masked independently with these chances."""
    return math.prod(chance if hidden else 1 - chance for hidden, chance in zip(masked, each, strict=True))


def accepted_masks(p: float, block_size: int, low: float, high: float) -> dict[tuple[bool, ...], float]:
    """The chance of every mask where those of a fraction outside [low, high] are drawn again."""
    chances = {
        mask: probability(list(mask), [p] * block_size) for mask in product((False, True), repeat=block_size)
    }
    inside = {mask: each for mask, each in chances.items() if low <= sum(mask) / block_size <= high}
    return {mask: each / sum(inside.values()) for mask, each in inside.items()}


def drawn_again(p: float, block_size: int, low: float, high: float, rng: random.Random) -> tuple[bool, ...]:
    """A mask, tried until it is accepted."""
    while True:
        mask = tuple(rng.random() < p for _ in range(block_size))
        if low <= sum(mask) / block_size <= high:
            return mask
