"""A training step as the public code writes it: what is faster, and equal, is measured against it.

Dense mask over 2L, adaLN for every sequence in every layer, a logit for every row of both halves and every
word, SUBS by assignment, AdamW and the moving average one parameter after the other. The kernels are torch's.
Shapes: B batch, L length, S tokens of a pass, D width, H heads, K head size, C width of the condition.
"""

import copy

import torch
import torch.nn.functional as F

from tests.reference.attention import mask
from trainer.training.learner import Learner

NEVER = -1_000_000.0


class Step:
    """Starts from a learner's weights; keeps its own, its own moving average and moments."""

    def __init__(self, learner: Learner, length: int, block_size: int | None):
        """block_size None: AR."""
        self.weights = {
            name: p.detach().clone().requires_grad_() for name, p in learner.model.named_parameters()
        }
        self.average = copy.deepcopy({name: p.detach() for name, p in self.weights.items()})
        self.inv_freq = learner.model.rotary_emb.inv_freq
        self.heads, self.mask_id = learner.model.shape.heads, learner.model.shape.mask_id
        self.layers = learner.model.shape.layers
        settings = learner.config.optimizer
        self.ema, self.clip_norm = settings.ema, settings.clip_norm
        self.optimizer = torch.optim.AdamW(
            self.weights.values(),
            lr=1e-3,
            betas=(settings.beta1, settings.beta2),
            eps=settings.eps,
            weight_decay=settings.weight_decay,
            foreach=False,
        )
        self.length = length
        if block_size is None:
            self.mask_SS = torch.ones(length - 1, length - 1, dtype=torch.bool).tril()
            self.positions_S = torch.arange(length - 1)
        elif block_size == length:
            self.mask_SS = torch.ones(length, length, dtype=torch.bool)
            self.positions_S = torch.arange(length)
        else:
            self.mask_SS = mask(length, block_size)
            self.positions_S = torch.arange(length).repeat(2)

    def take(
        self, x0_BL: torch.Tensor, xt_BL: torch.Tensor, charge_BL: torch.Tensor, lr: float, step: int
    ) -> float:
        """One optimizer step, the first being 1; the loss. charge_BL: weight times loss_scale.

        AR reads x0_BL alone.
        """
        self.optimizer.zero_grad()
        loss = self.loss(x0_BL, xt_BL, charge_BL)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights.values(), self.clip_norm, foreach=False)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        decay = min(self.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, parameter in self.weights.items():
                self.average[name].sub_((1 - decay) * (self.average[name] - parameter))
        return loss.item()

    def loss(self, x0_BL: torch.Tensor, xt_BL: torch.Tensor, charge_BL: torch.Tensor) -> torch.Tensor:
        """The mean objective over the L - 1 tokens behind BOS."""
        count = len(x0_BL) * (self.length - 1)
        if "sigma_map.mlp.0.weight" not in self.weights:
            logits = self.logits(x0_BL[:, :-1])
            logits[..., self.mask_id] += NEVER
            return F.cross_entropy(logits.flatten(0, 1), x0_BL[:, 1:].flatten(), reduction="sum") / count
        doubled = len(self.positions_S) == 2 * self.length
        logits = self.logits(torch.cat([xt_BL, x0_BL], dim=1) if doubled else xt_BL)[:, : self.length]
        logits[..., self.mask_id] += NEVER
        log_probs = logits - torch.logsumexp(logits, dim=-1, keepdim=True)
        unmasked = xt_BL != self.mask_id
        log_probs[unmasked] = NEVER
        log_probs[unmasked, xt_BL[unmasked]] = 0
        nats_BL = -log_probs.gather(-1, x0_BL[..., None]).squeeze(-1)
        return (nats_BL * charge_BL).sum() / count

    def logits(self, tokens_BS: torch.Tensor) -> torch.Tensor:
        """logits_BSV of every row."""
        w = self.weights
        x = w["vocab_embed.embedding"][tokens_BS]
        condition = self._condition(len(x))
        for i in range(self.layers):
            own = f"blocks.{i}."
            shift1, scale1, gate1, shift2, scale2, gate2 = self._modulation(own, condition, 6, x)
            h = self._norm(x, w[f"{own}norm1.weight"]) * (1 + scale1) + shift1
            qkv = F.linear(h, w[f"{own}attn_qkv.weight"]).unflatten(-1, (3, self.heads, -1))
            q, k, v = (each.transpose(1, 2) for each in qkv.unbind(2))
            o = F.scaled_dot_product_attention(self._rotate(q), self._rotate(k), v, attn_mask=self.mask_SS)
            x = x + gate1 * F.linear(o.transpose(1, 2).flatten(2), w[f"{own}attn_out.weight"])
            h = self._norm(x, w[f"{own}norm2.weight"]) * (1 + scale2) + shift2
            h = F.gelu(F.linear(h, w[f"{own}mlp.0.weight"], w[f"{own}mlp.0.bias"]), approximate="tanh")
            x = x + gate2 * F.linear(h, w[f"{own}mlp.2.weight"], w[f"{own}mlp.2.bias"])
        shift, scale = self._modulation("output_layer.", condition, 2, x)
        h = self._norm(x, w["output_layer.norm_final.weight"]) * (1 + scale) + shift
        return F.linear(h, w["output_layer.linear.weight"], w["output_layer.linear.bias"])

    def _condition(self, batch: int) -> torch.Tensor | None:
        """condition_BC of sigma = 0; None for AR."""
        w = self.weights
        if "sigma_map.mlp.0.weight" not in w:
            return None
        sinusoids = torch.tensor([[1.0] * 128 + [0.0] * 128] * batch, device=self.inv_freq.device)
        h = F.silu(F.linear(sinusoids, w["sigma_map.mlp.0.weight"], w["sigma_map.mlp.0.bias"]))
        return F.silu(F.linear(h, w["sigma_map.mlp.2.weight"], w["sigma_map.mlp.2.bias"]))

    def _modulation(self, own: str, condition_BC: torch.Tensor | None, parts: int, x: torch.Tensor):
        if condition_BC is None:
            return (0.0, 0.0, 1.0, 0.0, 0.0, 1.0)[:parts]
        weight, bias = (self.weights[f"{own}adaLN_modulation.{part}"] for part in ("weight", "bias"))
        return F.linear(condition_BC, weight, bias)[:, None].split(x.shape[-1], dim=-1)

    @staticmethod
    def _norm(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, x.shape[-1:], eps=1e-5) * weight

    def _rotate(self, x_BHSK: torch.Tensor) -> torch.Tensor:
        angles = self.positions_S[:, None] * self.inv_freq
        cos_SK, sin_SK = torch.cat([angles, angles], -1).cos(), torch.cat([angles, angles], -1).sin()
        first, second = x_BHSK.chunk(2, dim=-1)
        return x_BHSK * cos_SK + torch.cat([-second, first], dim=-1) * sin_SK
