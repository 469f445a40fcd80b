"""GELU and its derivative against torch's, in double precision and as the network computes."""

from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.network import gelu as module
from trainer.network.gelu import gelu


@pytest.mark.parametrize(
    ("dtype", "close"), [(torch.float64, 1e-12), (torch.float32, 2e-6), (torch.float16, 0.0)], ids=str
)
def test_it_is_torchs(dtype: torch.dtype, close: float):
    """Far out too, where it is 0 or x. In float16 it is torch's own."""
    x = torch.cat([torch.linspace(-12, 12, 4001), torch.tensor([-1e4, 0.0, 1e4])]).to(dtype).requires_grad_()
    found, expected = gelu(x), F.gelu(x, approximate="tanh")
    torch.testing.assert_close(found, expected, rtol=close, atol=close)
    (ours,), (theirs,) = (torch.autograd.grad(each.sum(), x) for each in (found, expected))
    torch.testing.assert_close(ours, theirs, rtol=close, atol=close)
    with torch.no_grad():
        torch.testing.assert_close(gelu(x), expected, rtol=close, atol=close)


def test_gradients_are_as_close_as_float32_is():
    """Of many numbers, as one vector, to the same in double precision."""
    x = torch.randn(10_000, generator=torch.Generator().manual_seed(0))
    d_y = torch.randn(10_000, generator=torch.Generator().manual_seed(1))
    exact, own = x.double().requires_grad_(), x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(F.gelu(exact, approximate="tanh"), exact, d_y.double())
    (found,) = torch.autograd.grad(gelu(own), own, d_y)
    assert (found - expected).norm() <= 3e-7 * expected.norm()


@pytest.mark.parametrize("grad", [False, True])
def test_bfloat16_is_rounded_once(grad: bool):
    """The value is the nearest there is, the derivative too; its product with a gradient is rounded again."""
    half_a_place = 2.0**-8
    x = torch.linspace(-12, 12, 4001).bfloat16().requires_grad_(grad)
    exact = x.detach().double().requires_grad_()
    expected = F.gelu(exact, approximate="tanh")
    found = gelu(x)
    torch.testing.assert_close(found.double(), expected, rtol=half_a_place * 1.001, atol=1e-6)
    if grad:
        ones, several = torch.ones_like(x), torch.linspace(0.5, 3, len(x)).bfloat16()
        for d_y, places in ((ones, 1.001), (several, 2.002)):
            (slope,) = torch.autograd.grad(found, x, d_y, retain_graph=True)
            (exact_slope,) = torch.autograd.grad(expected, exact, d_y.double(), retain_graph=True)
            torch.testing.assert_close(slope.double(), exact_slope, rtol=places * half_a_place, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(
    shape=st.lists(st.integers(0, 30), min_size=1, max_size=3),
    piece=st.integers(1, 4),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    seed=st.integers(0, 99),
)
def test_pieces_change_no_bit(shape: list[int], piece: int, dtype: torch.dtype, seed: int):
    """However many vectors of a processor are taken at once, laid out however."""
    generator = torch.Generator().manual_seed(seed)
    x, d_y = torch.randn(2, *shape, generator=generator).to(dtype).unbind()
    if len(shape) > 1:
        x = x.mT
        d_y = d_y.mT
    x.requires_grad_()
    found = []
    for numbers in (64 * piece, 2**18):
        with patch.object(module, "PIECE", numbers):
            y = gelu(x)
            with torch.no_grad():
                assert torch.equal(gelu(x), y)
            found.append((y, *torch.autograd.grad(y, x, d_y)))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
        assert one.shape == x.shape
