"""One precision for all trials of a sweep: chosen by the trainer's rule when it is made, and kept with its
spec."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping

from sweeper.planning.machine import visible_gpus
from sweeper.spec.spec import SweepSpec
from sweeper.words import PRECISION
from trainer.config.train_config import TrainConfig
from trainer.errors import EnvironmentFault
from trainer.training import precision as rule

PATIENCE = 300  # seconds that the question may take; torch is imported to ask a GPU


def in_one_precision(
    spec: SweepSpec, stored: SweepSpec | None, choose: Callable[[SweepSpec], str] | None = None
) -> SweepSpec:
    """The spec with its precision said: by itself, by the sweep that it goes on with, else by the rule."""
    if spec.trainer.get(PRECISION, "auto") != "auto":
        return spec
    said = (choose or chosen)(spec) if stored is None else stored.trainer.get(PRECISION)
    return spec if said is None else with_precision(spec, said)


def as_it_had(spec: SweepSpec, evaluated: Mapping[str, int]) -> SweepSpec:
    """Of a sweep from before specs said it: what most of its trials were evaluated in goes on, whatever the
    rule says here. evaluated: how many trials in each precision; none: float32, as everything was then."""
    if spec.trainer.get(PRECISION, "auto") != "auto":
        return spec
    return with_precision(spec, max(evaluated, key=lambda each: evaluated[each], default="float32"))


def with_precision(spec: SweepSpec, precision: str) -> SweepSpec:
    return spec.model_copy(update={"trainer": {**spec.trainer, PRECISION: precision}})


def chosen(spec: SweepSpec) -> str:
    """By the rule of trainer.training.precision, a GPU being asked in a process of its own: the driver does
    without torch. float32 where there is no answer."""
    device = "cuda" if spec.resources.gpu != 0 and visible_gpus() else "cpu"
    values = {key: value for key, value in spec.trainer.items() if key.startswith("model.")}
    try:
        if device == "cpu":
            return rule.chosen(TrainConfig.from_dotted(values), device)
        words = [sys.executable, "-m", rule.__name__, json.dumps(values), device]
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError, EnvironmentFault):
        return "float32"
    answer = done.stdout.strip()
    return answer if answer in rule.CHOICES else "float32"
