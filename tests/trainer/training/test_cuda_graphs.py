"""The form of a step that a CUDA graph captures: equal to the other, and of shapes that do not vary. The
capture itself: tests/gpu/test_graphs_on_gpu.py."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.networks import network
from trainer.config.train_config import TrainConfig
from trainer.network.attention import dense, dense_mask, noised
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.diffusion_loss import diffusion_loss
from trainer.training.cuda_graphs import SMALL, captures, padded_loss

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@settings(max_examples=25, deadline=None)
@given(
    block_size=st.sampled_from([1, 2, 4, 8]),
    batch=st.integers(1, 3),
    chance=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 99),
)
def test_padding_changes_no_loss_and_no_gradient(block_size: int, batch: int, chance: float, seed: int):
    """Nothing masked and everything masked among them."""
    model = network(length=8).double().train()
    generator = torch.Generator().manual_seed(seed)
    x0 = torch.randint(0, 10, (batch, 8), generator=generator)
    masked = torch.rand(batch, 8, generator=generator) < chance
    masked[:, 0] = False
    xt = torch.where(masked, model.shape.mask_id, x0)
    charge = torch.rand(batch, 8 // block_size, generator=generator).double() * 5
    losses = diffusion_loss(model, x0, xt, masked, charge, block_size=block_size)
    expected = losses.loss_BL.sum() / losses.scored_BL.sum()
    found = padded_loss(model, x0, xt, masked, charge, block_size)
    torch.testing.assert_close(found, expected)
    weights = list(model.parameters())
    for one, other in zip(
        torch.autograd.grad(found, weights), torch.autograd.grad(expected, weights), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_its_shapes_do_not_depend_on_the_masks():
    """By every operation that it runs, forward and backward."""
    model, shapes = network(length=8).train(), []
    model.attention = dense  # what a GPU takes for a pass as short
    dense_mask(noised(8, 4), torch.device("cpu"))  # made once for a layout
    for chance in (0.1, 0.9):
        masked = torch.rand(2, 8, generator=torch.Generator().manual_seed(0)) < chance
        masked[:, 0] = False
        x0 = torch.ones(2, 8, dtype=torch.long)
        seen = Shapes()
        with seen:
            padded_loss(model, x0, x0, masked, torch.ones(2, 2), 4).backward()
        shapes.append(seen.shapes)
        model.zero_grad()
    assert len(shapes[0]) > 100
    assert shapes[0] == shapes[1]


class Shapes(torch.utils._python_dispatch.TorchDispatchMode):
    """Of the results, in order. A value that is asked for by the CPU would make a graph impossible."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[str, tuple[int, ...]]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function is not torch.ops.aten._local_scalar_dense.default
        assert function is not torch.ops.aten.nonzero.default
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.shapes.append((str(function), tuple(result.shape)))
        return result


def config_of(**changes) -> TrainConfig:
    return TrainConfig.from_dotted({name.replace("__", "."): value for name, value in changes.items()})


@pytest.mark.parametrize(
    ("changes", "device", "expected"),
    [
        ({}, CPU, False),
        ({"compute__graph": "step"}, CPU, False),
        ({}, GPU, True),
        ({"objective__name": "mdlm"}, GPU, True),
        ({"objective__name": "ar"}, GPU, False),
        ({"objective__name": "sedd"}, GPU, False),
        ({"compute__graph": "off"}, GPU, False),
        ({"accumulate": 2}, GPU, False),
        ({"finetune__batch_size": SMALL}, GPU, False),
        ({"finetune__batch_size": SMALL, "compute__graph": "step"}, GPU, True),
    ],
)
def test_where_a_graph_is_captured(changes: dict, device: torch.device, expected: bool):
    config = config_of(**changes)
    assert captures(config, config.finetune, device) is expected


def test_another_loss_than_the_padded_one_is_not_captured():
    class Other(BlockDiffusion):
        def drawn_loss(self, *given):
            return super().drawn_loss(*given)

    config = config_of()
    assert captures(config, config.finetune, GPU)
    other = config.model_copy(update={"objective": Other()})
    assert not captures(other, config.finetune, GPU)
