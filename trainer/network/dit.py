"""The transformer of BD3-LM, MDLM and SEDD, and with causal=True the AR baseline.

Names and shapes of the parameters are the public checkpoints' (Arriola et al. 2025, arXiv 2503.09573;
its DiT is Peebles & Xie 2023 with rotary positions), so that their weights load as they are.

A condition is a vector of C: one for every token (C), or one for each sequence (B1C) or row (MC) where
the network is told its noise.
Shapes: B batch, S tokens of a pass, R rows that are read off, M chosen rows, D width, H heads, K head size,
C width of the conditioning, V vocabulary.
"""

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from trainer.network.attention import Attention, Layout
from trainer.network.backends import fitting
from trainer.network.captures import compiled
from trainer.network.layers import Block, Embedding, OutputLayer, Rotary, SigmaMap, heads_joined
from trainer.network.model import Denoiser, Shape


class DiT(Denoiser):
    """Tokens to logits. Not told the time, its conditioning is a trained constant (sigma = 0); SEDD tells it
    sigma = -log(1 - p) of each sequence.

    Weights are drawn from torch's global generator, dropout too: the caller seeds it. Gates and head
    start at zero, so that a fresh network is uniform over the vocabulary without the mask.
    In bfloat16 are products, what goes between them, and attention. The residual stream, norms, what the
    condition makes of the layers (vectors of D, whose gradients are sums over all tokens), softmax and losses
    stay as the weights are.
    """

    def __init__(self, shape: Shape, *, causal: bool, dropout: float, attention: Attention = fitting):
        super().__init__(shape, causal=causal, attention=attention)
        self._project, self._transform = Block.project, Block.transform
        cond_width = None if causal else shape.cond_width
        self.vocab_embed = Embedding(shape.vocab_size, shape.width)
        self.sigma_map = None if causal else SigmaMap(shape.cond_width)
        self.rotary_emb = Rotary(shape.width // shape.heads)
        self.blocks = nn.ModuleList(
            Block(shape.width, shape.heads, cond_width, dropout) for _ in range(shape.layers)
        )
        self.output_layer = OutputLayer(shape.width, shape.vocab_size, cond_width)

    def hidden(
        self,
        tokens_BS: Tensor,
        layout: Layout,
        chosen_M: Tensor | None = None,
        sigma_B: Tensor | None = None,
    ) -> Tensor:
        """As the contract has it. The last layer computes no more than is asked for: the other tokens serve
        it as keys and values alone.
        """
        rotary = self.rotary_emb(layout.positions(tokens_BS.device), self.dtype)
        cond = self.conditioning(None if sigma_B is None else sigma_B[:, None])
        x_BSD = self.vocab_embed(tokens_BS)
        *layers, last = cast(list[Block], list(self.blocks))
        for layer in layers:
            modulation = layer.modulation(cond)
            o_BHSK = self.attention(*self._project(layer, x_BSD, x_BSD, modulation, rotary), layout)
            x_BSD = self._transform(layer, x_BSD, heads_joined(o_BHSK), modulation)
        x_BRD = x_BSD[:, : layout.num_read]
        modulation = last.modulation(cond)
        o_BHRK = self.attention(*self._project(last, x_BRD, x_BSD, modulation, rotary), layout)
        attended_BRD = heads_joined(o_BHRK)
        if chosen_M is None:
            return self._transform(last, x_BRD, attended_BRD, modulation)
        x_MD, attended_MD = (x.flatten(0, 1).index_select(0, chosen_M) for x in (x_BRD, attended_BRD))
        if sigma_B is not None:
            modulation = modulation.of_sequences(chosen_M // layout.num_read)
        return self._transform(last, x_MD, attended_MD, modulation)

    def compile_layers(self) -> None:
        self._project = compiled(Block.project)
        self._transform = compiled(Block.transform)

    def head(self, hidden_MD: Tensor, sigma_M: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        cond = self.conditioning(sigma_M)
        normed_MD, weight_VD, bias_V = self.output_layer(hidden_MD, cond, self.shape.mask_id)
        return normed_MD.to(self.dtype), weight_VD, bias_V

    def conditioning(self, sigma: Tensor | None = None) -> Tensor | None:
        """(..., C) of sigma (...), by default of 0; AR has none."""
        return None if self.sigma_map is None else F.silu(self.sigma_map(sigma))
