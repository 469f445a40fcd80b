"""Trials of equal shape trained as one: J learners, whose weights, moments and averages lie in one place.

Each stays a Learner: its tensors are views of what lies there, so that it is evaluated and written to its
checkpoints as ever, and goes on alone from any step. It keeps its seeds, schedules, learning rates, clipping
and AdamW's settings. What is shared is the objective, the shape of network and batch, and how it is computed.
A fused trial equals one that is trained alone but for the order of sums (1e-6 of losses, gradients and
weights after some steps, on a CPU in float32; tests/trainer/training/test_fused.py). Dropout has the masks of
a trial alone on a CPU; on a GPU its own.
Shapes: J trials, P numbers of a network, B batch, L length, S tokens of a pass, M rows that could be masked.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.errors import TrainingError
from trainer.network.attention import noised
from trainer.network.dit import DiT
from trainer.network.seeded import seeded
from trainer.network.stacked import Stacked
from trainer.randomness import seed_of
from trainer.settings.phase import Phase
from trainer.training.adamw import AdamW
from trainer.training.cuda_graphs import CaptureFailed, captured, captures, pads
from trainer.training.learner import Learner, Step, learning_rate, progress_of

ALIGNED = 64  # numbers: where a parameter begins, so that products read whole lines


class Taken(NamedTuple):
    """What a step of one trial came to. Where it diverged its weights are as they were."""

    loss: float
    norm: float  # of its gradients, before clipping

    @property
    def diverged(self) -> bool:
        return not math.isfinite(self.loss) or not math.isfinite(self.norm)


def problem(learners: Sequence[Learner], phases: Sequence[Phase]) -> str | None:
    """Why these cannot be trained as one; None where they can."""
    first, phase = learners[0], phases[0]
    for learner, of in zip(learners, phases, strict=True):
        config = learner.config
        if not pads(config, of):
            name = config.objective.name
            return f"{name} is not trained fused, nor micro-batches, block sizes, complements, or an AR term"
        if not isinstance(learner.model, DiT):
            return "a causal model of transformers is not trained fused"
        if config.objective != first.config.objective or learner.model.shape != first.model.shape:
            return "objectives or shapes differ"
        if (config.model.dropout, config.compute) != (first.config.model.dropout, first.config.compute):
            return "dropout differs, or how a step is computed"
        if (of.batch_size, of.block_size) != (phase.batch_size, phase.block_size):
            return "batches or blocks differ"
    return None


class Untaken(Exception):
    """A step could not be taken as one, and no weight was moved: each may be taken alone."""


class Fused:
    """Takes steps of all learners; makes their tensors views of its own."""

    def __init__(self, learners: Sequence[Learner], phases: Sequence[Phase]):
        """phases: of each, in this order, as all its steps have them but for the interval of time. Raises
        TrainingError where they cannot be fused."""
        if wrong := problem(learners, phases):
            raise TrainingError(f"trials cannot be trained as one: {wrong}")
        self.learners = list(learners)
        first = learners[0]
        self._layout = noised(first.config.data.length, phases[0].block_size)
        places, size = _places(first)
        for learner in self.learners:
            learner.moved()
        # One kind after another, and what they had of it is given back before the next: trials that have met
        # others before lie in such a place already, and all of it would be there twice.
        weights_JP, average_JP, *moments = (
            _gathered([own(learner) for learner in self.learners], places, size) for own in KINDS
        )
        gradients_JP = torch.zeros_like(weights_JP)
        self._weights_JP, self._average_JP, self._gradients_JP = weights_JP, average_JP, gradients_JP
        # AdamW counts its steps by the tensor: the first is that of all weights of a trial as one tensor.
        self._steps_JN = torch.zeros(len(learners), 1 + len(places), device=first.device)
        for learner, steps_N in zip(self.learners, self._steps_JN, strict=True):
            _count(learner, steps_N)
        self._rows = [row.detach().requires_grad_() for row in weights_JP]
        self._optimizer = _adamw(self.learners, self._rows, moments, self._steps_JN)
        views = [
            {name: each[:, place].unflatten(1, shape) for name, (place, shape) in places.items()}
            for each in (weights_JP, gradients_JP)
        ]
        leaves = {name: each.detach().requires_grad_() for name, each in views[0].items()}
        self._leaves, self._gradients_of = list(leaves.values()), list(views[1].values())
        assert isinstance(first.model, DiT)
        self._stacked = Stacked(first.model, leaves)
        clips = [each.config.optimizer.clip_norm for each in learners]
        self._clip_J = torch.tensor(clips, device=first.device)
        self._captures = captures(first.config, phases[0], first.device)
        self._replay: Callable[[], None] | None = None

    @property
    def captures(self) -> bool:
        """Whether steps replay a CUDA graph, which takes seconds to make."""
        return self._captures

    def take_steps(self, steps: Sequence[Step | None]) -> list[Taken | None]:
        """As Learner.take_step of each, their x0_BL being on the CPU; None where there is none to take, of a
        run that does something else meanwhile. A trial that diverges stops no other.

        Raises Untaken, or CaptureFailed.
        """
        try:
            loss_J, norm_J = self._looked_at(steps)
            found = torch.stack([loss_J, norm_J], dim=1).tolist()
        except CaptureFailed:
            raise  # nobody may go on in this process
        except Exception as error:
            raise Untaken from error
        taken = [step and Taken(*each) for step, each in zip(steps, found, strict=True)]
        self._move_weights(steps, taken)
        return taken

    def _looked_at(self, steps: Sequence[Step | None]) -> tuple[Tensor, Tensor]:
        """loss_J and norm_J of these steps; what moves the weights lies with the gradients."""
        self._given(steps)
        with self._dropping(steps):
            if not self._captures:
                return self._gradients()
            if self._replay is None:
                self._replay, self._found = captured(self._gradients, self._weights_JP.device)
            self._replay()
            return self._found

    def _given(self, steps: Sequence[Step | None]) -> None:
        """Draws what is random, each trial by its own seeds, and lays it where a step reads it."""
        batch, length = next(step.x0_BL.shape for step in steps if step)
        drawn = [
            _drawn(learner, step) if step else _nothing(batch, length)
            for learner, step in zip(self.learners, steps, strict=True)
        ]
        x0_JBL, xt_JBL, masked_JBL, charge_JBL = (torch.stack(each) for each in zip(*drawn, strict=True))
        count_J = masked_JBL.flatten(1).sum(dim=1)
        most = batch * (length - 1) if self._captures else max(1, int(count_J.max()))
        # The masked places of each in order, then others, which are charged nothing.
        chosen_JM = (~masked_JBL.flatten(1)).byte().sort(dim=1, stable=True).indices[:, :most]
        charge_JM = charge_JBL.flatten(1).gather(1, chosen_JM) * (torch.arange(most) < count_J[:, None])
        given = (
            torch.cat([xt_JBL, x0_JBL[..., : self._layout.clean]], dim=2),
            chosen_JM,
            x0_JBL.flatten(1).gather(1, chosen_JM),
            charge_JM,
        )
        device = self._weights_JP.device
        if self._replay is None:
            self._tensors = tuple(each.to(device) for each in given)
        else:
            for own, new in zip(self._tensors, given, strict=True):
                own.copy_(new, non_blocking=True)
        self._scored, self._count_J = batch * (length - 1), count_J.tolist()

    def _dropping(self, steps: Sequence[Step | None]) -> AbstractContextManager[None]:
        """While masks of dropout are drawn."""
        if not self.learners[0].config.model.dropout:
            return nullcontext()
        seeds = [
            seed_of(learner.config.seed, step.name, "dropout", step.of_phase) if step else 0
            for learner, step in zip(self.learners, steps, strict=True)
        ]
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        # On a GPU one seed is all theirs: of the first that is here, for each step has its own.
        return seeded(next(seed for seed, step in zip(seeds, steps, strict=True) if step))

    def _gradients(self) -> tuple[Tensor, Tensor]:
        """loss_J, and norm_J of the gradients, which are clipped."""
        tokens_JBS, chosen_JM, target_JM, charge_JM = self._tensors
        loss_J = self._stacked.losses(tokens_JBS, self._layout, chosen_JM, target_JM, charge_JM, self._drop)
        loss_J = loss_J / self._scored
        torch._foreach_copy_(self._gradients_of, torch.autograd.grad(loss_J.sum(), self._leaves))
        norm_J = torch.linalg.vector_norm(self._gradients_JP, dim=1)
        self._gradients_JP.mul_((self._clip_J / (norm_J + 1e-6)).clamp(max=1)[:, None])
        return loss_J.detach(), norm_J

    def _drop(self, x_JND: Tensor, chosen: bool) -> Tensor:
        rate = self.learners[0].config.model.dropout
        if not rate:
            return x_JND
        if x_JND.is_cuda:
            return torch.nn.functional.dropout(x_JND, rate)
        kept_JND = torch.zeros_like(x_JND)
        rows = self._count_J if chosen else [x_JND.shape[1]] * len(x_JND)
        for kept_ND, number, generator in zip(kept_JND, rows, self._generators, strict=True):
            kept_ND[:number].bernoulli_(1 - rate, generator=generator)
        return x_JND * kept_JND.div_(1 - rate)

    @torch.no_grad()
    def _move_weights(self, steps: Sequence[Step | None], taken: Sequence[Taken | None]) -> None:
        moves = [
            step if found and not found.diverged else None for step, found in zip(steps, taken, strict=True)
        ]
        for j, (group, step) in enumerate(zip(self._optimizer.param_groups, moves, strict=True)):
            self._rows[j].grad = self._gradients_JP[j] if step else None
            if step:
                group["lr"] = learning_rate(step.phase, step.of_phase)
        self._steps_JN[:, 0] = self._steps_JN[:, 1]  # a trial may have gone a way by itself since
        self._optimizer.step()
        for j, (learner, step) in enumerate(zip(self.learners, moves, strict=True)):
            if step:
                self._steps_JN[j, 1:] += 1
                decay = min(learner.config.optimizer.ema, (1 + step.number) / (10 + step.number))
                self._average_JP[j].lerp_(self._weights_JP[j], 1 - decay)


def _drawn(learner: Learner, step: Step) -> tuple[Tensor, ...]:
    """x0_BL, xt_BL, masked_BL, charge_BL of a step; a time is a block's or a token's, each trial's own."""
    generator = torch.Generator().manual_seed(seed_of(learner.config.seed, step.name, "masks", step.of_phase))
    at = progress_of(step.phase, step.of_phase)
    xt_BL, masked_BL, *_, charge_BN = learner.config.objective.draw(
        learner.model, step.x0_BL, step.phase, at, generator
    )
    charge_BL = charge_BN.repeat_interleave(step.x0_BL.shape[1] // charge_BN.shape[1], dim=1)
    return step.x0_BL, xt_BL, masked_BL, charge_BL


def _nothing(batch: int, length: int) -> tuple[Tensor, ...]:
    """The same where no step is taken: nothing is masked, so nothing is charged."""
    zeros_BL = torch.zeros(batch, length, dtype=torch.long)
    return zeros_BL, zeros_BL, zeros_BL.bool(), zeros_BL.float()


Places = dict[str, tuple[slice, torch.Size]]  # by a parameter's name, where it lies in P, and its shape


def _places(learner: Learner) -> tuple[Places, int]:
    places, end = Places(), 0
    for name, parameter in learner.model.named_parameters():
        places[name] = (slice(end, end + parameter.numel()), parameter.shape)
        end += -(-parameter.numel() // ALIGNED) * ALIGNED
    return places, end


def _moments(learner: Learner, kind: str) -> dict[str, Tensor]:
    state = learner.optimizer.state
    return {name: state[parameter][kind] for name, parameter in learner.model.named_parameters()}


# By a parameter's name, of a trial: weights, average, and AdamW's moments.
KINDS: tuple[Callable[[Learner], dict[str, Tensor]], ...] = (
    lambda learner: dict(learner.model.named_parameters()),
    lambda learner: dict(learner.average.named_parameters()),
    lambda learner: _moments(learner, "exp_avg"),
    lambda learner: _moments(learner, "exp_avg_sq"),
)


@torch.no_grad()
def _gathered(of_each: Sequence[dict[str, Tensor]], places: Places, size: int) -> Tensor:
    """(J, P): the tensors of all, which are views of it from now on. They have no gradients any more."""
    like = next(iter(of_each[0].values()))
    into_JP = torch.zeros(len(of_each), size, dtype=like.dtype, device=like.device)
    for into_P, own in zip(into_JP, of_each, strict=True):
        for name, tensor in own.items():
            place, shape = places[name]
            into_P[place].copy_(tensor.flatten())
            tensor.data, tensor.grad = into_P[place].view(shape), None
    return into_JP


def _count(learner: Learner, steps_N: Tensor) -> None:
    """AdamW's count of steps, by parameter, into these."""
    for number, parameter in enumerate(learner.model.parameters(), start=1):
        state = learner.optimizer.state[parameter]
        steps_N[number] = state["step"]
        state["step"] = steps_N[number]
    steps_N[0] = steps_N[1]


def _adamw(
    learners: Sequence[Learner], rows: Sequence[Tensor], moments: Sequence[Tensor], steps_JN: Tensor
) -> AdamW:
    """A group of each, with its settings and its moments."""
    kept = ("betas", "eps", "weight_decay")
    groups = [
        {"params": [row], **{key: learner.optimizer.param_groups[0][key] for key in kept}}
        for row, learner in zip(rows, learners, strict=True)
    ]
    state = {
        row: {"step": steps_N[0], "exp_avg": mean_P, "exp_avg_sq": square_P}
        for row, steps_N, mean_P, square_P in zip(rows, steps_JN, *moments, strict=True)
    }
    return AdamW(groups, state)
