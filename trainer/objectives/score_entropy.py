"""SEDD: the whole sequence is one diffusion, learned by its score; the network is told the noise."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from trainer.noise.reweighting import Unweighted
from trainer.objectives.base import Objective, TokenLoss

if TYPE_CHECKING:
    import torch

    from trainer.network.model import Denoiser
    from trainer.sampling.decoder import Decoder
    from trainer.settings.phase import Phase


class ScoreEntropy(Objective):
    """Absorbing SEDD (Lou et al. 2024, arXiv 2310.16834), with one block as in the public BD3-LM code.

    A sequence has one sigma: it is told to the network, and all its positions are noised with it.
    """

    name: Literal["sedd"] = "sedd"
    whole: ClassVar[bool] = True
    told: ClassVar[bool] = True

    def problem(self, phase: Phase, length: int) -> tuple[str, str] | None:
        if wrong := self.problem_of_whole(phase, length):
            return wrong
        if phase.reweighting != Unweighted():
            return "reweighting", "sedd's loss takes no weight: leave the reweighting out"
        if phase.ar_weight:
            return "ar_weight", "sedd's network gives scores, no chances of a next token: leave it out"
        if phase.complementary:
            return "complementary", "sedd is told one noise level for a sequence, and trained under one mask"
        if phase.time.per == "token":
            return "time.per", "sedd is told one noise level for a sequence: block or sequence"
        return None

    def drawn_loss(
        self, model: Denoiser, x0_BL: torch.Tensor, drawn: tuple[torch.Tensor, ...], phase: Phase
    ) -> TokenLoss:
        from trainer.objectives.score_entropy_loss import score_loss

        return score_loss(model, x0_BL, *drawn)

    def bound(
        self, model: Denoiser, x0_BL: torch.Tensor, block_size: int, draws: int, seeds_B: list[int]
    ) -> torch.Tensor:
        """One block, whatever block_size says."""
        from trainer.objectives.score_entropy_loss import score_bound

        return score_bound(model, x0_BL, draws, seeds_B)

    def fine_bound(
        self,
        model: Denoiser,
        x0_BL: torch.Tensor,
        block_size: int,
        draws: int,
        seeds_B: list[int],
        at_once: int,
    ) -> Generator[None, None, torch.Tensor]:
        from trainer.objectives.score_entropy_loss import fine_score_bound

        return fine_score_bound(model, x0_BL, draws, seeds_B, at_once)

    def passport(self, block_size: int, draws: int) -> dict[str, Any]:
        return {"bound": "sampled", "estimator": "stratified p", "draws": draws}

    def decoder(self, model: Denoiser, block_size: int) -> Decoder:
        from trainer.sampling.decoder import ScoreDecoder

        return ScoreDecoder(model)
