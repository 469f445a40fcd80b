"""Every backend that this machine has against the dense mask in float64: outputs and gradients."""

import pytest
import torch
from torch.nn.attention.flex_attention import flex_attention

from tests.gpu.learners import distance
from trainer.errors import TrainingError
from trainer.network import attention_flex
from trainer.network.attention import Layout, Recall, block_causal, dense, noised, recall_densely
from trainer.network.attention_flash import recall_by_flash
from trainer.network.backends import ATTENTION, attention_named, place_of

pytestmark = pytest.mark.gpu
BY_BLOCKS = [noised(128, 16), noised(96, 4), noised(64, 16, copies=3)]
CAUSAL_OR_FULL = [block_causal(127, 1), noised(128, 128), noised(64, 64, copies=2)]
ANY, MASKLESS = ("auto", "dense", "tiles", "flex"), ("unmasked", "flash")
LOW = pytest.param(torch.bfloat16, marks=pytest.mark.long)
ERROR = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


def on(device: torch.device, layout: Layout, dtype: torch.dtype) -> list[torch.Tensor]:
    """q, k and v of every token."""
    tokens = layout.num_noisy + layout.clean
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 2, tokens, 32, generator=generator).to(device, dtype) for _ in range(3)]


def skip_unless_there(backend: str, device: torch.device, dtype: torch.dtype) -> None:
    if backend == "flex":
        return  # its forward pass is everywhere
    try:
        attention_named(backend, place_of(torch.empty(0, device=device, dtype=dtype)))
    except TrainingError as error:
        pytest.skip(str(error))


CASES = [
    *[(backend, layout) for backend in ANY for layout in BY_BLOCKS],
    *[(backend, layout) for backend in ("auto", *MASKLESS) for layout in CAUSAL_OR_FULL],
]


@pytest.mark.parametrize("dtype", [torch.float32, LOW], ids=str)
@pytest.mark.parametrize(("backend", "layout"), CASES, ids=str)
def test_it_is_the_dense_mask(
    backend: str, layout: Layout, dtype: torch.dtype, device: torch.device, monkeypatch: pytest.MonkeyPatch
):
    """Of all rows, and of those that the last layer reads off."""
    skip_unless_there(backend, device, dtype)
    trains = device.type == "cuda" or backend != "flex"
    if not trains:
        monkeypatch.setattr(attention_flex, "compiled", lambda: flex_attention)
    for rows in {layout.num_noisy + layout.clean, layout.num_read}:
        if backend in MASKLESS and rows != layout.num_noisy + layout.clean:
            continue
        q, k, v = (each.requires_grad_(trains) for each in on(device, layout, dtype))
        found = ATTENTION[backend](q[:, :, :rows], k, v, layout)
        wide = [each.detach().double().cpu().requires_grad_() for each in (q, k, v)]
        expected = dense(*wide, layout)[:, :, :rows]
        assert distance(found.cpu(), expected) < ERROR[dtype]
        if trains:
            weight = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
            gradients = torch.autograd.grad((found * weight.to(found)).sum(), (q, k, v))
            theirs = torch.autograd.grad((expected * weight).sum(), wide)
            for one, other in zip(gradients, theirs, strict=True):
                assert distance(one.cpu(), other) < ERROR[dtype]


@pytest.mark.parametrize(
    "recall", [Recall(48, 16, 16, 128), Recall(0, 64, 16, 64), Recall(20, 8, 1, 24)], ids=str
)
def test_a_cache_is_read_as_by_the_dense_mask(recall: Recall, device: torch.device):
    skip_unless_there("flash", device, torch.bfloat16)
    q, k, v = on(device, noised(recall.stored + recall.new, recall.stored + recall.new), torch.bfloat16)
    q = q[:, :, recall.stored :]
    expected = recall_densely(*(each.double() for each in (q, k, v)), recall)
    assert distance(recall_by_flash(q, k, v, recall).cpu(), expected.cpu()) < ERROR[torch.bfloat16]
