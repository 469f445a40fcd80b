"""Loss and gradients on a GPU: in float32 the CPU's, in bfloat16 those of float32 to a stated error."""

import pytest
import torch

from tests.gpu.learners import CASES, distance, learner_of, loss_and_gradients, tokens_for

pytestmark = pytest.mark.gpu
CPU = torch.device("cpu")


@pytest.mark.parametrize(("objective", "block_size"), CASES)
def test_float32_is_float32(objective: str, block_size: int, device: torch.device):
    """No TF32, whose products are off by 3e-4."""
    here, there = (learner_of(each, objective, block_size) for each in (device, CPU))
    loss, gradients = loss_and_gradients(here, tokens_for(here))
    expected_loss, expected = loss_and_gradients(there, tokens_for(there))
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert distance(gradients, expected) < 2e-5


@pytest.mark.parametrize(("objective", "block_size"), CASES)
def test_bfloat16_is_near_float32(objective: str, block_size: int, device: torch.device):
    """The loss to 1%, all gradients as one vector to 2%."""
    low, full = (
        learner_of(device, objective, block_size, compute__precision=each) for each in ("bfloat16", "float32")
    )
    loss, gradients = loss_and_gradients(low, tokens_for(low))
    expected_loss, expected = loss_and_gradients(full, tokens_for(full))
    assert low.model.dtype == torch.bfloat16
    assert loss == pytest.approx(expected_loss, rel=1e-2)
    assert 0 < distance(gradients, expected) < 2e-2
