"""The head's cross-entropy: whatever the logits are, and whatever the number of words."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.network.cross_entropy import CHUNK, WHOLE, in_pieces, linear_cross_entropy


@settings(max_examples=30, deadline=None)
@given(
    words=st.integers(2, 2 * WHOLE + 1),
    scale=st.sampled_from([0.1, 1.0, 30.0, 3000.0]),
    seed=st.integers(0, 99),
)
@pytest.mark.parametrize("differentiated", [True, False])
def test_it_is_torchs_however_far_the_logits_lie_apart(
    words: int, scale: float, seed: int, differentiated: bool
):
    """A probability that is 0 in float32 has a logarithm all the same; the mask's word is never likely."""
    generator = torch.Generator().manual_seed(seed)
    hidden, weight = torch.randn(7, 5, generator=generator), torch.randn(words, 5, generator=generator)
    hidden, weight = (scale * hidden).requires_grad_(differentiated), weight.requires_grad_(differentiated)
    bias = torch.randn(words, generator=generator)
    bias[-1] = -torch.inf
    target = torch.randint(0, words - 1, (7,), generator=generator)
    expected = torch.nn.functional.cross_entropy(
        torch.nn.functional.linear(hidden, weight, bias), target, reduction="none"
    )
    found = linear_cross_entropy(hidden, weight, bias, target, torch.ones(7))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6 * max(1.0, scale))
    if differentiated:
        ours, theirs = (torch.autograd.grad(each.sum(), (hidden, weight)) for each in (found, expected))
        for one, other in zip(ours, theirs, strict=True):
            assert (one - other).norm() <= 1e-5 * (1e-3 + other.norm())


@given(rows=st.integers(0, 5 * CHUNK))
def test_pieces_are_as_even_as_they_can_be(rows: int):
    pieces = [len(each) for each in in_pieces(torch.empty(rows))]
    assert sum(pieces) == rows
    assert max(pieces) <= CHUNK
    assert max(pieces) - min(pieces) <= 1
    assert len(pieces) == max(1, -(-rows // CHUNK))
