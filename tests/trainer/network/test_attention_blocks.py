"""Attention by blocks against the dense mask: outputs and gradients."""

from unittest.mock import patch

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.network import attention_blocks
from trainer.network.attention import Layout, dense, noised
from trainer.network.attention_blocks import blocks, plan_of

LAYOUTS = st.builds(
    lambda size, count, copies: noised(size * count, size, copies),
    size=st.integers(1, 5),
    count=st.integers(1, 6),
    copies=st.integers(1, 3),
)


@settings(max_examples=60, deadline=None)
@given(layout=LAYOUTS, last=st.booleans(), tile=st.sampled_from([1, 4, 7, 64]), seed=st.integers(0, 99))
def test_blocks_are_dense_attention(layout: Layout, last: bool, tile: int, seed: int):
    """Of whole passes and of a last layer's, in double precision: the same sums in another order."""
    generator = torch.Generator().manual_seed(seed)
    tokens = layout.num_noisy + layout.clean
    rows = layout.num_read if last else tokens
    # As the network hands them over: tokens before heads in memory.
    q, k, v = (
        torch.randn(2, tokens, 3, 4, generator=generator, dtype=torch.float64)
        .transpose(1, 2)
        .requires_grad_()
        for _ in range(3)
    )
    weight = torch.randn(2, 3, rows, 4, generator=generator, dtype=torch.float64)
    found = []
    with patch.object(attention_blocks, "TILE", tile):
        plan_of.cache_clear()
        for attend in (blocks, dense):
            o = attend(q[:, :, :rows], k, v, layout)
            found.append((o.detach(), *torch.autograd.grad((o * weight).sum(), (q, k, v))))
    plan_of.cache_clear()
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_scores_far_apart_have_no_nan():
    """Where one key takes all, the others' gradients are 0."""
    layout = noised(8, 4)
    tokens = layout.num_noisy + layout.clean
    q, k, v = (300 * torch.randn(3, 1, 1, tokens, 4, generator=torch.Generator().manual_seed(0))).unbind()
    q.requires_grad_()
    o = blocks(q, k, v, layout)
    torch.testing.assert_close(o, dense(q, k, v, layout))
    (gradient,) = torch.autograd.grad(o.sum(), q)
    assert gradient.isfinite().all()


def test_what_an_evaluation_made_serves_training():
    layout = noised(12, 4)
    plan_of.cache_clear()
    q = torch.randn(1, 1, layout.num_noisy + layout.clean, 4)
    with torch.inference_mode():
        blocks(q, q, q, layout)
    q.requires_grad_()
    blocks(q, q, q, layout).sum().backward()
    assert q.grad is not None
