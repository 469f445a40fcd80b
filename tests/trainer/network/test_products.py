"""A product in bfloat16 is the exact product of the rounded numbers, rounded, whoever computes it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.network import products
from trainer.network.products import attention_kernel, cast_linear, product

SIZES = st.integers(1, 40)
HALF_ULP = 2.0**-8  # relative: bfloat16 keeps 8 bits
SUMMED = 2.0**-20  # of float32, relative to the sum of absolute terms


def drawn(seed: int, *shapes: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def near(found: torch.Tensor, exact: torch.Tensor, terms: torch.Tensor) -> bool:
    """terms: the same of absolute values: what a sum's rounding is relative to."""
    assert found.dtype == torch.bfloat16
    return bool(((found.double() - exact).abs() <= HALF_ULP * exact.abs() + SUMMED * terms).all())


@pytest.fixture(params=[True, False], ids=["emulated", "torch's own"])
def emulated(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(products, "EMULATED", request.param)
    return bool(request.param)


@pytest.mark.parametrize("emulated", [True, False])
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), SIZES, SIZES, SIZES)
def test_a_product_is_the_exact_one_of_rounded_numbers(
    emulated: bool, seed: int, rows: int, inner: int, columns: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "EMULATED", emulated)
        a, b, weight, bias = drawn(seed, (rows, inner), (inner, columns), (columns, inner), (columns,))
        a, b = a.bfloat16(), b.bfloat16()
        assert near(product(a, b), a.double() @ b.double(), a.double().abs() @ b.double().abs())
        exact = [x.bfloat16().double() for x in (weight, bias)]
        mapped = torch.nn.functional.linear(a.double(), *exact)
        terms = torch.nn.functional.linear(a.double().abs(), *(x.abs() for x in exact))
        assert near(cast_linear(a, weight, bias), mapped, terms)


def test_gradients_are_those_of_the_instructions(emulated: bool) -> None:
    x, weight, pulled = drawn(3, (9, 16), (5, 16), (9, 5))
    x, pulled = x.bfloat16().requires_grad_(), pulled.bfloat16()
    weight.requires_grad_()
    cast_linear(x, weight).backward(pulled)
    rounded, out = weight.detach().bfloat16().double(), pulled.double()
    assert x.grad is not None
    assert weight.grad is not None
    assert near(x.grad, out @ rounded, out.abs() @ rounded.abs())
    assert weight.grad.dtype == torch.float32
    by_x = x.detach().double()
    assert near(weight.grad.bfloat16(), out.T @ by_x, out.T.abs() @ by_x.abs())


@pytest.mark.parametrize("causal", [True, False])
def test_attention_is_float32s_of_rounded_numbers(emulated: bool, causal: bool) -> None:
    q, k, v = (x.bfloat16() for x in drawn(4, (2, 2, 12, 8), (2, 2, 12, 8), (2, 2, 12, 8)))
    found = attention_kernel(q, k, v, is_causal=causal)
    exact = torch.nn.functional.scaled_dot_product_attention(
        *(x.double() for x in (q, k, v)), is_causal=causal
    )
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), exact, atol=2 * HALF_ULP, rtol=2 * HALF_ULP)


def test_float32_is_left_alone() -> None:
    x, weight, bias = drawn(5, (3, 4), (6, 4), (6,))
    assert torch.equal(cast_linear(x, weight, bias), torch.nn.functional.linear(x, weight, bias))
    assert torch.equal(product(x, weight.T), x @ weight.T)
