from __future__ import annotations

from typing import Any, Literal

from trainer.objectives.base import Objective
from trainer.reweighting import Unweighted
from trainer.schedules import Clip, LogLinear


class Autoregressive(Objective):
    name: Literal["ar"] = "ar"

    def problem(self, phase, length):
        if phase.block_size != 1:
            return "block_size", f"ar reads one token after the other: 1, not {phase.block_size}"
        if phase.schedule != LogLinear():
            return "schedule", "ar has no noise: leave the schedule out"
        if phase.clip != Clip():
            return "clip", "ar has no noise: leave the clip out"
        if phase.reweighting != Unweighted():
            return "reweighting", "ar has no noise: leave the reweighting out"
        return None

    def build(self, shape, dropout): raise NotImplementedError
    def loss(self, model, x0_BL, phase, progress, generator): raise NotImplementedError
    def bound(self, model, x0_BL, block_size, draws, seeds_B): raise NotImplementedError
    def passport(self, block_size: int, draws: int) -> dict[str, Any]: raise NotImplementedError
