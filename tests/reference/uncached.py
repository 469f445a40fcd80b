"""Sampling without a cache as the public BD3-LM code does it: what is faster is measured against it.

Every call reads a window of at most 1,024 tokens anew, all of it, and makes log-probabilities of every row
and word; the block's are then taken, in float64. First hitting uses one word of a call for each sample.
Shapes: B batch, S tokens of the window, P positions of a block, V vocabulary.
"""

import torch

from tests.reference.step import NEVER, Step

WINDOW = 1024


def block_probs(plain: Step, text_BX: torch.Tensor, block_size: int) -> torch.Tensor:
    """probs_BPV, float64, of the last block of the text, at block size 1 (AR) of what follows it."""
    text_BS = text_BX[:, -WINDOW:]
    plain.positions_S = torch.arange(text_BS.shape[1])
    block_S = plain.positions_S // block_size
    plain.mask_SS = block_S[:, None] >= block_S
    logits = plain.logits(text_BS)
    logits[..., plain.mask_id] += NEVER
    log_probs = logits - torch.logsumexp(logits, dim=-1, keepdim=True)
    if block_size > 1:
        unmasked_BS = text_BS != plain.mask_id
        log_probs[unmasked_BS] = NEVER
        log_probs[unmasked_BS, text_BS[unmasked_BS]] = 0
    return log_probs.double()[:, -block_size:].exp()


def first_hitting(plain: Step, batch: int, length: int, block_size: int) -> tuple[torch.Tensor, int]:
    """(text_BX, calls), by AR at block size 1; word 0 is BOS. Draws from torch's own generator."""
    text = torch.zeros(batch, 1, dtype=torch.long)
    calls = 0
    while text.shape[1] < length:
        if block_size == 1:
            probs_BV = block_probs(plain, text, 1)[:, 0]
            text = torch.cat([text, torch.multinomial(probs_BV, 1)], dim=1)
            calls += 1
            continue
        new = block_size - text.shape[1] % block_size
        text = torch.cat([text, torch.full((batch, new), plain.mask_id)], dim=1)
        for _ in range(new):
            probs_BPV = block_probs(plain, text, block_size)
            calls += 1
            for sample, probs_PV in zip(text, probs_BPV, strict=True):
                places = (sample[-block_size:] == plain.mask_id).nonzero().flatten()
                place = places[torch.randint(len(places), ())]
                sample[place - block_size] = torch.multinomial(probs_PV[place], 1)
    return text, calls
