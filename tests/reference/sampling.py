"""Samplers spelled out: one sample, no cache, the whole text in every pass, one word at a time.

They take the same uniform numbers in the same order as the fast ones, so the text must be the same.
"""

import math

import numpy as np
import torch

from tests.reference.model import logits
from trainer.randomness import seed_of


def may_read(query: int, key: int, window: int, block_size: int) -> bool:
    """Blocks are causal, and reach back over the `window` tokens that end with the query's own block."""
    last = (query // block_size + 1) * block_size
    return last - window <= key // block_size * block_size < last


def block_scores(weights, heads, tokens, window, block_size, mask_id):
    """scores_SV of a text whose last block is being decided; the mask excluded."""
    size = len(tokens)
    reads = [[may_read(q, k, window, block_size) for k in range(size)] for q in range(size)]
    scores = logits(weights, heads, torch.tensor([tokens]), torch.arange(size), torch.tensor(reads))[0]
    scores[:, mask_id] = -math.inf
    return scores.double()


def choose(probs: list[float], nucleus: float, u: float) -> int:
    """By inversion among the most probable words whose sum is at most the nucleus, and the first always."""
    order = sorted(range(len(probs)), key=lambda word: -probs[word])
    kept, total = set(), 0.0
    for rank, word in enumerate(order):
        total += probs[word]
        if rank == 0 or total <= nucleus or nucleus == 1:
            kept.add(word)
    mass = sum(probs[word] for word in kept)
    below = 0.0
    for word in range(len(probs)):
        below += probs[word] if word in kept else 0.0
        if below > u * mass:
            return word
    raise AssertionError("u is below 1")


def block_by_block(
    weights, heads, given, length, block_size, window, mask_id, *, seed, number, nucleus=1.0, steps=None
):
    """(tokens, nfe). steps None: first hitting; else ancestral, with a pass reused while nothing changed."""
    uniform = np.random.default_rng(seed_of(seed, "sample", number)).random
    tokens, nfe = list(given), 0
    while len(tokens) < length:
        start = len(tokens) // block_size * block_size
        masked = list(range(len(tokens), start + block_size))
        tokens += [mask_id] * len(masked)

        def decide(seen, position, u):
            scores = block_scores(weights, heads, seen, window, block_size, mask_id)
            return choose(scores[position].softmax(-1).tolist(), nucleus, u)

        if steps is None:
            while masked:
                where, u = uniform(2)
                position = masked.pop(int(where * len(masked)))
                tokens[position] = decide(tokens, position, u)
                nfe += 1
        else:
            when, u = uniform(block_size), uniform(block_size)
            for step in range(steps):
                seen = list(tokens)
                now = [i for i in masked if int(when[i - start] * steps) == step]
                for position in now:
                    tokens[position] = decide(seen, position, u[position - start])
                nfe += bool(now)
    return tokens, nfe


def autoregressive(weights, heads, given, length, window, mask_id, *, seed, number, nucleus=1.0):
    """(tokens, nfe): each word from the row of the word before it."""
    uniform = np.random.default_rng(seed_of(seed, "sample", number)).random
    tokens = list(given)
    while len(tokens) < length:
        scores = block_scores(weights, heads, tokens, window, 1, mask_id)
        tokens.append(choose(scores[-1].softmax(-1).tolist(), nucleus, uniform(2)[1]))
    return tokens, length - len(given)


def analytic(network, given, length, mask_id, steps, *, seed, number, nucleus=1.0):
    """(tokens, nfe) by the scores and transition matrices of Lou et al. 2024, word for word.

    network(tokens, sigma) -> logits_LV of the words without the mask, which is the last.
    """
    uniform = np.random.default_rng(seed_of(seed, "sample", number)).random
    tokens = [*given, *[mask_id] * (length - len(given))]
    grid = np.linspace(1, 1e-5, steps + 1).clip(max=1 - 1e-9)  # sigma is infinite at 1
    nfe = 0
    for step, p in enumerate(grid):
        masked = [i for i in range(length) if tokens[i] == mask_id]
        if not masked:
            break
        sigma, told = -math.log1p(-p), min(-math.log1p(-p), -math.log(1e-3))
        logits_LV = network(list(tokens), told)
        score_LV = (logits_LV - math.log(math.expm1(sigma)) - math.log(mask_id)).exp()
        stay, u = uniform(length), uniform(length)
        nfe += 1
        for i in masked:
            words = score_LV[i].tolist()
            if step < steps:
                fall = sigma + math.log1p(-grid[step + 1])
                staggered = [math.exp(fall) * score for score in words]
                moves = [(1 - math.exp(-fall)) * score for score in staggered]
                if stay[i] < 1 - sum(moves):
                    continue
            tokens[i] = choose([score / sum(words) for score in words], nucleus, u[i])
    return tokens, nfe
