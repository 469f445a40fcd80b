"""Checkpoints scored again, without training, in this process: with more masks, for what ranks.

The scores take the place of the runs' own evaluations (round 0 of the store's `scores`), but for those that
would have more error of masks than what is there: the board never goes by a noisier value. It holds the
sweep's lease meanwhile, so that no driver begins; killed, what was scored is scored."""

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from sweeper.driver.lease import LEASE, lease
from sweeper.driver.retention import folder_of
from sweeper.execution.mirror import copied_here
from sweeper.files.remote import is_remote, within
from sweeper.results.limits import less_known
from sweeper.results.race_plan import race_plan
from sweeper.results.ranking import AFTER_SEARCH, ranked_by
from sweeper.spec.sections import Settle
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.records import EvaluationRecord, SweepRecord, TrialRecord
from sweeper.store.store import Store
from sweeper.store.writer import NotItsBest, Writer
from trainer.errors import CheckpointError, DataError, TrainingError
from trainer.evaluation.record import Evaluation


class Rescored(NamedTuple):
    scored: list[TrialRecord]
    kept: list[TrialRecord]  # known better than they would be: as they were


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
) -> Rescored:
    """Of each configuration all runs that rank it. What cannot be scored, or is kept, is said.

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
            ranked, values = ranked_by(reader, sweep.id), reader.configurations(sweep.id)
            scored: list[TrialRecord] = []
            kept: list[TrialRecord] = []
            for trial in runs:
                before, block_size = ranked.get(trial.id), values[trial.configuration]["finetune.block_size"]
                try:
                    with _run_of(sweep, trial.id) as folder:
                        found = _score(folder, masks, writer, trainer)
                    stays = _kept(found.evaluations[0], before, block_size)
                    said = stays or _written(trial, found, writer)
                    (kept if stays else scored).append(trial)
                except (CheckpointError, DataError, TrainingError, NotItsBest) as error:
                    said = str(error)
                say(f"trial {trial.called}: {said}")
            return Rescored(scored, kept)


def _run_of(sweep: SweepRecord, trial: int) -> AbstractContextManager[Path]:
    if is_remote(sweep.folder):
        return copied_here(within(sweep.folder, "trials", str(sweep.id), str(trial)))
    return nullcontext(folder_of(sweep, trial))


class Scored(NamedTuple):
    evaluations: Sequence[Evaluation]  # valid's first
    cpu_seconds: float


def _score(folder: Path, masks: Masks, writer: Writer, trainer: str) -> Scored:
    renewed, cpu_began = time.monotonic(), time.process_time()
    found: Sequence[Evaluation] = ()
    for report in import_module(trainer).score(folder, error=masks.error, masks=masks.number):
        if time.monotonic() - renewed > LEASE / 3:
            writer.renew_lease(LEASE)
            renewed = time.monotonic()
        if report is not None:
            found = report.evaluations
    return Scored(found, time.process_time() - cpu_began)


def _kept(found: Evaluation, before: EvaluationRecord | None, block_size: int) -> str:
    """Why the score that is there stays; '' where it does not."""
    if before is None or not less_known(found.provenance, before.provenance, block_size):
        return ""
    new, old = found.provenance["draws"], before.provenance["draws"]
    return f"keeps its score of {old} masks a block: one of {new} has more error of masks"


def _written(trial: TrialRecord, found: Scored, writer: Writer) -> str:
    writer.add_scores(trial.id, 0, found.evaluations, found.cpu_seconds)
    return ", ".join(f"{each.split} {each.nelbo:.5f} nats per token" for each in found.evaluations)
