"""In what a run is computed where its settings leave it open: by a rule, the same whenever it is asked.

Never by a stopwatch: a few steps on a busy machine come out either way, and trials of one sweep would differ.
What the rule rests on is measured by `python -m benchmarks.precision`, and stands in docs/performance.md.
torch is imported only where a GPU has to be asked.
"""

import json
import os
import sys
from pathlib import Path

from trainer.config.stored import read_phase
from trainer.config.train_config import TrainConfig
from trainer.errors import EnvironmentFault
from trainer.network.hardware import bfloat16_by

CHOICES = ("float32", "bfloat16")
VARIABLE = "TRAINER_PRECISION"

# By what computes in bfloat16, the least width D of a network that is computed in it; where nothing does, it
# is emulated, and slower at every width. On a CPU nano (64) is the narrowest that was measured, and it gains.
# On a GPU a narrow network's step is the starting of kernels, of which casts are more.
LEAST_WIDTH = {"cuda": 256, "amx_bf16": 64, "avx512_bf16": 64}


def settled(config: TrainConfig, folder: Path, device: str) -> TrainConfig:
    """The config with its precision said: as the run in this folder has it, else by the rule."""
    if config.compute.precision != "auto":
        return config
    said = said_in(folder)
    return with_precision(config, said or chosen(config, device))


def said_in(folder: Path) -> str | None:
    """By the run that this folder holds, if any; a run from before this was a setting had float32."""
    if not (folder / "config.json").exists():
        return None
    said = read_phase(folder)[1].compute.precision
    return "float32" if said == "auto" else said


def with_precision(config: TrainConfig, precision: str) -> TrainConfig:
    compute = config.compute.model_copy(update={"precision": precision})
    return config.model_copy(update={"compute": compute})


def chosen(config: TrainConfig, device: str) -> str:
    """By the rule, for a network of this width on this machine's device: cpu, cuda or auto.

    TRAINER_PRECISION says it instead, where machines of several kinds work on one sweep. Raises
    EnvironmentFault where that is neither."""
    if said := os.environ.get(VARIABLE):
        if said not in CHOICES:
            raise EnvironmentFault(f"{VARIABLE} is {said!r}, neither {' nor '.join(CHOICES)}")
        return said
    by = bfloat16_by(device)
    return "bfloat16" if by is not None and config.model.width >= LEAST_WIDTH[by] else "float32"


if __name__ == "__main__":
    # For a process without torch: dotted values as JSON, then the device; prints the precision.
    print(chosen(TrainConfig.from_dotted(json.loads(sys.argv[1])), sys.argv[2]))
