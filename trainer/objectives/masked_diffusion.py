from __future__ import annotations

from typing import Any, Literal

from trainer.objectives.base import Objective


class MaskedDiffusion(Objective):
    name: Literal["mdlm"] = "mdlm"

    def problem(self, phase, length):
        if phase.block_size != length:
            return "block_size", f"mdlm has one block: data.length {length}, not {phase.block_size}"
        return None

    def build(self, shape, dropout): raise NotImplementedError
    def loss(self, model, x0_BL, phase, progress, generator): raise NotImplementedError
    def bound(self, model, x0_BL, block_size, draws, seeds_B): raise NotImplementedError
    def passport(self, block_size: int, draws: int) -> dict[str, Any]: raise NotImplementedError
