"""The contract of an objective: what is trained, the bound it is judged by, and how it is sampled from.

Classes here are frozen settings, so that a spec can be checked without torch: torch is imported
inside the methods.
Shapes: B batch, L length.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from trainer.sampling.base import Sampled

if TYPE_CHECKING:
    import torch

    from trainer.network.model import Denoiser, Shape
    from trainer.settings.phase import Phase


class TokenLoss(NamedTuple):
    """The training objective of every token: its mean is the sum of loss_BL over the count of scored_BL."""

    loss_BL: torch.Tensor  # nats, weight and loss_scale included; 0 where not scored
    scored_BL: torch.Tensor  # bool: the maskable tokens (BOS excluded), the denominator of every mean


class Objective(Sampled):
    """Abstract. A subclass is final and carries a Literal `name`."""

    @classmethod
    def only_block_size(cls, length: int) -> int | None:
        """The block size that every phase has where there is no other, else None."""
        return length if cls.whole else None

    @abstractmethod
    def problem(self, phase: Phase, length: int) -> tuple[str, str] | None:
        """(field, sentence) where the phase makes no sense for this objective, else None."""

    def problem_of_whole(self, phase: Phase, length: int) -> tuple[str, str] | None:
        """The same, of one that has a single block."""
        if phase.block_size == length:
            return None
        return "block_size", f"{self.name} has one block, of data.length = {length}, not {phase.block_size}"

    def build(self, shape: Shape, dropout: float) -> Denoiser:
        """A freshly initialised network of the kind this objective trains; without noise it is causal.

        Its weights are drawn from torch's global generator: the caller seeds it.
        """
        if shape.source is not None:
            from trainer.network.adapted_union import adapted

            return adapted(shape, causal=not self.noisy, dropout=dropout)
        from trainer.network.dit import DiT

        return DiT(shape, causal=not self.noisy, dropout=dropout)

    def draw(
        self, model: Denoiser, x0_BL: torch.Tensor, phase: Phase, progress: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, ...]:
        """What is random in the objective of a batch, a row a sequence: `Noised` by `generator`, or nothing.

        progress in [0, 1] is how far the phase has come.
        """
        if not self.noisy:
            return ()
        from trainer.objectives.forward import noise

        return noise(x0_BL, phase, progress, model.shape.mask_id, generator)

    @abstractmethod
    def drawn_loss(
        self, model: Denoiser, x0_BL: torch.Tensor, drawn: tuple[torch.Tensor, ...], phase: Phase
    ) -> TokenLoss:
        """The training objective, in nats, of sequences and of their rows of what was drawn.

        Dropout comes from torch's global generator: the caller seeds it.
        """

    def drawn_losses(
        self,
        model: Denoiser,
        x0_BL: torch.Tensor,
        drawn: Sequence[tuple[torch.Tensor, ...]],
        phases: Sequence[Phase],
    ) -> list[TokenLoss]:
        """The same for each of several draws, with its phase; in one pass where they may share one. They are
        of one block size."""
        return [self.drawn_loss(model, x0_BL, each, phase) for each, phase in zip(drawn, phases, strict=True)]

    def loss(
        self, model: Denoiser, x0_BL: torch.Tensor, phase: Phase, progress: float, generator: torch.Generator
    ) -> TokenLoss:
        """The training objective on clean tokens, in nats."""
        return self.drawn_loss(model, x0_BL, self.draw(model, x0_BL, phase, progress, generator), phase)

    def losses(
        self,
        model: Denoiser,
        x0_BL: torch.Tensor,
        phase: Phase,
        progress: float,
        generator: torch.Generator,
        parts: int,
    ) -> Iterator[tuple[float, TokenLoss]]:
        """The same in `parts` micro-batches, each with its share of the batch's sequences.

        What is drawn is drawn for the whole batch. The next one is computed when it is asked for, so that
        the memory of the last one can be given back.
        """
        if parts == 1:
            yield 1.0, self.loss(model, x0_BL, phase, progress, generator)
            return
        drawn = self.draw(model, x0_BL, phase, progress, generator)
        for x0_bL, *rows in zip(*(each.chunk(parts) for each in (x0_BL, *drawn)), strict=True):
            yield len(x0_bL) / len(x0_BL), self.drawn_loss(model, x0_bL, tuple(rows), phase)

    @abstractmethod
    def bound(
        self,
        model: Denoiser,
        x0_BL: torch.Tensor,
        block_size: int,
        draws: int,
        seeds_B: list[int],
    ) -> torch.Tensor:
        """nats_BL, float64: an unbiased estimate of each token's share of the NELBO.

        Formula: docs/formulas.md section 4. Position 0 (BOS) is 0. Depends on the model, the tokens,
        block_size, draws and seeds alone: never on a schedule, clip or weight. seeds_B: one per sequence, so
        that a sequence has the same masks in whatever batch it stands. No gradients; dropout is off.
        """

    def fine_bound(
        self,
        model: Denoiser,
        x0_BL: torch.Tensor,
        block_size: int,
        draws: int,
        seeds_B: list[int],
        at_once: int,
    ) -> Generator[None, None, torch.Tensor]:
        """The bound from many masks, where `passport` says that it is sampled: the same number, a smaller
        error.

        Yields None after each pass of about `at_once` tokens, one mask of one sequence at least, and returns
        nats_BL. Masks depend on what `bound`'s depend on, never on how passes are cut.
        """
        raise NotImplementedError(f"{self.name} is not sampled")

    @abstractmethod
    def passport(self, block_size: int, draws: int) -> dict[str, Any]:
        """How `bound` arrives at its number: 'bound' (exact | enumerated | sampled), estimator, draws."""
