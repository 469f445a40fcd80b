"""In what a run is computed where its settings leave it open: by measurement, remembered for the machine.

float32 wherever the processor or GPU has no bfloat16 of its own: emulated, it is slower.
torch is imported only where there is something to measure.
"""

import json
import os
import platform
import sys
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from trainer.config.network import network_of
from trainer.config.stored import read_phase
from trainer.config.train_config import TrainConfig
from trainer.disk import cache_root
from trainer.errors import EnvironmentFault
from trainer.network.hardware import has_bfloat16, pick_device
from trainer.noise.masking import Uniform

WORTH = 1.1  # times as fast, for less would be noise
TOKENS, VOCABULARY, REPEATS = 1024, 4096, 3
CHOICES = ("float32", "bfloat16")
VARIABLE = "TRAINER_PRECISION"


def settled(config: TrainConfig, folder: Path, device: str) -> TrainConfig:
    """The config with its precision said: as the run in this folder has it, else as measured."""
    if config.compute.precision != "auto":
        return config
    said = said_in(folder)
    return with_precision(config, said or measured(config, device))


def said_in(folder: Path) -> str | None:
    """By the run that this folder holds, if any; a run from before this was a setting had float32."""
    if not (folder / "config.json").exists():
        return None
    said = read_phase(folder)[1].compute.precision
    return "float32" if said == "auto" else said


def with_precision(config: TrainConfig, precision: str) -> TrainConfig:
    compute = config.compute.model_copy(update={"precision": precision})
    return config.model_copy(update={"compute": compute})


def measured(config: TrainConfig, device: str) -> str:
    """The faster of the two for a step of this network, as this machine was once measured to be.

    TRAINER_PRECISION says it instead, where machines of several kinds work on one sweep. Raises
    EnvironmentFault where that is neither."""
    if said := os.environ.get(VARIABLE):
        if said not in CHOICES:
            raise EnvironmentFault(f"{VARIABLE} is {said!r}, neither {' nor '.join(CHOICES)}")
        return said
    if not has_bfloat16(device):
        return "float32"
    memory = cache_root() / "precision.json"
    known: dict[str, str] = {}
    with suppress(OSError, ValueError):
        known = json.loads(memory.read_text())
    name = _name(config, device)
    if known.get(name) not in CHOICES:
        seconds = step_seconds(config, device)
        faster = seconds["float32"] > WORTH * seconds["bfloat16"]
        known[name] = "bfloat16" if faster else "float32"
        memory.parent.mkdir(parents=True, exist_ok=True)
        temporary = memory.with_name(f"{memory.name}.{os.getpid()}.tmp")
        temporary.write_text(json.dumps(known, indent=1))
        os.replace(temporary, memory)
    return known[name]


def step_seconds(config: TrainConfig, device: str) -> dict[str, float]:
    """Of forward and backward of two of its layers on about TOKENS tokens: the best of a few, in turns."""
    import torch

    from trainer.network.model import Denoiser, Shape

    place = pick_device(device)
    state = torch.get_rng_state()
    model, length = config.model, config.data.length
    phase = config.finetune.model_copy(update={"masking": Uniform()})
    shape = Shape(model.width, 2, model.heads, model.cond_width, length, VOCABULARY, VOCABULARY - 1)
    networks = {each: network_of(with_precision(config, each), shape, place) for each in CHOICES}
    x0_BL = torch.randint(0, VOCABULARY - 1, (max(1, TOKENS // length), length)).to(place)

    def step(network: Denoiser) -> float:
        began = time.perf_counter()
        losses = config.objective.loss(network, x0_BL, phase, 0.0, torch.Generator().manual_seed(0))
        losses.loss_BL.sum().backward()
        losses.loss_BL.sum().item()  # waits for a GPU
        return time.perf_counter() - began

    found = {each: [step(networks[each])] for each in CHOICES}  # the first one warms up
    for _ in range(REPEATS):
        for each in CHOICES:
            found[each].append(step(networks[each]))
    torch.set_rng_state(state)
    return {each: min(seconds[1:]) for each, seconds in found.items()}


def _name(config: TrainConfig, device: str) -> str:
    """What the measurement depends on."""
    import torch

    place = pick_device(device)
    where = torch.cuda.get_device_name(place) if place.type == "cuda" else _processor()
    model = config.model
    what = f"{config.objective.name}, width {model.width}, heads {model.heads}, length {config.data.length}"
    return f"{where}, torch {version('torch')}, threads {torch.get_num_threads()}: {what}"


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    # For a process without torch: dotted values as JSON, then the device; prints the precision.
    print(measured(TrainConfig.from_dotted(json.loads(sys.argv[1])), sys.argv[2]))
