"""The moving average of the weights, which is what is evaluated and sampled."""

import torch


class MovingAverage:
    """A copy of a network that follows it with decay min(decay, (1 + n) / (10 + n)) at its n-th step."""

    def __init__(self, model: torch.nn.Module, average: torch.nn.Module, decay: float):
        self.decay = decay
        # As they are, not their data: trials that are trained as one lie elsewhere than they were made.
        self._from: list[torch.Tensor] = list(model.parameters())
        self._to: list[torch.Tensor] = list(average.parameters())

    @torch.no_grad()
    def update(self, n: int) -> None:
        """After optimizer step n, counted from 1 over the whole run."""
        decay = min(self.decay, (1 + n) / (10 + n))
        torch._foreach_lerp_(self._to, self._from, 1 - decay)
