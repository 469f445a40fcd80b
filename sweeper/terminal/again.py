"""Which lines make a sweep, and one of its trials, again? For pages and cards that are given away."""

import shlex
from pathlib import Path

from sweeper.results.repro import repro
from sweeper.spec.load import as_typed
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord, TrialRecord
from trainer.config.problems import InvalidConfig


def again(reader: Reader, sweep: SweepRecord, trial: TrialRecord, called: str) -> list[tuple[str, str]]:
    """(what it makes, the line), or what cannot be made and why. called: 'Trial 7'."""
    file = f"{sweep.name}.yaml"
    overrides, _ = as_typed(sweep.spec_text)
    line = f"python -m sweeper run {shlex.join([file, *overrides])}"
    whole = f"The sweep, from the specification below as {file}", line
    try:
        alone = repro(reader, sweep, trial).line(Path("runs") / f"{sweep.name}-{trial.called}")
    except InvalidConfig as error:
        return [whole, (f"{called} cannot be made again by this version", str(error))]
    return [whole, (f"{called} by itself, its pretrain included", alone)]
