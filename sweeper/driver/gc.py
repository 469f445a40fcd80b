"""What does no sweep of the database need any more? `gc` deletes that, but nothing of a sweep that runs;
`delete` one sweep that nobody wants any more.

It holds the lease of every sweep that it looks into, so that no driver begins one meanwhile, and the lock of
every folder that it deletes from. What the database does not know it leaves alone: it may be another's.
"""

import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path
from time import time
from typing import NamedTuple

from filelock import FileLock, Timeout

from sweeper.driver import retention
from sweeper.driver.lease import lease
from sweeper.files import stage_cache
from sweeper.files.disk import bytes_of
from sweeper.files.kept_stages import kept_stages, refusal
from sweeper.files.remote import is_remote, logs_of
from sweeper.files.scratch import end_orphans, left_behind
from sweeper.files.snapshots import Snapshots
from sweeper.files.sweep_files import delete_stage, delete_trials
from sweeper.store.engine import LeaseLost
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord, host_and_pid
from sweeper.store.store import Store

PATIENCE = 600.0  # seconds of a lease; it is given back at the end
HALF_WRITTEN = ("*.tmp", "*.new", "*.damaged")  # checkpoints, configurations, seals


class Waste(NamedTuple):
    what: str
    where: str  # the sweep's name, or the stage's key
    paths: tuple[Path | str, ...]  # str: in an object store
    bytes: int
    folder: Path | None = None  # whose lock a worker may hold
    copies: str = ""  # the URI of an object store's folder that paths are of; or is itself to go


class Left(NamedTuple):
    where: str
    why: str


class Collected(NamedTuple):
    waste: list[Waste]
    left: list[Left]


def collect(url: str, *, dry_run: bool) -> Collected:
    """dry_run: nothing is deleted, nothing is written. Raises StoreError."""
    Reader(url).close()  # says so where there is no store
    with ExitStack() as stack:
        # Opened first: an older store is brought up to date, and no copy of it is read for what is deleted.
        store = None if dry_run else stack.enter_context(closing(Store(url)))
        reader = stack.enter_context(closing(Reader(url)))
        sweeps = reader.sweeps()
        if store is None:
            driven = [
                Left(s.name, f"run by {s.lease_holder}") for s in sweeps if time() < (s.lease_until or 0.0)
            ]
            ours: list[str] = []
        else:
            driven, ours = _take_leases(store, sweeps, stack)
        busy = {each.where for each in driven}
        found = [each for sweep in sweeps if sweep.name not in busy for each in _of_sweep(reader, sweep)]
        found += _of_stages(reader, ours)
        stay = [] if dry_run else [each for each in found if not _delete(each)]
        left = [
            *driven,
            *(Left(each.where, _why(each)) for each in stay),
            *_unknown(reader, sweeps),
        ]
        return Collected([each for each in found if each not in stay], left)


class Deleted(NamedTuple):
    trials: int
    stages: int  # pretrains
    spared: int  # of them, that other sweeps use
    bytes: int  # on this machine


def delete(store: Store, reader: Reader, sweep: SweepRecord) -> Deleted:
    """The sweep, its files and the pretrains that it alone uses. Files go first and the rows in one
    transaction, so that a deletion that is cut off is repeated and ends the same.

    Raises LeaseLost while a driver lives; InUse, OSError."""
    with lease(store, sweep, PATIENCE) as holder:
        writer = store.writer(sweep.id, holder)
        mine, others = set[str](), set[str]()
        for use in reader.stage_uses():
            (mine if use.sweep == sweep.id else others).add(use.stage)
        writer.add_event("delete", "its files are being deleted; `delete` goes on with that")
        freed = delete_trials(sweep) + sum(map(delete_stage, reader.stages(sorted(mine - others))))
        count = sum(trial.repeat_of is None for trial in reader.trials(sweep.id))
        writer.delete()
    return Deleted(count, len(mine), len(mine & others), freed)


def _take_leases(store: Store, sweeps: list[SweepRecord], stack: ExitStack) -> tuple[list[Left], list[str]]:
    """What is being run; and under which names the others are ours now."""
    driven, ours = [], []
    for sweep in sweeps:
        try:
            ours.append(stack.enter_context(lease(store, sweep, PATIENCE)))
        except LeaseLost:
            driven.append(Left(sweep.name, f"run by {host_and_pid(sweep.lease_holder or '')}"))
    return driven, ours


def _of_sweep(reader: Reader, sweep: SweepRecord) -> Iterator[Waste]:
    what = "checkpoints beyond keep"
    for each in retention.excess(reader, sweep):
        if is_remote(each.folder):
            yield Waste(what, sweep.name, tuple(each.paths), each.bytes, copies=each.folder)
        else:
            folder = Path(each.folder)
            yield Waste(what, sweep.name, tuple(map(Path, each.paths)), each.bytes, folder)
    folder = logs_of(sweep.folder) / "trials" / str(sweep.id)
    for trial in sorted(folder.glob("*/")):
        yield from _half_written(sweep.name, trial)
    scratch = left_behind(folder)
    if scratch is not None and scratch.is_dir():
        yield Waste("Ray's files of a driver that was killed", sweep.name, (scratch,), bytes_of(scratch))


def _of_stages(reader: Reader, ours: Collection[str]) -> Iterator[Waste]:
    """Those that no sweep which may go on uses."""
    now = time()
    for kept in kept_stages(reader, now, ours):
        uri = kept.stage.folder if is_remote(kept.stage.folder) else ""
        folder = Path(kept.stage.folder)
        if not refusal(kept, now, days=0):
            what = "pretrain of sweeps that have ended" if kept.uses else "pretrain that no sweep uses"
            if uri:
                yield Waste(what, kept.stage.key, (uri,), kept.bytes, copies=uri)
            else:
                yield Waste(what, kept.stage.key, tuple(stage_cache.heavy(folder)), kept.bytes, folder)
        elif not kept.needed and not uri:
            yield from _half_written(kept.stage.key, folder)


def _half_written(where: str, folder: Path) -> Iterator[Waste]:
    paths = tuple(file for pattern in HALF_WRITTEN for file in sorted(folder.rglob(pattern)))
    if paths:
        yield Waste("half-written files", where, paths, sum(map(bytes_of, paths)), folder)


def _unknown(reader: Reader, sweeps: list[SweepRecord]) -> Iterator[Left]:
    """Of folders on this machine."""
    here = [sweep for sweep in sweeps if not is_remote(sweep.folder)]
    known = {Path(sweep.folder) / "trials" / str(sweep.id) for sweep in here}
    for there in sorted({path for folder in known for path in folder.parent.glob("*/")} - known):
        yield Left(str(there), "of no sweep in this database")
    for sweep in here:
        mine = {str(trial.id) for trial in reader.trials(sweep.id)}
        for there in sorted((Path(sweep.folder) / "trials" / str(sweep.id)).glob("*/")):
            if there.name not in mine:
                yield Left(str(there), f"of no trial of {sweep.name}")
    keys = {stage.key for stage in reader.stages()}
    for there in sorted({path for sweep in here for path in Path(sweep.folder).glob("stages/*/")}):
        if there.name not in keys:
            yield Left(str(there), "of no pretrain in this database")


def _delete(waste: Waste) -> bool:
    """False: a worker is in the folder, or an object store does not answer, and nothing was deleted."""
    if waste.copies:
        return _delete_there(waste)
    try:
        with FileLock(waste.folder / ".lock", timeout=0) if waste.folder else nullcontext():
            for path in map(Path, waste.paths):
                if path.is_dir():
                    end_orphans(path)
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
    except Timeout:
        return False
    return True


def _delete_there(waste: Waste) -> bool:
    try:
        copies = Snapshots(waste.copies)
        if waste.paths == (waste.copies,):
            copies.clear()
        else:
            copies.drop([str(path).partition("?")[0].rpartition("/")[2] for path in waste.paths])
    except OSError:
        return False
    return True


def _why(stays: Waste) -> str:
    if stays.copies:
        return f"{stays.copies.partition('?')[0]} does not answer"
    return f"a worker is in {stays.folder}"
