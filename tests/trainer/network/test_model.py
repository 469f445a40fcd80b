import math

import pytest
import torch

from tests.reference import attention as slow
from tests.reference.model import logits as slow_logits
from tests.trainer.networks import network
from trainer.network.attention import Layout, block_causal, dense, dense_mask, noised
from trainer.network.dit import DiT
from trainer.network.model import Shape, evaluating
from trainer.objectives.autoregressive import Autoregressive
from trainer.objectives.block_diffusion import BlockDiffusion

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("causal", "entries", "parameters"), [(False, 91, 22_816_442), (True, 69, 21_963_834)]
)
def test_tiny_is_the_public_network(causal, entries, parameters):
    with torch.device("meta"):
        model = DiT(Shape(256, 8, 8, 64, 128, 30_522, 103), causal=causal, dropout=0.1)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert len(shapes) == entries
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert shapes["rotary_emb.inv_freq"] == (16,)
    assert shapes["blocks.7.mlp.2.weight"] == (256, 1024)
    assert ("sigma_map.mlp.2.bias" in shapes) != causal
    assert ("output_layer.adaLN_modulation.weight" in shapes) != causal


def test_fresh_network_is_uniform_over_the_words_without_the_mask():
    torch.manual_seed(0)
    model = BlockDiffusion().build(Shape(16, 2, 2, 8, 8, 11, 10), 0.0)
    tokens = torch.randint(0, 10, (2, 12))
    probs = model.logits(model.hidden(tokens, noised(8, 4))).softmax(-1)
    assert torch.equal(probs[..., 10], torch.zeros(2, 8))
    torch.testing.assert_close(probs[..., :10], torch.full((2, 8, 10), 0.1))


def test_weights_come_from_the_global_seed():
    def weights(seed):
        torch.manual_seed(seed)
        return BlockDiffusion().build(Shape(16, 1, 2, 8, 8, 11, 10), 0.0).state_dict()

    one, same, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["vocab_embed.embedding"], other["vocab_embed.embedding"])
    embedding = one["vocab_embed.embedding"]  # kaiming_uniform, a = sqrt 5: within 1 / sqrt(fan_in)
    assert 0.8 / math.sqrt(16) < embedding.abs().max() <= 1 / math.sqrt(16)


@pytest.mark.parametrize("block_size", [1, 2, 4, 8])
def test_mask_is_the_rule_spelled_out(block_size):
    length, clean = 8, 8 - block_size
    kept = torch.tensor([*range(length), *range(length, length + clean)])
    expected = slow.mask(length, block_size)
    assert torch.equal(dense_mask(noised(length, block_size), CPU), expected[kept][:, kept])
    assert not expected[:length, length + clean :].any(), "a noisy token reads the last clean block"
    assert torch.equal(dense_mask(block_causal(length, block_size), CPU), expected[length:, length:])


@pytest.mark.parametrize(
    "layout", [noised(8, 4), noised(8, 2, copies=3), noised(8, 8, copies=2), block_causal(8, 2)]
)
@pytest.mark.parametrize("last", [False, True])
def test_dense_attention_equals_the_slow_one(layout: Layout, last):
    torch.manual_seed(0)
    size = layout.num_noisy + layout.clean
    q, k, v = torch.randn(3, 2, 2, size, 4).unbind(0)
    allowed = torch.zeros(size, size, dtype=torch.bool)
    single = dense_mask(layout, CPU)
    clean = torch.arange(layout.num_noisy, size)
    for copy in range(layout.copies):
        own = torch.cat([torch.arange(layout.noisy) + copy * layout.noisy, clean])
        allowed[own[:, None], own] = single
    rows = layout.num_read if last else size
    out = dense(q[:, :, :rows], k, v, layout)
    torch.testing.assert_close(out, slow.attend(q, k, v, allowed)[:, :, :rows], atol=1e-6, rtol=1e-5)


def test_mask_made_in_inference_mode_serves_training():
    dense_mask.cache_clear()
    model = network()
    tokens = torch.randint(0, 10, (2, 12))
    with torch.inference_mode():
        model.hidden(tokens, noised(8, 4))
    assert not dense_mask(noised(8, 4), CPU).is_inference()
    model.hidden(tokens, noised(8, 4)).sum().backward()


@pytest.mark.parametrize("block_size", [1, 2, 8])
def test_network_equals_the_slow_one(block_size):
    model = network()
    x0, xt = torch.randint(0, 10, (3, 8)), torch.randint(0, 11, (3, 8))
    expected = slow_logits(
        model.state_dict(), 2, torch.cat([xt, x0], 1), torch.arange(8).repeat(2), slow.mask(8, block_size)
    )[:, :8]
    layout = noised(8, block_size)
    tokens = torch.cat([xt, x0[:, : layout.clean]], 1)
    torch.testing.assert_close(model.logits(model.hidden(tokens, layout))[..., :10], expected[..., :10])
    chosen = torch.tensor([1, 5, 6, 23])
    got = model.logits(model.hidden(tokens, layout, chosen))
    torch.testing.assert_close(got[:, :10], expected.flatten(0, 1)[chosen, :10])


def test_causal_network_equals_the_slow_one():
    model = network(Autoregressive())
    tokens = torch.randint(0, 10, (3, 8))
    mask = torch.ones(8, 8, dtype=torch.bool).tril()
    expected = slow_logits(model.state_dict(), 2, tokens, torch.arange(8), mask)
    got = model.logits(model.hidden(tokens, block_causal(8, 1)))
    torch.testing.assert_close(got[..., :10], expected[..., :10])


def test_dropout_acts_in_training_alone():
    model = network(dropout=0.5)
    tokens = torch.randint(0, 10, (2, 12))

    def hidden(seed):
        torch.manual_seed(seed)
        return model.hidden(tokens, noised(8, 4))

    model.train()
    assert torch.equal(hidden(0), hidden(0)), "dropout must follow torch's global seed"
    assert not torch.equal(hidden(0), hidden(1))
    with evaluating(model):
        assert torch.equal(hidden(0), hidden(1))
        assert not hidden(0).requires_grad
    assert model.training
