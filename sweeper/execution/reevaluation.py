"""Checkpoints scored again, without training, in this process: with more masks, for what ranks.

The scores take the place of the runs' own evaluations (round 0 of the store's `scores`). It holds the sweep's
lease meanwhile, so that no driver begins; killed, what was scored is scored.
"""

import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, closing, nullcontext
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from sweeper.driver.lease import LEASE, lease
from sweeper.driver.retention import folder_of
from sweeper.execution.mirror import copied_here
from sweeper.files.remote import is_remote, within
from sweeper.results.race_plan import race_plan
from sweeper.results.ranking import AFTER_SEARCH
from sweeper.spec.sections import Settle
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord, TrialRecord
from sweeper.store.store import Store
from sweeper.store.writer import Writer
from trainer.errors import CheckpointError, DataError, TrainingError


class Masks(NamedTuple):
    """How many: for a wanted error of masks alone, in nats per token, or their number. One of the two."""

    error: float | None
    number: int | None


def contenders(reader: Reader, sweep: SweepRecord) -> list[int]:
    """Configurations that a race would be of."""
    settle = Settle.model_validate(sweep.spec.get("settle") or {})
    return [each for contest in race_plan(reader, sweep.id, settle).contests for each in contest.contenders]


def reevaluate(
    url: str,
    name: str,
    configurations: Collection[int],
    masks: Masks,
    say: Callable[[str], None],
    trainer: str = "trainer.training.train",
) -> list[TrialRecord]:
    """Of each configuration all runs that rank it; returns those that were scored. What cannot be is said.

    Raises StoreError, LeaseLost where the sweep is being run.
    """
    with closing(Store(url)) as store, closing(Reader(url)) as reader:
        sweep = reader.sweep(name)
        if sweep is None:
            raise StoreError(f"there is no sweep {name} in this database")
        with lease(store, sweep) as holder:
            writer = store.writer(sweep.id, holder)
            runs = [
                trial
                for trial in reader.trials(sweep.id)
                if trial.configuration in configurations
                and trial.role not in AFTER_SEARCH
                and (trial.state, trial.repeat_of) == ("complete", None)
            ]
            scored = []
            for trial in runs:
                try:
                    with _run_of(sweep, trial.id) as folder:
                        said = _score(trial, folder, masks, writer, trainer)
                except (CheckpointError, DataError, TrainingError) as error:
                    said = str(error)
                else:
                    scored.append(trial)
                say(f"trial {trial.called}: {said}")
            return scored


def _run_of(sweep: SweepRecord, trial: int) -> AbstractContextManager[Path]:
    if is_remote(sweep.folder):
        return copied_here(within(sweep.folder, "trials", str(sweep.id), str(trial)))
    return nullcontext(folder_of(sweep, trial))


def _score(trial: TrialRecord, folder: Path, masks: Masks, writer: Writer, trainer: str) -> str:
    renewed, cpu_began = time.monotonic(), time.process_time()
    said = ""
    reports = import_module(trainer).score(folder, error=masks.error, masks=masks.number)
    for report in reports:
        if time.monotonic() - renewed > LEASE / 3:
            writer.renew_lease(LEASE)
            renewed = time.monotonic()
        if report is not None:
            writer.add_scores(trial.id, 0, report.evaluations, time.process_time() - cpu_began)
            said = ", ".join(f"{each.split} {each.nelbo:.5f} nats per token" for each in report.evaluations)
    return said
