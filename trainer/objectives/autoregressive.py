"""AR: the baseline that predicts each token from all before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from trainer.noise.clips import Clip
from trainer.noise.masking import Uniform
from trainer.noise.reweighting import Unweighted
from trainer.noise.schedules import LogLinear
from trainer.noise.times import UniformTime
from trainer.objectives.base import Objective, TokenLoss

if TYPE_CHECKING:
    import torch

    from trainer.network.model import Denoiser
    from trainer.sampling.decoder import Decoder
    from trainer.settings.phase import Phase


class Autoregressive(Objective):
    """p(x) = prod_i p(x_i | x_<i): cross-entropy over the L - 1 targets. No noise, and the bound is exact."""

    name: Literal["ar"] = "ar"
    noisy: ClassVar[bool] = False

    @classmethod
    def only_block_size(cls, length: int) -> int | None:
        return 1

    def problem(self, phase: Phase, length: int) -> tuple[str, str] | None:
        if phase.block_size != 1:
            return (
                "block_size",
                f"ar predicts one token at a time: it must be 1, not {phase.block_size}",
            )
        unread = {
            "schedule": LogLinear(),
            "clip": Clip(),
            "reweighting": Unweighted(),
            "masking": Uniform(),
            "ar_weight": 0.0,
            "loss_norm": "tokens",
            "time": UniformTime(),
            "complementary": False,
        }
        for part, default in unread.items():
            if getattr(phase, part) != default:
                return part, f"ar has no noise: leave the {part} out"
        return None

    def drawn_loss(
        self, model: Denoiser, x0_BL: torch.Tensor, drawn: tuple[torch.Tensor, ...], phase: Phase
    ) -> TokenLoss:
        import torch

        from trainer.objectives.next_token import next_token_nats

        scored_BL = torch.ones_like(x0_BL, dtype=torch.bool)
        scored_BL[:, 0] = False
        return TokenLoss(next_token_nats(model, x0_BL), scored_BL)

    def bound(
        self, model: Denoiser, x0_BL: torch.Tensor, block_size: int, draws: int, seeds_B: list[int]
    ) -> torch.Tensor:
        from trainer.network.model import evaluating
        from trainer.objectives.next_token import next_token_nats

        with evaluating(model):
            return next_token_nats(model, x0_BL).double()

    def passport(self, block_size: int, draws: int) -> dict[str, Any]:
        return {"bound": "exact", "estimator": "likelihood", "draws": 1}

    def decoder(self, model: Denoiser, block_size: int) -> Decoder:
        from trainer.sampling.decoder import CausalDecoder
        from trainer.sampling.reader import reader_of

        return CausalDecoder(reader_of(model))
