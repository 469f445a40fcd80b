"""GELU and its derivative against torch's, in double precision and as the network computes."""

import pytest
import torch
import torch.nn.functional as F

from trainer.network.gelu import gelu


@pytest.mark.parametrize(
    ("dtype", "close"), [(torch.float64, 1e-12), (torch.float32, 2e-6), (torch.bfloat16, 0.0)], ids=str
)
def test_it_is_torchs(dtype: torch.dtype, close: float):
    """Far out too, where it is 0 or x. In bfloat16 it is torch's own."""
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
