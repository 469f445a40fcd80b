"""BD3-LM: blocks one after the other, each a masked diffusion of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from trainer.objectives.diffusion import Diffusion

if TYPE_CHECKING:
    from trainer.network.model import Denoiser
    from trainer.sampling.decoder import Decoder
    from trainer.settings.phase import Phase


class BlockDiffusion(Diffusion):
    """p(x) = prod_b p(x^b | x^<b), each block noised at its own time (Arriola et al. 2025, arXiv 2503.09573).

    At block size 1 with everything masked it is the autoregressive likelihood; at block size L it is MDLM.
    """

    name: Literal["bd3lm"] = "bd3lm"

    def problem(self, phase: Phase, length: int) -> tuple[str, str] | None:
        if length % phase.block_size:
            return "block_size", f"{phase.block_size} does not divide data.length = {length}"
        return None

    def decoder(self, model: Denoiser, block_size: int) -> Decoder:
        from trainer.sampling.decoder import decoder_of_blocks

        return decoder_of_blocks(model, block_size)
