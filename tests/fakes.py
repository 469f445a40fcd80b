"""Trainers for tests of the sweeper: the contract of its train module without torch, importable by workers.

The seconds of a step come from FAKE_SECONDS, the place where workers say who they are from FAKE_PIDS.
What its folder holds it reads as the trainer does: it raises where that is cut, or a later attempt's. A phase
misbehaves by its batch size: not a number, out of memory, a bug, a sentence, a dead process, one that
hangs the first time, one that has memory for half a batch, one whose GPU does nothing more from then on.
"""

import json
import math
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from trainer.config.train_config import TrainConfig
from trainer.errors import DamagedBranch, DamagedCheckpoint, StaleAttempt, TrainingError
from trainer.evaluation.record import Evaluation, Report, ratio_and_se

NAN, HUGE, RAISE, SENTENCE, DIE, HANG, GREEDY, ASSERTS, ASSERTS_ONCE = 2, 3, 5, 6, 7, 8, 9, 89, 90
WHERE = {"gpu": "CUDA_VISIBLE_DEVICES", "threads": "OMP_NUM_THREADS"}
ASSERTED = "CUDA error: device-side assert triggered\nCompile with `TORCH_USE_CUDA_DSA` to enable assertions."
broken = False  # this process's context of CUDA
killed = False  # a test that plays a kill in its own process sets it: nothing is saved on the way out


def train(
    config: TrainConfig,
    folder: Path,
    *,
    pretrained: Path | None = None,
    attempt: int = 1,
    acknowledged: int = 0,
    device: str = "auto",
) -> Iterator[Report | None]:
    first = config.pretrain.steps
    start = _branch(pretrained) if pretrained else 1.0
    last = first + config.finetune.steps
    batch_size = config.finetune.batch_size
    yield from _run(config, folder, batch_size, first, last, start, attempt, acknowledged, _score(config))
    if config.finetune.batch_size == NAN:
        yield Report(last, {"val_ppl": math.nan})


def pretrain(
    config: TrainConfig, folder: Path, *, parent: Path | None = None, attempt: int = 1, device: str = "auto"
) -> Iterator[Report | None]:
    batch_size, steps = config.pretrain.batch_size, config.pretrain.steps
    if parent is not None and not _load(folder) and (state := _load(parent)):
        _save(folder, state, attempt)
    yield from _run(config, folder, batch_size, 0, steps, 1.0, attempt, 0, 3 + config.seed / 1000)


def score(
    folder: Path,
    *,
    error: float | None = None,
    masks: int | None = None,
    round: int = 0,
    device: str = "auto",
) -> Iterator[Report | None]:
    """Configurations differ by some thousandths of a nat, runs of one by a few, documents by as many."""
    _say("score", folder)
    state = _load(folder)
    if not state or (folder / "unreadable").exists():
        raise TrainingError(f"{folder}: there is no checkpoint")
    yield None
    drawn = random.Random(f"{state['score']!r} {round}")  # of the run, wherever it lies
    value = state["score"] / 10 + drawn.gauss(0, 0.004)
    nats = [100 * (value + drawn.gauss(0, error or 0.01)) for _ in range(20)]
    nelbo, se = ratio_and_se(nats, [100] * 20)
    how = {"bound": "sampled", "estimator": "subsets, controlled", "draws": masks} if masks else {}
    step = min(state["rows"], key=lambda row: row["value"])["step"]
    yield Report(step, {}, (Evaluation("valid", step, nelbo, se, {}, how, nats, [100] * 20),))


def _run(
    config: TrainConfig,
    folder: Path,
    batch_size: int,
    first: int,
    last: int,
    value: float,
    attempt: int,
    acknowledged: int,
    score: float,
) -> Iterator[Report | None]:
    seconds = float(os.environ.get("FAKE_SECONDS", "0"))
    state = _load(folder) or {"step": first, "value": value, "rows": []}
    if state.get("attempt", 0) > attempt:
        said = f"{folder}: attempt {state['attempt']} has been here, {attempt} is too late"
        raise StaleAttempt(said, state["attempt"])
    where = {name: os.environ.get(key) for name, key in WHERE.items()}
    (folder / "where.json").write_text(json.dumps({"pid": os.getpid(), **where}))
    _say("begin", folder)
    saved = time.monotonic()
    with open(folder / "ledger.txt", "ab", buffering=0) as ledger:  # held: who has it open trains here
        try:
            for row in state["rows"]:
                if row["step"] > acknowledged:
                    yield _report(row)
            while state["step"] < last:
                step = state["step"] + 1
                if step == first + 2:
                    _misbehave(batch_size, config.accumulate, attempt)
                time.sleep(seconds)
                value = math.sin(state["value"] + score) + score
                rows = state["rows"]
                if step % config.evaluation.every == 0 or step == last:
                    tokens = (step - first) * batch_size * config.data.length
                    rows = [*rows, {"step": step, "value": value, "tokens": tokens}]
                state = {"step": step, "value": value, "rows": rows, "score": score}
                ledger.write(f"{attempt} {step}\n".encode())
                if (rows and rows[-1]["step"] == step) or time.monotonic() - saved > config.checkpoint.every:
                    _save(folder, state, attempt)
                    saved = time.monotonic()
                yield _report(rows[-1]) if rows and rows[-1]["step"] == step else None
        finally:
            if not killed:
                _save(folder, state, attempt)
            _say("end", folder)


def _score(config: TrainConfig) -> float:
    mu = config.to_dotted().get("finetune.schedule.mu", 0.9)
    return 3 + (mu - 0.4) ** 2 + config.finetune.block_size / 100 + config.seed / 1000


def _report(row: dict) -> Report:
    value = row["value"]
    identity = {"text": "fake"}
    evaluation = Evaluation("valid", row["step"], math.log(value), 0.1, identity, {}, [value, 1.0], [1, 1])
    values = {
        "val_ppl": value,
        "val_nelbo": math.log(value),
        "tokens": float(row["tokens"]),
        "grad_norm": math.inf,
    }
    return Report(row["step"], values, (evaluation,))


def _misbehave(batch_size: int, accumulate: int, attempt: int) -> None:
    global broken
    match batch_size:
        case 8 if attempt == 1:
            time.sleep(1000)
        case 9 if accumulate < 2:
            bytearray(1 << 60)
        case 3:
            bytearray(1 << 60)
        case 5:
            raise KeyError("a bug in the trainer")
        case 6:
            raise TrainingError("the loss is nan at step 2: lower the learning rate")
        case 89:
            broken = True
        case 90 if attempt == 1:
            broken = True
        case 7:
            os.kill(os.getpid(), signal.SIGKILL)
    if broken:
        raise RuntimeError(ASSERTED)


def _load(folder: Path) -> dict:
    file = folder / "last.safetensors"
    try:
        return json.loads(file.read_text()) if file.is_file() else {}
    except ValueError:
        raise DamagedCheckpoint(f"{file}: damaged or cut off") from None


def _branch(stage: Path) -> float:
    try:
        return _load(stage)["value"]
    except (KeyError, DamagedCheckpoint):
        raise DamagedBranch(f"{stage}: there is no such checkpoint") from None


def _save(folder: Path, state: dict, attempt: int) -> None:
    new = folder / "last.new"
    new.write_text(json.dumps({**state, "attempt": attempt}))
    os.replace(new, folder / "last.safetensors")
    with open(folder / "saves.txt", "ab", buffering=0) as saves:
        saves.write(f"{attempt} {state['step']}\n".encode())


def _say(what: str, folder: Path) -> None:
    place = os.environ.get("FAKE_PIDS")
    if place:
        with open(place, "ab", buffering=0) as file:
            file.write(f"{time.time()} {os.getpid()} {what} {folder.name}\n".encode())
