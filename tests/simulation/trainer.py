"""A trainer that reports without training. What it would report is a function of its configuration
(`rows_of`).

It keeps what a real one keeps: a checkpoint that is renamed into place, before its step is reported; and a
log of every step trained and every checkpoint, from which the oracle sees what was trained twice."""

import json
import math
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from sweeper.files.stage_cache import SEAL
from tests.simulation.world import STEP, World
from trainer.config.train_config import TrainConfig
from trainer.errors import DamagedBranch, DamagedCheckpoint, MissingCheckpoint, OtherRun, StaleAttempt
from trainer.evaluation.record import Evaluation, Report

LAST, BEST, LOG = "last.safetensors", "best.safetensors", "log.txt"
OLDER = ".older"  # what follows a checkpoint's name, of what it was before: for who puts that in its place
DOCUMENTS = 6
world = World(0, Path())  # of the sweep that is simulated now; one at a time in a process


class Curve:
    """What a step makes of a value: in a pretrain the seed matters, in a fine-tune its values, as in
    earnest."""

    def __init__(self, config: TrainConfig, phase: str):
        said = config.to_dotted()
        self._said = repr([config.seed, *(each for each in sorted(said.items()) if _is_of(phase, each[0]))])
        mu = said.get("finetune.schedule.mu", 0.9) if phase == "finetune" else 0.4
        self._more = (mu - 0.4) ** 2

    def after(self, value: float) -> float:
        drawn = int.from_bytes(sha256(f"({self._said}, {value!r})".encode()).digest()[:4]) / 2**32
        return 0.7 * value + 1 + self._more + 0.05 * drawn

    @property
    def name(self) -> str:
        return sha256(self._said.encode()).hexdigest()[:8]


def _is_of(phase: str, name: str) -> bool:
    return name.startswith(f"{phase}.")


class Phase(NamedTuple):
    curve: Curve
    steps: int
    first: int  # step of the run at which it begins
    start: float  # what it branches from
    tokens: int  # of a step
    every: int  # steps between two reports

    @property
    def run(self) -> str:
        """Which one it is: its folder holds no other."""
        return f"{self.curve.name} {self.start}"


def train(
    config: TrainConfig,
    folder: Path,
    *,
    pretrained: Path | None = None,
    attempt: int = 1,
    acknowledged: int = 0,
    device: str = "auto",
) -> Iterator[Report | None]:
    start = _start_of(pretrained) if pretrained else 1.0
    yield from _run(finetune(config, start), folder, attempt, acknowledged)


def pretrain(
    config: TrainConfig, folder: Path, *, parent: Path | None = None, attempt: int = 1, device: str = "auto"
) -> Iterator[Report | None]:
    yield from _run(pretraining(config), folder, attempt, 0)


def score(
    folder: Path,
    *,
    error: float | None = None,
    masks: int | None = None,
    round: int = 0,
    device: str = "auto",
) -> Iterator[Report | None]:
    """What a race's round makes of a checkpoint: its value, and masks that are drawn for the round."""
    state = _read(folder / BEST)
    world.point(STEP)
    world.sleep(1.0)
    yield None
    nats, step = nats_of(state["value"], round), state["step"]
    nelbo = math.fsum(nats) / DOCUMENTS
    yield Report(step, {}, (Evaluation("valid", step, nelbo, 0.01, {}, {}, nats, [1] * DOCUMENTS),))


def nats_of(value: float, round: int) -> list[float]:
    """The score, by document, of a checkpoint with this value."""
    random = Random(f"{value} {round}")
    return [math.log(value) * (1 + d / 100) + random.gauss(0, 0.01) for d in range(DOCUMENTS)]


def finetune(config: TrainConfig, start: float) -> Phase:
    curve, tokens = Curve(config, "finetune"), config.finetune.batch_size * config.data.length
    return Phase(curve, config.finetune.steps, config.pretrain.steps, start, tokens, config.evaluation.every)


def pretraining(config: TrainConfig) -> Phase:
    curve, tokens = Curve(config, "pretrain"), config.pretrain.batch_size * config.data.length
    return Phase(curve, config.pretrain.steps, 0, 1.0, tokens, config.evaluation.every)


def rows_of(config: TrainConfig) -> dict[int, float]:
    """val_ppl by step, as it is to be in the store once the trial is complete."""
    value, rows, pretrained = 1.0, dict[int, float](), Curve(config, "pretrain")
    for _ in range(config.pretrain.steps):
        value = pretrained.after(value)
    phase = finetune(config, value)
    for step in range(phase.first + 1, phase.first + phase.steps + 1):
        value = phase.curve.after(value)
        if step % phase.every == 0 or step == phase.first + phase.steps:
            rows[step] = value
    return rows


def _run(phase: Phase, folder: Path, attempt: int, acknowledged: int) -> Iterator[Report | None]:
    last = phase.first + phase.steps
    state = _state(phase, folder, attempt)
    for row in state["rows"]:
        if row["step"] > acknowledged:
            yield _report(row)
    try:
        while state["step"] < last:
            world.point(STEP)
            step = state["step"] + 1
            value = phase.curve.after(state["value"])
            world.sleep(world.random.choice([0.1, 1.0, 10.0]))
            _log(folder, "train", attempt, step)
            rows = state["rows"]
            reports = step % phase.every == 0 or step == last
            if reports:
                rows = [*rows, {"step": step, "value": value, "tokens": (step - phase.first) * phase.tokens}]
            if step == last:
                _read_best(folder, rows, attempt)
            state |= {"step": step, "value": value, "rows": rows}
            if reports or world.random.random() < 0.2:
                _save(folder, state, attempt)
            yield _report(rows[-1]) if reports else None
    except GeneratorExit:
        if world.saves and not world.dead and state["step"] > phase.first:
            _save(folder, state, attempt)
        raise


def _state(phase: Phase, folder: Path, attempt: int) -> dict[str, Any]:
    """What the attempt goes on from. Raises OtherRun and StaleAttempt as the trainer does."""
    new = {"step": phase.first, "value": phase.start, "rows": [], "run": phase.run, "attempt": attempt}
    state = _read(folder / LAST) if (folder / LAST).is_file() else new
    if state["run"] != phase.run:
        raise OtherRun(f"{folder} holds another run: {state['run']} there, {phase.run} here")
    if (later := max(state["attempt"], _latest(folder / LOG))) > attempt:
        raise StaleAttempt(f"{folder}: attempt {later} has been here, {attempt} is too late", later)
    if _is_best(state):  # killed between the two files, or the best is damaged
        _replace(folder / BEST, _best_of(state["rows"]))
    return {**state, "attempt": attempt}


def _latest(log: Path) -> int:
    """Attempt that has trained, as a run's ledger says it where the checkpoint is gone."""
    if not log.is_file():
        return 0
    return max((int(line.split()[1]) for line in log.read_text().splitlines()), default=0)


def _best_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return min(rows, key=lambda row: row["value"])


def _is_best(state: dict[str, Any]) -> bool:
    return bool(state["rows"]) and _best_of(state["rows"])["step"] == state["step"]


def _read_best(folder: Path, rows: list[dict[str, Any]], attempt: int) -> None:
    """By a run's last step, which may be the best itself. Raises as the trainer does, which then has nothing
    to go on from."""
    best, last = _best_of(rows), rows[-1]
    if best is last:
        return
    try:
        if (found := _read(folder / BEST)["step"]) != best["step"]:
            raise DamagedCheckpoint(f"{folder / BEST}: of step {found}, and the best is of {best['step']}")
    except (MissingCheckpoint, DamagedCheckpoint):
        _log(folder, "save", attempt, 0)
        raise


def _report(row: dict[str, float]) -> Report:
    value, step = row["value"], int(row["step"])
    nats = [math.log(value) * (1 + d / 100) for d in range(DOCUMENTS)]
    evaluation = Evaluation(
        "valid", step, math.log(value), 0.01, {"text": "simulated"}, {}, nats, [1] * DOCUMENTS
    )
    values = {"val_ppl": value, "val_nelbo": math.log(value), "tokens": float(row["tokens"])}
    values["var_nelbo"] = 1 / value
    return Report(step, values, (evaluation,))


def _save(folder: Path, state: dict[str, Any], attempt: int) -> None:
    _replace(folder / LAST, state)
    _log(folder, "save", attempt, state["step"])
    if _is_best(state):
        _replace(folder / BEST, _best_of(state["rows"]))


def _replace(file: Path, state: dict[str, Any]) -> None:
    new, text = file.with_suffix(".new"), json.dumps(state).encode()
    new.write_bytes(sha256(text).hexdigest().encode() + text)
    if file.is_file():
        older_of(file).write_bytes(file.read_bytes())
    os.replace(new, file)


def older_of(file: Path) -> Path:
    return file.with_name(f"{file.name}{OLDER}")


def _start_of(stage: Path) -> float:
    try:
        return float(_read(stage / LAST)["value"])
    except (MissingCheckpoint, DamagedCheckpoint) as error:
        raise DamagedBranch(str(error)) from None


def _read(file: Path) -> dict[str, Any]:
    """Raises MissingCheckpoint, and DamagedCheckpoint where it is not what was written, as the trainer
    does."""
    try:
        whole = file.read_bytes()
    except FileNotFoundError:
        raise MissingCheckpoint(f"{file}: there is no such checkpoint") from None
    if sha256(whole[64:]).hexdigest().encode() != whole[:64]:
        raise DamagedCheckpoint(f"{file} is damaged")
    state: dict[str, Any] = json.loads(whole[64:])
    return state


def look(folder: Path) -> None:
    """What of the folder's last checkpoint is whole, the log says: what comes after it is trained again. A
    pretrain that was finished begins anew."""
    whole = not (folder / SEAL).is_file() and is_whole(folder / LAST)
    if folder.is_dir():
        _log(folder, "save", 0, _read(folder / LAST)["step"] if whole else 0)


def is_whole(file: Path) -> bool:
    try:
        return bool(_read(file))
    except (MissingCheckpoint, DamagedCheckpoint):
        return False


def _log(folder: Path, what: str, attempt: int, step: object) -> None:
    with open(folder / LOG, "ab", buffering=0) as log:
        log.write(f"{what} {attempt} {step}\n".encode())
