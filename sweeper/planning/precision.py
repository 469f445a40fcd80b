"""One precision for all trials of a sweep: measured when it is made, and kept with its spec."""

import json
import os
import subprocess
import sys
from collections.abc import Callable

from sweeper.planning.machine import visible_gpus
from sweeper.spec.spec import SweepSpec
from trainer.config.train_config import TrainConfig
from trainer.network.hardware import has_bfloat16
from trainer.training.precision import CHOICES, VARIABLE

KEY = "compute.precision"
PATIENCE = 300  # seconds that a measurement may take; torch is imported for it


def in_one_precision(
    spec: SweepSpec, stored: SweepSpec | None, measure: Callable[[SweepSpec], str] | None = None
) -> SweepSpec:
    """The spec with its precision said: by itself, by the sweep that it goes on with, else by measurement."""
    if spec.trainer.get(KEY, "auto") != "auto":
        return spec
    said = (measure or measured)(spec) if stored is None else stored.trainer.get(KEY)
    return spec if said is None else spec.model_copy(update={"trainer": {**spec.trainer, KEY: said}})


def measured(spec: SweepSpec) -> str:
    """As trainer.training.precision does, in a process of its own: the driver does without torch."""
    device = "cuda" if spec.resources.gpu != 0 and visible_gpus() else "cpu"
    if VARIABLE not in os.environ and device == "cpu" and not has_bfloat16("cpu"):
        return "float32"
    values = {key: value for key, value in spec.trainer.items() if key.startswith("model.")}
    values.update(
        {key: spec.trainer[key] for key in ("objective.name", "data.length") if key in spec.trainer}
    )
    if "data.length" in values and _has_block_sizes(values.get("objective.name")):
        values["finetune.block_size"] = values["data.length"]
    words = [sys.executable, "-m", "trainer.training.precision", json.dumps(values), device]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return "float32"
    answer = done.stdout.strip()
    return answer if answer in CHOICES else "float32"


def _has_block_sizes(objective: str | None) -> bool:
    """Whether it leaves a choice. None: the default."""
    config = TrainConfig.from_dotted({} if objective is None else {"objective.name": objective})
    return config.objective.only_block_size(config.data.length) is None
