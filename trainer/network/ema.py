"""The moving average of the weights, which is what is evaluated and sampled."""

import torch


class MovingAverage:
    """A copy of a network that follows it with decay min(decay, (1 + n) / (10 + n)) at its n-th step."""

    def __init__(self, model: torch.nn.Module, average: torch.nn.Module, decay: float):
        self.decay = decay
        self._from = [p.detach() for p in model.parameters()]
        self._to = [p.detach() for p in average.parameters()]

    def update(self, n: int) -> None:
        """After optimizer step n, counted from 1 over the whole run."""
        decay = min(self.decay, (1 + n) / (10 + n))
        torch._foreach_lerp_(self._to, self._from, 1 - decay)
