"""A causal language model of transformers that goes on as a denoiser: its own network, under any layout.

**Its logits stay shifted.** Trained on the next token, its row at place i - 1 predicts token i, and so it
does here: of a noisy token the row before it, in its own block; of the first token of a block the clean row
before the block, which has read all blocks up to its own, and none of this one. Blocks of one token are then
the source's own likelihood, to the bit of rounding, and larger ones begin from what it knows. DiffuLLaMA
(Gong et al. 2025, arXiv 2410.17891), Dream (arXiv 2508.15487) and Fast-dLLM v2 (arXiv 2509.26328) shift so,
the last with blocks, whose first token it, too, takes from the clean row before.

Under a causal layout rows are as they are: each predicts the next token.
Parameters have transformers' names, without the model's prefix. A row of the embedding and of the head is the
mask's (trainer/checkpoints/causal_lm.py).
Shapes: B batch, S tokens of a pass, R rows that are read off, M chosen rows, D width, H heads, K head size,
V vocabulary.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.network.attention import Layout
from trainer.network.captures import compiled
from trainer.network.layers import heads_joined
from trainer.network.model import Denoiser, Shape
from trainer.settings.causal_lm import CausalLM

Angles = tuple[Tensor, Tensor] | None  # a Rotary's tables; None where positions are learned
# (layer, q_BHSK, k_BHSK, v_BHSK) -> o_BHSK: attention under a layout, or with a cache
Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


class Layer(nn.Module):
    """Abstract: what stands before and after attention, in transformers' names."""

    dropout: float

    @abstractmethod
    def project(self, x_BSD: Tensor, angles: Angles, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """q, k and v, each BHSK of this dtype: keys and values of a group once for each of its queries."""

    @abstractmethod
    def transform(self, x: Tensor, attended: Tensor) -> Tensor:
        """The residual stream after this layer, token by token; (..., D)."""

    def drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x


class Adapted(Denoiser):
    """Abstract. Not told its noise. Dropout comes from torch's global generator: the caller seeds it."""

    def __init__(self, shape: Shape, source: CausalLM, *, causal: bool, layer: type[Layer]):
        super().__init__(shape, causal=causal)
        self._project, self._transform = layer.project, layer.transform
        tied = source.tie_word_embeddings
        self.lm_head = None if tied else nn.Linear(source.width, shape.vocab_size, bias=False)

    @property
    @abstractmethod
    def embedding(self) -> nn.Embedding: ...

    @property
    @abstractmethod
    def stack(self) -> Sequence[Layer]: ...

    @abstractmethod
    def embedded(self, tokens_BS: Tensor, positions_S: Tensor) -> Tensor:
        """x_BSD."""

    @abstractmethod
    def angles(self, positions_S: Tensor) -> Angles: ...

    @abstractmethod
    def normed(self, hidden_MD: Tensor) -> Tensor:
        """hidden_MD behind the last norm."""

    @property
    def words(self) -> Tensor:
        """weight_VD of the head: where it is tied, the embedding."""
        return (self.embedding if self.lm_head is None else self.lm_head).weight

    @property
    def vocabulary(self) -> frozenset[str]:
        """Names of the parameters that have a row for each word."""
        rows = (self.embedding.weight, self.words)
        return frozenset(name for name, each in self.named_parameters() if any(each is row for row in rows))

    def hidden(
        self,
        tokens_BS: Tensor,
        layout: Layout,
        chosen_M: Tensor | None = None,
        sigma_B: Tensor | None = None,
    ) -> Tensor:
        """As the contract has it: each chosen token's row is the one that predicts it."""
        assert sigma_B is None, "a causal model cannot be told its noise"
        batch, tokens = tokens_BS.shape
        asked_M = (
            torch.arange(batch * layout.num_read, device=tokens_BS.device) if chosen_M is None else chosen_M
        )
        first_M = asked_M // layout.num_read * tokens
        rows_M = first_M + predicting(layout, asked_M % layout.num_read)

        def attend(_: int, q_BHSK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor) -> Tensor:
            return self.attention(q_BHSK, k_BHSK, v_BHSK, layout)

        hidden_MD = self.read(tokens_BS, layout.positions(tokens_BS.device), attend, rows_M)
        return hidden_MD.unflatten(0, (batch, -1)) if chosen_M is None else hidden_MD

    def read(self, tokens_BS: Tensor, positions_S: Tensor, attend: Attend, rows_M: Tensor) -> Tensor:
        """hidden_MD of rows among B * S, as they are. Behind the last attention only they are computed."""
        angles = self.angles(positions_S)
        x_BSD = self.embedded(tokens_BS, positions_S)
        *layers, last = self.stack
        for number, layer in enumerate(layers):
            o_BHSK = attend(number, *self._project(layer, x_BSD, angles, self.dtype))
            x_BSD = self._transform(layer, x_BSD, heads_joined(o_BHSK))
        o_BHSK = attend(len(layers), *self._project(last, x_BSD, angles, self.dtype))
        x_MD, attended_MD = (x.flatten(0, 1).index_select(0, rows_M) for x in (x_BSD, heads_joined(o_BHSK)))
        return self._transform(last, x_MD, attended_MD)

    def compile_layers(self) -> None:
        layer = type(self.stack[0])
        self._project, self._transform = compiled(layer.project), compiled(layer.transform)

    def head(self, hidden_MD: Tensor, sigma_M: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        mask = torch.full((), self.shape.mask_id, device=hidden_MD.device)
        bias_V = self.words.new_zeros(self.shape.vocab_size).index_fill(0, mask, -math.inf)
        return self.normed(hidden_MD).to(self.dtype), self.words, bias_V


def predicting(layout: Layout, read_M: Tensor) -> Tensor:
    """row_M of a pass: which of its S rows predicts each of these of the R that are read off.

    Position 0, BOS, is predicted by none: its own row stands for it.
    """
    if not layout.noisy:
        return read_M
    place_M = read_M % layout.noisy
    before_block_M = layout.num_noisy + place_M - 1  # clean
    row_M = torch.where(place_M % layout.block_size == 0, before_block_M, read_M - 1)
    return torch.where(place_M == 0, read_M, row_M)
