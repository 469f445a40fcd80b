"""One training run: a generator of reports that may be closed at any moment and started again.

    for report in train(config, folder):
        if report is not None: ...

A folder holds config.json, last.safetensors (everything), best.safetensors (weights alone), rows.jsonl
and ledger.txt. A run that was closed, or killed, and is started again with the same folder ends with
the same bits as one that was not (on CPU; same machine, versions and threads).
"""

import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from filelock import FileLock, Timeout

from trainer.config.stored import read_config, read_phase
from trainer.config.train_config import TrainConfig
from trainer.data.base import Split
from trainer.data.corpus import prepare
from trainer.disk import is_full, no_room, write_durably
from trainer.errors import EnvironmentFault, OtherRun
from trainer.evaluation.record import Report
from trainer.heartbeat import meanwhile
from trainer.training.learner import warm_up
from trainer.training.part import PARTS, Part, finetune_of, pretrain_of
from trainer.training.precision import said_in, settled, with_precision
from trainer.training.reevaluate import reevaluate
from trainer.training.rows import read_rows
from trainer.training.run import Run
from trainer.training.run_end import look_ahead
from trainer.training.saver import Saver

Reports = Generator[Report | None, None, None]
HEARTBEAT = 1.0  # seconds; the promise is 2
LOCK_PATIENCE = 60.0  # seconds in which a killed driver's worker is gone


def train(
    config: TrainConfig,
    folder: Path,
    *,
    pretrained: Path | None = None,
    attempt: int = 1,
    acknowledged: int = 0,
    device: str = "auto",
) -> Reports:
    """The finetune phase from a pretrain's folder; where none is given, the pretrain runs in folder/pretrain.

    Yields a Report once the checkpoint that holds its step is on disk, and None at least every 2 s (after
    each optimizer step where one takes longer). Steps go on from the pretrain's, whose own reports are not
    yielded. acknowledged: reports up to that step are not wanted again. Closing saves a checkpoint. Raises
    TrainingError, CheckpointError or DataError.
    """
    config = settled(config, folder, device)
    return _paced(_train(config, folder, pretrained, attempt, acknowledged, device))


def pretrain(
    config: TrainConfig, folder: Path, *, parent: Path | None = None, attempt: int = 1, device: str = "auto"
) -> Reports:
    """The pretrain phase alone: a folder that runs of the same stage_key branch from. Else as `train`.

    parent: the folder of a shorter one of the same stable part, from whose end this goes on. No bit changes.
    """
    config = settled(config, folder, device)
    return _paced(_run(pretrain_of(config), config, folder, parent, attempt, 0, device))


def score(
    folder: Path,
    *,
    error: float | None = None,
    masks: int | None = None,
    round: int = 0,
    device: str = "auto",
) -> Reports:
    """The best checkpoint of the run in the folder, scored again: one Report, without rows, and heartbeats.

    On valid, and on test where the run was judged on it. Else as `reevaluate`.
    """
    return _paced(_score(folder, error, masks, round, device))


def check_folder(config: TrainConfig, folder: Path) -> None:
    """Raises OtherRun, with the differences, where the folder belongs to another run."""
    if config.compute.precision == "auto":
        config = with_precision(config, said_in(folder) or "float32")
    _check_same(finetune_of(config), config, folder)


def _score(folder: Path, error: float | None, masks: int | None, round: int, device: str) -> Reports:
    splits: list[Split] = ["valid", "test"] if read_config(folder).evaluation.test else ["valid"]
    found = []
    for split in splits:
        evaluation = yield from reevaluate(
            folder, split=split, rank_error=error, masks=masks, round=round, device=device
        )
        found.append(evaluation)
    yield Report(found[0].step, {}, tuple(found))


def _train(
    config: TrainConfig, folder: Path, pretrained: Path | None, attempt: int, acknowledged: int, device: str
) -> Reports:
    part = finetune_of(config)
    _check_same(part, config, folder)
    if config.pretrain.steps and pretrained is None:
        pretrained = folder / "pretrain"
        with closing(_run(pretrain_of(config), config, pretrained, None, attempt, 0, device)) as reports:
            for _ in reports:
                yield None
    branch = pretrained if config.pretrain.steps else None
    yield from _run(part, config, folder, branch, attempt, acknowledged, device)


def _run(
    part: Part,
    config: TrainConfig,
    folder: Path,
    branch: Path | None,
    attempt: int,
    acknowledged: int,
    device: str,
) -> Reports:
    """One phase in its folder, from wherever it stands to its end."""
    folder.mkdir(parents=True, exist_ok=True)
    _check_same(part, config, folder)
    yield from prepare(config.data)
    yield from meanwhile(lambda: warm_up(device), "warm-up")
    with ExitStack() as stack:
        yield from _lock(folder, stack)
        if not (folder / "config.json").exists():
            write_durably(folder / "config.json", {"phase": part.name, "config": config.to_dotted()})
        run = Run(part, config, folder, branch, attempt, device)
        stack.callback(run.rows.close)
        stack.callback(run.ledger.close)
        stack.callback(run.steps.leave, run.learner)
        yield from read_rows(folder / "rows.jsonl", after=acknowledged)
        if not run.ended:
            yield from look_ahead(config, run.corpus)
        saver = stack.enter_context(Saver())
        fresh: list[Report] = []
        saved = time.monotonic()
        try:
            while not run.ended:
                if run.progress.recorded < run.progress.step:
                    if run.progress.step == run.part.last:
                        yield from saver.finish()  # its best checkpoint is read
                    report = yield from run.measure()
                    run.record(report)
                    fresh += [report] if report else []
                else:
                    run.take_step()
                evaluated = bool(fresh and fresh[-1].evaluations)
                if run.ended or evaluated or time.monotonic() - saved > config.checkpoint.every:
                    yield from saver.finish()
                    saver.start(run.save(), fresh)
                    fresh, saved = [], time.monotonic()
                yield from saver.written()
                yield None
            yield from saver.finish()
        except GeneratorExit:
            # Closed from outside, at a yield, so between two steps: never half a step on disk.
            saver.wait()
            run.save()()
            raise


def _check_same(part: Part, config: TrainConfig, folder: Path) -> None:
    if not (folder / "config.json").exists():
        return
    phase, its_config = read_phase(folder)
    its_part = PARTS[phase](its_config)
    then = {"phase": its_part.name, **its_part.content}
    now = {"phase": part.name, **part.content}
    differences = [
        f"{key} is {then.get(key, 'not there')!r} there, {now.get(key, 'not there')!r} here"
        for key in {**now, **then}
        if then.get(key) != now.get(key)
    ]
    if differences:
        raise OtherRun(f"{folder} holds another run: {'; '.join(differences)}")


def _lock(folder: Path, stack: ExitStack) -> Iterator[None]:
    """Holds the folder's lock until the stack ends. A stale worker may live for seconds after its driver."""
    lock = FileLock(folder / "lock")
    patience = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            stack.enter_context(lock.acquire(timeout=0.2))
            return
        except Timeout:
            if time.monotonic() > patience:
                raise EnvironmentFault(f"{folder}: another process is training here") from None
            yield None


def _paced(events: Reports) -> Reports:
    """Every report, but of the heartbeats only one a second."""
    beat = time.monotonic()
    try:
        with closing(events):
            for event in events:
                if event is not None or time.monotonic() - beat > HEARTBEAT:
                    yield event
                    beat = time.monotonic()
    except Exception as error:
        if is_full(error):
            raise no_room(error) from None
        raise
