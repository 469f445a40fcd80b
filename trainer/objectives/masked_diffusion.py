"""MDLM: the whole sequence is one masked diffusion."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from trainer.objectives.diffusion import Diffusion

if TYPE_CHECKING:
    from trainer.network.model import Denoiser
    from trainer.sampling.decoder import Decoder
    from trainer.settings.phase import Phase


class MaskedDiffusion(Diffusion):
    """BD3-LM with one block (Sahoo et al. 2024, arXiv 2406.07524): no clean tokens beside the noisy ones."""

    name: Literal["mdlm"] = "mdlm"
    whole: ClassVar[bool] = True

    def problem(self, phase: Phase, length: int) -> tuple[str, str] | None:
        return self.problem_of_whole(phase, length)

    def decoder(self, model: Denoiser, block_size: int) -> Decoder:
        from trainer.sampling.decoder import WholeDecoder

        return WholeDecoder(model)
