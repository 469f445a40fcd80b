from __future__ import annotations

from typing import Any, Literal

from trainer.objectives.base import Objective


class BlockDiffusion(Objective):
    name: Literal["bd3lm"] = "bd3lm"

    def problem(self, phase, length):
        if length % phase.block_size:
            return "block_size", f"{phase.block_size} does not divide data.length {length}"
        return None

    def build(self, shape, dropout): raise NotImplementedError
    def loss(self, model, x0_BL, phase, progress, generator): raise NotImplementedError
    def bound(self, model, x0_BL, block_size, draws, seeds_B): raise NotImplementedError
    def passport(self, block_size: int, draws: int) -> dict[str, Any]: raise NotImplementedError
