"""The network, its moving average and AdamW, and how one step moves them. B batch, L length."""

import copy
import math
from collections.abc import Mapping
from typing import NamedTuple

import torch

from trainer.config.network import network_of
from trainer.config.train_config import TrainConfig
from trainer.errors import TrainingError
from trainer.network.ema import MovingAverage
from trainer.network.hardware import pick_device
from trainer.network.model import Shape
from trainer.network.seeded import seeded
from trainer.randomness import seed_of
from trainer.settings.phase import Phase
from trainer.training.adamw import AdamW
from trainer.training.cuda_graphs import CapturedStep, captures


class Step(NamedTuple):
    """What one step of one run is made of."""

    x0_BL: torch.Tensor  # on the CPU
    phase: Phase  # with the interval of time in force
    name: str  # of the phase
    number: int  # from 1, over the run
    of_phase: int  # from 1, within the phase


class Learner:
    """Everything a checkpoint holds as tensors; the names are those of the checkpoint."""

    def __init__(self, config: TrainConfig, shape: Shape, device: torch.device):
        """Weights come from the config's seed, the same on every device."""
        self.config = config
        self.device = device
        with seeded(seed_of(config.seed, "weights")):
            self.model = network_of(config, shape, device)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self._graph: CapturedStep | None = None
        self._ema = MovingAverage(self.model, self.average, config.optimizer.ema)
        settings = config.optimizer
        group = {
            "params": self.model.parameters(),
            "betas": (settings.beta1, settings.beta2),
            "eps": settings.eps,
            "weight_decay": settings.weight_decay,
        }
        self.optimizer = AdamW([group])

    def take_step(self, step: Step) -> tuple[float, float]:
        """The mean objective per scored token, and the gradient's norm before clipping.

        Raises TrainingError where the run diverges, the weights being untouched then.
        """
        x0_BL, phase, seed = step.x0_BL.to(self.device), step.phase, self.config.seed
        generator = torch.Generator().manual_seed(seed_of(seed, step.name, "masks", step.of_phase))
        progress = progress_of(phase, step.of_phase)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(phase, step.of_phase)

        if not self.model.training:
            self.model.train()
        gradients = self._captured if captures(self.config, phase, self.device) else self._gradients
        if self.config.model.dropout:
            with seeded(seed_of(seed, step.name, "dropout", step.of_phase)):
                loss, norm = gradients(x0_BL, phase, progress, generator)
        else:
            loss, norm = gradients(x0_BL, phase, progress, generator)
        loss_value, norm_value = torch.stack([loss, norm]).tolist()
        if not math.isfinite(loss_value) or not math.isfinite(norm_value):
            raise diverged(step, loss_value, norm_value)
        self.optimizer.step()
        self._ema.update(step.number)
        return loss_value, norm_value

    def moved(self) -> None:
        """Its tensors lie elsewhere now: what was captured of them computes on the old ones."""
        self._graph = None

    def _gradients(
        self, x0_BL: torch.Tensor, phase: Phase, progress: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss, and the norm of its gradients, which lie with the parameters, clipped."""
        self.optimizer.zero_grad()
        parts = []
        for share, losses in self.config.objective.losses(
            self.model, x0_BL, phase, progress, generator, self.config.accumulate
        ):
            part = share * (losses.loss_BL.sum() / losses.scored_BL.sum())
            part.backward()
            parts.append(part.detach())
            del losses, part  # the graph, before the next one is made
        loss = torch.stack(parts).sum()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optimizer.clip_norm)
        return loss, norm

    def _captured(
        self, x0_BL: torch.Tensor, phase: Phase, progress: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The same by a CUDA graph, which is made at the first step."""
        if self._graph is None:
            self._graph = CapturedStep(self.model, phase, self.config.optimizer.clip_norm)
        return self._graph(x0_BL, self.config.objective.draw(self.model, x0_BL, phase, progress, generator))

    def weights(self) -> dict[str, torch.Tensor]:
        """The network and its moving average: what `best` holds."""
        return {
            **{f"model.{name}": tensor for name, tensor in self.model.state_dict().items()},
            **{f"ema.{name}": tensor for name, tensor in self.average.state_dict().items()},
        }

    def tensors(self) -> dict[str, torch.Tensor]:
        """The weights and the optimizer's moments: what `last` holds."""
        moments = {
            f"optimizer.{name}.{kind}": tensor
            for name, parameter in self.model.named_parameters()
            for kind, tensor in self.optimizer.state[parameter].items()
        }
        return {**self.weights(), **moments}

    @torch.no_grad()
    def put(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Copies a checkpoint's tensors into their places; what is not among them stays."""
        own = self.tensors()
        for name, tensor in tensors.items():
            own[name].copy_(tensor)


def diverged(step: Step, loss: float, norm: float) -> TrainingError:
    return TrainingError(
        f"diverged at step {step.number}: loss {loss:.4g}, gradient norm {norm:.4g}, "
        f"learning rate {learning_rate(step.phase, step.of_phase):.4g}"
    )


def progress_of(phase: Phase, step_of_phase: int) -> float:
    """How far the phase has come: 0 at its first step, 1 at its last."""
    return (step_of_phase - 1) / max(1, phase.steps - 1)


def learning_rate(phase: Phase, step_of_phase: int) -> float:
    """Linear warm-up, then as lr_schedule has it."""
    warm = min(1.0, step_of_phase / max(1, phase.warmup_steps))
    return phase.lr * warm * phase.lr_schedule.factor(step_of_phase - 1, phase.steps, phase.warmup_steps)


def warm_up(device: str) -> None:
    """Done once in a process, in seconds: a GPU has to wake up, and its layers are compiled."""
    if pick_device(device).type == "cuda":
        import torch._dynamo  # noqa: F401
