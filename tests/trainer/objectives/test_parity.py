"""The public code's numbers, dumped once from its own network: logits, losses and gradients."""

import json
import math
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from tests.reference.attention import mask
from trainer.network.attention import block_causal, noised
from trainer.network.dit import DiT
from trainer.network.model import Shape
from trainer.network.score import sigma_of
from trainer.objectives.autoregressive import Autoregressive
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.diffusion_loss import masked_cross_entropy
from trainer.objectives.score_entropy_loss import score_entropy

SHARED = Path(os.environ.get("SHARED", Path(__file__).parents[4] / "shared"))
FOLDER = SHARED / "parity"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no public numbers in {FOLDER}")


class Fixture:
    def __init__(self, algorithm: str):
        with safe_open(FOLDER / f"nano_{algorithm}_L32_V101.safetensors", "pt") as file:
            self.tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            metadata = {name: json.loads(text) for name, text in file.metadata().items()}
        self.settings, self.grad_norms = metadata["config"], metadata["train_grad_norms"]
        self.loss_t = {float(t): loss for t, loss in metadata.get("loss_t", {}).items()}
        prefix = "state_dict."
        weights = {n.removeprefix(prefix): w for n, w in self.tensors.items() if n.startswith(prefix)}
        vocab_size, width = weights["vocab_embed.embedding"].shape
        causal = algorithm == "ar"
        cond_width = 1 if causal else len(weights["sigma_map.mlp.0.bias"])
        shape = Shape(
            width=width,
            layers=sum(name.endswith("norm1.weight") for name in weights),
            heads=width // (2 * len(weights["rotary_emb.inv_freq"])),
            cond_width=cond_width,
            length=self.settings["length"],
            vocab_size=vocab_size,
            mask_id=self.settings["mask_index"],
        )
        self.model = DiT(shape, causal=causal, dropout=0.0).eval()
        self.model.load_state_dict(weights, strict=True)
        self.words = torch.arange(vocab_size) != shape.mask_id

    def nats(self, xt_BL: torch.Tensor) -> torch.Tensor:
        x0_BL, masked_BL = self.tensors["x0"], xt_BL == self.settings["mask_index"]
        block_size = self.settings["block_size"]
        nats_M = masked_cross_entropy(self.model, x0_BL, xt_BL[:, None], masked_BL[:, None], block_size)
        return torch.zeros(x0_BL.shape).masked_scatter(masked_BL, nats_M)

    def check_gradients(self, loss: torch.Tensor) -> None:
        self.model.zero_grad()
        loss.backward()
        norms = {name: p.grad.norm().item() for name, p in self.model.named_parameters()}
        assert norms == pytest.approx(self.grad_norms, rel=1e-4)


@pytest.mark.parametrize("algorithm", ["bd3lm", "mdlm"])
def test_diffusion(algorithm):
    public = Fixture(algorithm)
    tensors, length, block_size = public.tensors, public.settings["length"], public.settings["block_size"]
    layout_tokens = torch.cat([tensors["xt"], tensors["x0"][:, : length - block_size]], dim=1)

    logits = public.model.logits(public.model.hidden(layout_tokens, noised(length, block_size)))
    torch.testing.assert_close(
        logits[..., public.words], tensors["raw_logits"][..., public.words], atol=1e-5, rtol=0
    )
    masked = tensors["xt"] == public.settings["mask_index"]
    log_probs = logits.log_softmax(-1)[masked][:, public.words]
    torch.testing.assert_close(log_probs, tensors["log_probs"][masked][:, public.words], atol=1e-5, rtol=0)

    scored = tensors["token_mask"]
    loss = (public.nats(tensors["xt"]) / tensors["t"] * scored).sum() / scored.sum()
    assert loss.item() == pytest.approx(tensors["loss"].item(), rel=1e-6)
    public.check_gradients(loss)


@pytest.mark.parametrize("algorithm", ["bd3lm", "mdlm"])
def test_loss_at_fixed_times(algorithm):
    public = Fixture(algorithm)
    x0, scored = public.tensors["x0"], public.tensors["token_mask"]
    assert set(public.loss_t) == {0.1, 0.3, 0.5, 0.8, 1.0}
    for t, expected in public.loss_t.items():
        xt = torch.where((public.tensors["u"] <= t) & (scored > 0), public.settings["mask_index"], x0)
        loss = (public.nats(xt) / t * scored).sum() / scored.sum()
        assert loss.item() == pytest.approx(expected, rel=1e-6), t


def test_autoregressive():
    public = Fixture("ar")
    x0 = public.tensors["x0"]
    logits = public.model.logits(public.model.hidden(x0[:, :-1], block_causal(x0.shape[1] - 1, 1)))
    expected = public.tensors["raw_logits"]
    torch.testing.assert_close(logits[..., public.words], expected[..., public.words], atol=1e-5, rtol=0)
    nats = Autoregressive().bound(public.model, x0, 1, 1, [0, 1])
    torch.testing.assert_close(nats[:, 1:].float(), public.tensors["nlls"], atol=1e-5, rtol=0)
    loss = Autoregressive().loss(public.model, x0, None, 0.0, torch.Generator())
    mean = loss.loss_BL.sum() / loss.scored_BL.sum()
    assert mean.item() == pytest.approx(public.tensors["loss"].item(), rel=1e-6)
    public.check_gradients(mean)


def test_score_entropy():
    """The public loss is dsigma * [...], dsigma = expm1(sigma) / t; ours times p' / p = 1 / t is the same."""
    public = Fixture("sedd")
    tensors, length = public.tensors, public.settings["length"]
    sigma_B, p_B = tensors["sigma"].squeeze(1), tensors["t"][:, 0]
    torch.testing.assert_close(sigma_of(p_B), sigma_B, atol=1e-6, rtol=0)
    hidden = public.model.hidden(tensors["xt"], noised(length, length), sigma_B=sigma_B)
    logits = public.model.logits(hidden, tensors["sigma"])
    expected = tensors["raw_logits"]
    torch.testing.assert_close(logits[..., public.words], expected[..., public.words], atol=1e-5, rtol=0)

    masked = tensors["xt"] == public.settings["mask_index"]
    log_score = logits - sigma_B.expm1().log()[:, None, None] - math.log(logits.shape[-1] - 1)
    torch.testing.assert_close(
        log_score[masked][:, public.words], tensors["log_score"][masked][:, public.words], atol=1e-5, rtol=0
    )
    scored = tensors["mask"]
    nats_M = score_entropy(public.model, tensors["x0"], tensors["xt"], masked, p_B)
    nats = torch.zeros(masked.shape).masked_scatter(masked, nats_M) / tensors["t"]
    torch.testing.assert_close(nats * scored, tensors["nlls"] * scored, atol=1e-4, rtol=1e-5)
    loss = (nats * scored).sum() / scored.sum()
    assert loss.item() == pytest.approx(tensors["loss"].item(), rel=1e-6)
    public.check_gradients(loss)


def test_mask_and_sampling():
    public = Fixture("bd3lm")
    length, block_size = public.settings["length"], public.settings["block_size"]
    assert torch.equal(mask(length, block_size), public.tensors["attn_mask"])
    hidden = public.model.hidden(public.tensors["x0"], block_causal(length, block_size))
    expected = public.tensors["sample_mode_logits"]
    logits = public.model.logits(hidden)
    torch.testing.assert_close(logits[..., public.words], expected[..., public.words], atol=1e-5, rtol=0)
    decoder = BlockDiffusion().decoder(public.model, block_size)
    decoder.append(public.tensors["x0"][:, :-block_size])
    block_BP = public.tensors["x0"][:, -block_size:]
    last = decoder.hidden(block_BP, torch.ones_like(block_BP, dtype=torch.bool), 1.0)
    found = decoder.logits(last, 1.0).view_as(logits[:, -block_size:])
    torch.testing.assert_close(found, logits[:, -block_size:], atol=1e-5, rtol=0)
