"""BD3-LM and its kin (MDLM, SEDD, AR) for transformers. Copied into an exported network's folder, beside its
configuration; needs torch and transformers alone.

    model = AutoModelForMaskedLM.from_pretrained(FOLDER, trust_remote_code=True)
    logits_BLV = model(input_ids_BL).logits

Parameters have the public checkpoints' names and shapes (Arriola et al. 2025, arXiv 2503.09573; the network
is the DiT of Peebles & Xie 2023 with rotary positions, Su et al. 2021).
Shapes: B batch, L length, P prompt, S tokens of a pass (L, or 2 L with clean ones), D width, H heads, K head
size, C width of the conditioning, V vocabulary.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput

from .configuration_bd3lm import BD3LMConfig

FREQUENCIES = 128  # of the sinusoids that embed the noise


class Embedding(nn.Module):
    def __init__(self, vocab_size: int, width: int):
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(vocab_size, width))


class Rotary(nn.Module):
    """The buffer is part of the layout. Angles are made anew, since in half precision it would blur them."""

    def __init__(self, head_size: int):
        super().__init__()
        self.head_size = head_size
        self.register_buffer("inv_freq", self.frequencies(torch.device("cpu")))

    def frequencies(self, device: torch.device) -> Tensor:
        exponents = torch.arange(0, self.head_size, 2, device=device, dtype=torch.float32) / self.head_size
        return 1.0 / 10_000.0**exponents

    def forward(self, positions_S: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """cos_SK and sin_SK, the latter with the sign that `rotated` expects."""
        angles = positions_S[:, None] * self.frequencies(positions_S.device)
        cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
        return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


class SigmaMap(nn.Module):
    """The conditioning vector of the noise: sinusoids, then a small MLP."""

    def __init__(self, cond_dim: int):
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(2 * FREQUENCIES, cond_dim), nn.SiLU(), nn.Linear(cond_dim, cond_dim)
        )

    def forward(self, sigma_B: Tensor) -> Tensor:
        """cond_B1C."""
        steps = torch.arange(FREQUENCIES, device=sigma_B.device, dtype=torch.float32) / FREQUENCIES
        angles = sigma_B[:, None, None].float() * torch.exp(-math.log(10_000) * steps)
        waves = torch.cat([angles.cos(), angles.sin()], dim=-1)
        return F.silu(self.mlp(waves.to(next(self.mlp.parameters()).dtype)))


class Block(nn.Module):
    """One layer: attention and MLP, each normalised, shifted and scaled before, gated after."""

    def __init__(self, config: BD3LMConfig):
        super().__init__()
        width = config.hidden_dim
        self.heads = config.n_heads
        self.norm1 = nn.LayerNorm(width, bias=False)
        self.attn_qkv = nn.Linear(width, 3 * width, bias=False)
        self.attn_out = nn.Linear(width, width, bias=False)
        self.norm2 = nn.LayerNorm(width, bias=False)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.adaLN_modulation = nn.Linear(config.cond_dim, 6 * width) if config.adaln else None

    def forward(
        self, x_BSD: Tensor, cond_B1C: Tensor, allowed: Tensor, rotary: tuple[Tensor, Tensor]
    ) -> Tensor:
        """x_BSD after this layer. allowed: bool, (1 or B, 1, S, S): who reads whom."""
        shift1, scale1, gate1, shift2, scale2, gate2 = modulation(self.adaLN_modulation, cond_B1C, x_BSD, 6)
        qkv_BSD3 = self.attn_qkv(self.norm1(x_BSD) * (1 + scale1) + shift1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in qkv_BSD3.chunk(3, dim=-1))
        q, k = rotated(q, rotary), rotated(k, rotary)
        o_BHSK = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        x_BSD = x_BSD + self.dropout(gate1 * self.attn_out(o_BHSK.transpose(1, 2).flatten(2)))
        return x_BSD + self.dropout(gate2 * self.mlp(self.norm2(x_BSD) * (1 + scale2) + shift2))


class OutputLayer(nn.Module):
    def __init__(self, config: BD3LMConfig):
        super().__init__()
        self.norm_final = nn.LayerNorm(config.hidden_dim, bias=False)
        self.linear = nn.Linear(config.hidden_dim, config.vocab_size)
        self.adaLN_modulation = nn.Linear(config.cond_dim, 2 * config.hidden_dim) if config.adaln else None

    def forward(self, x_BLD: Tensor, cond_B1C: Tensor) -> Tensor:
        """logits_BLV."""
        shift, scale = modulation(self.adaLN_modulation, cond_B1C, x_BLD, 2)
        return self.linear(self.norm_final(x_BLD) * (1 + scale) + shift)


def modulation(linear: nn.Linear | None, cond_B1C: Tensor, x: Tensor, parts: int) -> tuple[Tensor, ...]:
    """What the conditioning makes of a layer; without one (AR), what leaves it as it is."""
    if linear is not None:
        return linear(cond_B1C).chunk(parts, dim=-1)
    zero, one = x.new_zeros(1), x.new_ones(1)
    return (zero, zero, one, zero, zero, one)[:parts]


def rotated(x_BHSK: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    cos_SK, sin_SK = rotary
    return x_BHSK * cos_SK + x_BHSK.roll(x_BHSK.shape[-1] // 2, dims=-1) * sin_SK


class Backbone(nn.Module):
    def __init__(self, config: BD3LMConfig):
        super().__init__()
        self.vocab_embed = Embedding(config.vocab_size, config.hidden_dim)
        self.sigma_map = SigmaMap(config.cond_dim) if config.adaln else None
        self.rotary_emb = Rotary(config.hidden_dim // config.n_heads)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_blocks))
        self.output_layer = OutputLayer(config)


class BD3LM(PreTrainedModel):
    """A network that says what stands at masked tokens, or where it is causal, what comes next."""

    config_class = BD3LMConfig
    base_model_prefix = "backbone"
    _supports_sdpa = True

    def __init__(self, config: BD3LMConfig):
        super().__init__(config)
        self.backbone = Backbone(config)
        if config.var_min:
            self.register_buffer("sampling_eps_min", torch.tensor(config.sampling_eps_min))
            self.register_buffer("sampling_eps_max", torch.tensor(config.sampling_eps_max))
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        clean_ids: Tensor | None = None,
        sigma: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        **unread: Any,
    ) -> MaskedLMOutput | tuple[Tensor, ...]:
        """logits_BLV, and with labels a loss. The mask itself has the logit -inf: it is never predicted.

        input_ids (B, L): a text that begins with BOS, some tokens of it masked. A block reads itself and the
        blocks before it, in which no mask should be left. A causal network's row i predicts token i + 1.
        clean_ids (B, L): the text without masks. Each block then reads itself, and of those before it the
        clean tokens, so that all blocks are predicted in one pass. Of a network that has blocks alone.
        sigma (B): -log(1 - p), p the share that is masked, of a network that is told (SEDD).
        attention_mask (B, L): 0 where nothing is to be read. labels (B, L): tokens, -100 where none is asked
        for; the loss is the mean of -log p over the others, in nats, unweighted.
        Raises ValueError where sigma or clean_ids do not fit the network.
        """
        config = self.config
        if clean_ids is not None and not (config.cross_attn and not config.causal):
            raise ValueError("clean_ids: this network has no blocks that would read them")
        if config.time_conditioning and sigma is None:
            raise ValueError("sigma: this network is told its noise, -log(1 - p) of each sequence")
        length = input_ids.shape[1]
        tokens_BS = input_ids if clean_ids is None else torch.cat([input_ids, clean_ids], dim=1)
        allowed = self._allowed(length, clean_ids is not None, attention_mask, input_ids.device)
        positions_S = torch.arange(length, device=input_ids.device).repeat(1 if clean_ids is None else 2)
        if sigma is None or not config.time_conditioning:
            sigma = torch.zeros(1, device=input_ids.device)
        backbone = self.backbone
        x_BSD = F.embedding(tokens_BS, backbone.vocab_embed.embedding)
        rotary = backbone.rotary_emb(positions_S.float(), x_BSD.dtype)
        cond_B1C = x_BSD if backbone.sigma_map is None else backbone.sigma_map(sigma)
        for block in backbone.blocks:
            x_BSD = block(x_BSD, cond_B1C, allowed, rotary)
        logits_BLV = backbone.output_layer(x_BSD[:, :length], cond_B1C)
        mask_id = torch.tensor([config.mask_token_id], device=logits_BLV.device)
        logits_BLV = logits_BLV.index_fill(-1, mask_id, -math.inf)
        loss = None if labels is None else self._loss(logits_BLV, labels)
        if return_dict is False:
            return (logits_BLV,) if loss is None else (loss, logits_BLV)
        return MaskedLMOutput(loss=loss, logits=logits_BLV)

    @torch.no_grad()
    def draw(self, prompt_ids: Tensor, length: int, generator: torch.Generator | None = None) -> Tensor:
        """ids (B, L): the prompts (B, P), which begin with BOS, and what is drawn after them.

        Block by block, in each one token at a time in a random order (first hitting, Zheng et al. 2024,
        arXiv 2409.02908); a causal network from left to right. Each token takes a pass over the whole text
        before it: simple, and slow. What follows an EOS is drawn as well. Raises ValueError for a length that
        was not trained, and for a network that is told its noise.
        """
        config, prompt = self.config, prompt_ids.shape[1]
        if config.time_conditioning or not 0 < prompt <= length <= config.model_length:
            told = "a network that is told its noise is not drawn from here"
            long = f"1 <= prompt <= length <= {config.model_length}, not {prompt} and {length}"
            raise ValueError(told if config.time_conditioning else long)
        ids_BL = F.pad(prompt_ids, (0, length - prompt), value=config.mask_token_id)
        ahead = int(config.causal)
        size = 1 if config.causal else config.block_size if config.cross_attn else length
        for first in range(prompt // size * size, length, size):
            end = min(first + size, length)
            block_BN = ids_BL[:, first:end]  # a view
            while (masked_BN := block_BN == config.mask_token_id).any():
                logits_BNV = self(ids_BL[:, : end - ahead]).logits[:, first - ahead :]
                order_BN = torch.rand(masked_BN.shape, generator=generator).to(ids_BL.device)
                place_B1 = order_BN.masked_fill(~masked_BN, -1).argmax(dim=1, keepdim=True)
                row_BV = logits_BNV.gather(1, place_B1[..., None].expand(-1, -1, config.vocab_size))[:, 0]
                chances_BV = row_BV.float().softmax(dim=-1).cpu()
                drawn_B1 = torch.multinomial(chances_BV, 1, generator=generator).to(ids_BL.device)
                # Of a row that is done already, what is there stays.
                drawn_B1 = torch.where(masked_BN.any(1, keepdim=True), drawn_B1, block_BN.gather(1, place_B1))
                block_BN.scatter_(1, place_B1, drawn_B1)
        return ids_BL

    def get_input_embeddings(self) -> nn.Module:
        return self.backbone.vocab_embed

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, Embedding):
            nn.init.normal_(module.embedding, std=0.02)
        else:
            super()._init_weights(module)

    def _allowed(
        self, length: int, with_clean: bool, attention_mask_BL: Tensor | None, device: torch.device
    ) -> Tensor:
        """(1 or B, 1, S, S), bool. A token reads its block and those before it; of two copies of a text a
        masked block reads itself and the clean blocks before it, and clean ones read clean ones."""
        config = self.config
        size = 1 if config.causal else config.block_size if config.cross_attn else length
        block_L = torch.arange(length, device=device) // size
        query, key = block_L[:, None], block_L
        if with_clean:
            masked = torch.cat([query == key, key < query], dim=1)
            clean = torch.cat([torch.zeros_like(query == key), key <= query], dim=1)
            allowed_SS = torch.cat([masked, clean])
        else:
            allowed_SS = key <= query
        if attention_mask_BL is None:
            return allowed_SS[None, None]
        kept_BS = attention_mask_BL.bool().repeat(1, 2 if with_clean else 1)
        itself_SS = torch.eye(len(allowed_SS), dtype=torch.bool, device=device)  # nobody reads nothing
        return (allowed_SS & kept_BS[:, None, None]) | itself_SS

    def _loss(self, logits_BLV: Tensor, labels_BL: Tensor) -> Tensor:
        if self.config.causal:
            logits_BLV, labels_BL = logits_BLV[:, :-1], labels_BL[:, 1:]
        return F.cross_entropy(logits_BLV.flatten(0, 1).float(), labels_BL.flatten())
