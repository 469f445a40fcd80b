"""What makes a step fast, each switched off for as long as a context lasts."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F

from trainer.network.attention import Layout, dense
from trainer.training.learner import Learner


def dense_attention(learner: Learner) -> AbstractContextManager[Any]:
    return patch.object(learner.model, "attention", dense)


def logits_kept(learner: Learner) -> AbstractContextManager[Any]:
    """torch's cross-entropy over all masked rows at once."""
    model = learner.model

    def cross_entropy(
        hidden_MD: torch.Tensor, target_M: torch.Tensor, charge_M: torch.Tensor
    ) -> torch.Tensor:
        return charge_M * F.cross_entropy(model.logits(hidden_MD), target_M, reduction="none")

    return patch.object(model, "cross_entropy", cross_entropy)


def last_layer_in_full(learner: Learner) -> AbstractContextManager[Any]:
    """Of all noisy rows; the logits still of the masked ones alone."""
    model, hidden = learner.model, learner.model.hidden

    def every_row(tokens_BS: torch.Tensor, layout: Layout, chosen_M: torch.Tensor) -> torch.Tensor:
        return hidden(tokens_BS, layout).flatten(0, 1).index_select(0, chosen_M)

    return patch.object(model, "hidden", every_row)


def logits_of_every_row(learner: Learner) -> AbstractContextManager[Any]:
    """Of the noisy half; the last layer in full too."""
    model, hidden = learner.model, learner.model.hidden
    chosen: list[torch.Tensor] = []

    def every_row(tokens_BS: torch.Tensor, layout: Layout, chosen_M: torch.Tensor) -> torch.Tensor:
        chosen[:] = [chosen_M]
        return hidden(tokens_BS, layout).flatten(0, 1)

    def cross_entropy(
        hidden_MD: torch.Tensor, target_M: torch.Tensor, charge_M: torch.Tensor
    ) -> torch.Tensor:
        logits_MV = model.logits(hidden_MD).index_select(0, chosen[0])
        return charge_M * F.cross_entropy(logits_MV, target_M, reduction="none")

    stack = ExitStack()
    stack.enter_context(patch.object(model, "hidden", every_row))
    stack.enter_context(patch.object(model, "cross_entropy", cross_entropy))
    return stack


def adamw_in_a_loop(learner: Learner) -> AbstractContextManager[Any]:
    """The moving average stays foreach."""
    (group,) = learner.optimizer.param_groups
    loop = torch.optim.AdamW([group], foreach=False)
    for parameter, state in learner.optimizer.state.items():
        loop.state[parameter] = {name: each.clone() for name, each in state.items()}
    return patch.object(learner, "optimizer", loop)


LEVERS: dict[str, Callable[[Learner], AbstractContextManager[Any]]] = {
    "tiled attention": dense_attention,
    "cross-entropy in pieces": logits_kept,
    "the last layer at masked rows only": last_layer_in_full,
    "logits at masked rows only": logits_of_every_row,
    "fused AdamW": adamw_in_a_loop,
}
