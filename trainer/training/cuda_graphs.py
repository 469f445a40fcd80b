"""Forward and backward as one CUDA graph, for batches so small that starting kernels is what takes the time.

A graph has fixed shapes: as many rows are read off as could be masked, those that are not with a charge of 0.
Times, masks and charges are drawn before it, AdamW and the moving average run after it: between the two, a
step that diverged is stopped before it touches the weights.
Shapes: B batch, L length, N blocks, M rows that could be masked.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from trainer.config.train_config import TrainConfig
from trainer.errors import is_of_memory
from trainer.network.attention import noised
from trainer.network.captures import capturing, holding
from trainer.network.cross_entropy import summed_cross_entropy
from trainer.network.model import Denoiser
from trainer.objectives.diffusion import Diffusion
from trainer.settings.blocks import FixedBlocks
from trainer.settings.phase import Phase

SMALL = 2**13  # tokens of a batch (B * L), up to which a graph is captured
WARM_UP = 3  # steps before the capture, as torch asks


def padded_loss(
    model: Denoiser, x0_BL: Tensor, xt_BL: Tensor, masked_BL: Tensor, charge_BN: Tensor, block_size: int
) -> Tensor:
    """The mean that diffusion_loss has over the scored tokens, by shapes that do not depend
    on what is masked.
    """
    batch, length = x0_BL.shape
    scored = batch * (length - 1)
    layout = noised(length, block_size)
    tokens_BS = torch.cat([xt_BL, x0_BL[:, : layout.clean]], dim=1)
    chosen_M = torch.nonzero_static(masked_BL.flatten(), size=scored, fill_value=0).squeeze(1)
    masked_M = torch.arange(scored, device=x0_BL.device) < masked_BL.sum()
    charge_BL = charge_BN.repeat_interleave(length // charge_BN.shape[1], dim=1)
    charge_M = charge_BL.flatten().index_select(0, chosen_M) * masked_M
    hidden_MD = model.hidden(tokens_BS, layout, chosen_M)
    target_M = x0_BL.flatten().index_select(0, chosen_M)
    return summed_cross_entropy(*model.head(hidden_MD), target_M, charge_M) / scored


def pads(config: TrainConfig, phase: Phase) -> bool:
    """Whether the loss is the one that `padded_loss` pads: block diffusion's and MDLM's, of the whole batch
    at once, of one block size and one mask a sequence, without an AR term."""
    padded = type(config.objective).drawn_loss is Diffusion.drawn_loss and config.accumulate == 1
    return padded and not (phase.ar_weight or phase.complementary) and phase.blocks == FixedBlocks()


def captures(config: TrainConfig, phase: Phase, device: torch.device) -> bool:
    """On a GPU, where asked for, else where the batch is small: if the loss can be padded."""
    if device.type != "cuda" or not pads(config, phase):
        return False
    small = phase.batch_size * config.data.length <= SMALL
    return config.compute.graph == "step" or (config.compute.graph == "auto" and small)


class CapturedStep:
    """Leaves gradients where they always are; x0_BL and what was drawn are copied to the graph's own."""

    def __init__(self, model: Denoiser, phase: Phase, clip_norm: float):
        self._model, self._block_size, self._clip_norm = model, phase.block_size, clip_norm
        self._replay: Callable[[], None] | None = None

    def __call__(self, x0_BL: Tensor, drawn: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """The loss and the norm of the gradients, which are clipped."""
        if self._replay is None:
            self._capture(x0_BL, drawn)
        for own, given in zip(self._given, (x0_BL, *drawn), strict=True):
            own.copy_(given)
        assert self._replay is not None
        self._replay()
        return self._found

    def _capture(self, x0_BL: Tensor, drawn: tuple[Tensor, ...]) -> None:
        self._given = tuple(each.clone() for each in (x0_BL, *drawn))
        self._replay, self._found = captured(self._step, x0_BL.device)

    def _step(self) -> tuple[Tensor, Tensor]:
        self._model.zero_grad(set_to_none=True)
        x0_BL, xt_BL, masked_BL, _, charge_BN = self._given
        loss = padded_loss(self._model, x0_BL, xt_BL, masked_BL, charge_BN, self._block_size)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._clip_norm, foreach=True)
        return loss.detach(), norm


class CaptureFailed(RuntimeError):
    """And with it the process: torch's allocator believes for ever that the capture goes on."""


def captured(
    step: Callable[[], tuple[Tensor, Tensor]], device: torch.device
) -> tuple[Callable[[], None], tuple[Tensor, Tensor]]:
    """What computes the step again from what then lies in its tensors, and where it leaves its results.

    Raises CaptureFailed."""
    with torch.cuda.device(device), holding() as held:  # streams are the current device's
        state = torch.cuda.get_rng_state()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                step()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        try:
            # Of this thread alone: others of the process may evaluate on the card meanwhile.
            with capturing(), torch.cuda.graph(graph, capture_error_mode="thread_local"):
                found = step()
        except RuntimeError as error:
            if is_of_memory(error):
                raise
            # Where the capture was lost, its end raises over what was raised within.
            said = str(error.__context__ or error).strip().splitlines() or [""]
            raise CaptureFailed(
                f"the capture of a CUDA graph failed ({said[0]}); with compute.graph: off there is none"
            ) from error
        torch.cuda.set_rng_state(state)
    return partial(_replay, graph, held), found


def _replay(graph: torch.cuda.CUDAGraph, held: list[Any]) -> None:
    """held: what it reads beside its own."""
    graph.replay()
