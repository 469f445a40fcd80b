"""gen_ppl spelled out: one token at a time, each in a pass of its own over what may be read before it."""

import math

import torch


def nats_of(model, tokens, scored, window):
    """Sum over scored tokens of -log p(token | those before it in the first window that holds it).

    Windows hold `window` tokens and start every window // 2.
    """
    total = 0.0
    for place in range(1, len(tokens)):
        if not scored[place]:
            continue
        start = 0
        while place >= start + window:
            start += window // 2
        before = torch.tensor([tokens[start:place]])
        with torch.no_grad():
            logits = model(before)[0, -1].double()
        probabilities = [math.exp(each) for each in (logits - logits.max()).tolist()]
        total -= math.log(probabilities[tokens[place]] / sum(probabilities))
    return total


def entropy_of(tokens):
    """Nats, of the distribution of the tokens' own counts."""
    return sum(-math.log(tokens.count(each) / len(tokens)) for each in tokens) / len(tokens)
