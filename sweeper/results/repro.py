"""The command that makes a trial again, without the sweep: equal to the bit on the same machine.

It trains the trial's own pretrain, where the sweep branched from a shared one; the two are equal
(tests/trainer/training/test_train.py). Only what is not a default stands in it.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from ruamel.yaml import YAML, YAMLError

from sweeper.store.queries import Reader
from sweeper.store.records import EvaluationRecord, SweepRecord, TrialRecord
from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig
from trainer.training.rows import read_rows

LAST_DROPPED = ("name", "size", "length", "steps", "block_size")  # other defaults follow from these


class Repro(NamedTuple):
    settings: list[str]  # key=value, each as the trainer reads it
    device: str
    threads: int
    fused: int = 1  # with so many, at most, its steps were taken as one

    def words(self, out: Path) -> list[str]:
        return ["-m", "trainer", "train", "--out", str(out), "--device", self.device, *self.settings]

    def line(self, out: Path) -> str:
        """For a shell."""
        return f"OMP_NUM_THREADS={self.threads} python {shlex.join(self.words(out))}"


class Check(NamedTuple):
    stored: float  # val_nelbo, nats per token
    again: float
    equal: bool  # to the bit, document by document
    fused: int = 1  # as Repro has it

    def words(self) -> str:
        if self.equal:
            return f"equal to the bit: val_nelbo {self.again!r}"
        difference = self.again - self.stored
        why = (
            f"; its steps were taken as one with others' (resources.fused: {self.fused}), and round otherwise"
        )
        return (
            f"not equal: val_nelbo {self.again!r} now, {self.stored!r} then, {difference:+.3g} nats per token"
            f"{why if self.fused > 1 else ''}"
        )


class CannotRepeat(ValueError):
    """Why there is nothing to compare with, or no run to compare, as one sentence."""


def repro(reader: Reader, sweep: SweepRecord, trial: TrialRecord) -> Repro:
    """Raises InvalidConfig where this version has no such run any more."""
    values = {**reader.configurations(sweep.id)[trial.configuration], "seed": trial.seed}
    resources = sweep.spec.get("resources", {})
    return Repro(
        [f"{key}={as_yaml(value)}" for key, value in not_default(values).items()],
        # A worker without a GPU trains on the CPU even where the machine has one.
        "auto" if trial.gpu_seconds else "cpu",
        max(1, int(resources.get("cpu", 1))),
        int(resources.get("fused", 1)),
    )


def not_default(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fewest of a complete run's values that still say the same run, in their order."""
    config = TrainConfig.from_dotted(values)
    kept = config.to_dotted()
    names = list(kept)
    for name in sorted(names, key=lambda name: (name.split(".")[-1] in LAST_DROPPED, names.index(name))):
        fewer = {key: value for key, value in kept.items() if key != name}
        try:
            if TrainConfig.from_dotted(fewer) == config:
                kept = fewer
        except InvalidConfig:
            continue
    return kept


def as_yaml(value: Any) -> str:
    """As it is written after `key=`: a text bare where YAML reads it back as the same text."""
    if isinstance(value, str):
        try:
            bare = YAML(typ="safe").load(value)
        except YAMLError:
            bare = None
        return value if bare == value and value == value.strip() else json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)


def check(reader: Reader, trial: TrialRecord, found: Repro) -> Check:
    """Runs it in a temporary folder, its progress on stderr. Raises CannotRepeat."""
    stored = _stored(reader, trial)
    environment = {**os.environ, "OMP_NUM_THREADS": str(found.threads), "MKL_NUM_THREADS": str(found.threads)}
    with TemporaryDirectory(prefix="repro-") as scratch:
        out = Path(scratch) / "run"
        done = subprocess.run([sys.executable, *found.words(out)], env=environment, stdout=subprocess.DEVNULL)
        if done.returncode:
            raise CannotRepeat(f"the trainer ended with exit code {done.returncode}")
        evaluations = [
            each for row in read_rows(out / "rows.jsonl") for each in row.evaluations if each.split == "valid"
        ]
    best = min(evaluations, key=lambda each: (not each.ranks, each.nelbo, each.step))
    same = (best.step, best.nelbo, best.nats_D) == (stored.step, stored.nelbo, stored.nats)
    return Check(stored.nelbo, best.nelbo, same, found.fused)


def _stored(reader: Reader, trial: TrialRecord) -> EvaluationRecord:
    if trial.state != "complete":
        raise CannotRepeat(f"trial {trial.id} is {trial.state}: only a complete one can be compared")
    found = [each for each in reader.evaluations(trial.sweep, "valid") if each.trial == trial.id]
    if not found:
        raise CannotRepeat(f"trial {trial.id} was never evaluated")
    return found[0]
