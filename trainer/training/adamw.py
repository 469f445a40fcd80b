"""AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101): torch's fused kernel, to the bit as torch's class
calls it.

That class imports torch's compiler when the first of it is made: 1.5 CPU-seconds of the 3.6 that a process
takes until it trains. Here nothing is imported, and a step of the host is one call a group.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor


class AdamW:
    """`param_groups` and `state` are torch's. The state is there from the beginning: a checkpoint wants
    it."""

    def __init__(
        self, groups: Iterable[Mapping[str, Any]], state: Mapping[Tensor, dict[str, Tensor]] | None = None
    ):
        """groups: each with params, betas, eps and weight_decay; lr is said before a step. state: of all
        parameters, where there is one that is gone on with."""
        self.param_groups: list[dict[str, Any]] = [
            {"lr": 0.0, **group, "params": list(group["params"])} for group in groups
        ]
        parameters = (parameter for group in self.param_groups for parameter in group["params"])
        self.state = dict(state or {parameter: _nothing_yet(parameter) for parameter in parameters})

    def zero_grad(self) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Of every parameter that has a gradient."""
        for group in self.param_groups:
            moved = [each for each in group["params"] if each.grad is not None]
            if not moved:
                continue
            states = [self.state[each] for each in moved]
            steps = [each["step"] for each in states]
            torch._foreach_add_(steps, 1)
            torch._fused_adamw_(
                moved,
                [each.grad for each in moved],
                [each["exp_avg"] for each in states],
                [each["exp_avg_sq"] for each in states],
                [],
                steps,
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
            )


def _nothing_yet(parameter: Tensor) -> dict[str, Tensor]:
    return {
        "step": torch.zeros((), device=parameter.device),
        "exp_avg": torch.zeros_like(parameter),
        "exp_avg_sq": torch.zeros_like(parameter),
    }
