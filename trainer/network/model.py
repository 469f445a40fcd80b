"""The contract of a denoiser: tokens to logits, under a layout that says who reads whom.

Two kinds keep it: DiT (dit.py), which is trained here from its first step, and Adapted (adapted.py), a causal
language model of transformers that goes on as a denoiser.
Shapes: B batch, S tokens of a pass, R rows that are read off, M chosen rows, D width, V vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from trainer.network.attention import Attention, Layout, Recalling
from trainer.network.backends import fitting, recall_fittingly
from trainer.network.cross_entropy import linear_cross_entropy
from trainer.network.products import cast_linear

if TYPE_CHECKING:
    from trainer.settings.causal_lm import CausalLM

MAX_LOGITS = 2**23  # of rows whose logits are made at once: bounds memory


class Shape(NamedTuple):
    """What a network's parameters are made from. vocab_size includes the mask."""

    width: int
    layers: int
    heads: int
    cond_width: int
    length: int
    vocab_size: int
    mask_id: int
    source: CausalLM | None = None  # the causal model that it goes on from; None: a DiT


class Denoiser(nn.Module, ABC):
    """Abstract. causal: trained on the next token, without noise."""

    def __init__(self, shape: Shape, *, causal: bool, attention: Attention = fitting):
        super().__init__()
        self.shape = shape
        self.causal = causal
        self.attention = attention
        self.recalling: Recalling = recall_fittingly
        self.low_precision = False

    @property
    def weights_dtype(self) -> torch.dtype:
        """Of parameters, norms, softmax and losses."""
        return next(self.parameters()).dtype

    @property
    def dtype(self) -> torch.dtype:
        """Of products and attention."""
        return torch.bfloat16 if self.low_precision else self.weights_dtype

    @property
    def most_positions(self) -> int | None:
        """Tokens of a text at most, where positions are learned; None: no limit."""
        return None

    @abstractmethod
    def hidden(
        self,
        tokens_BS: Tensor,
        layout: Layout,
        chosen_M: Tensor | None = None,
        sigma_B: Tensor | None = None,
    ) -> Tensor:
        """hidden_BRD of the rows that the layout reads off, or hidden_MD of those chosen among B * R.

        `logits` of any of them are its predictions: of a noisy token its own, of a clean one the next.
        sigma_B: of each sequence, for a network that is told its noise.
        """

    @abstractmethod
    def head(self, hidden_MD: Tensor, sigma_M: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """normed_MD, weight_VD and bias_V, which make logits_MV; the mask's bias is -inf."""

    @abstractmethod
    def compile_layers(self) -> None:
        """One compiled layer serves all: what stands before and after attention, which has its backends."""

    def logits(self, hidden_MD: Tensor, sigma_M: Tensor | None = None) -> Tensor:
        """logits_MV, the mask's at -inf: so that its probability is 0 (SUBS, Sahoo et al. 2024)."""
        normed_MD, weight_VD, bias_V = self.head(hidden_MD, sigma_M)
        return cast_linear(normed_MD, weight_VD, bias_V).to(weight_VD.dtype)

    def cross_entropy(self, hidden_MD: Tensor, target_M: Tensor, charge_M: Tensor) -> Tensor:
        """loss_M = charge * -log p(target), the mask's probability being 0; no logits are kept."""
        return linear_cross_entropy(*self.head(hidden_MD), target_M, charge_M)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Dropout off and no gradients within."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)
