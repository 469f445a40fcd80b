"""The pretrains that are kept: who uses each, what it has cost, and which may be cleared."""

from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from sweeper.files import stage_cache
from sweeper.files.remote import is_remote
from sweeper.files.snapshots import Snapshots
from sweeper.store.queries import Reader
from sweeper.store.records import StageRecord, StageUse, SweepRecord

DAY = 86400.0  # seconds
ENDED = ("complete", "failed")  # states of a sweep that proposes no more


class Kept(NamedTuple):
    stage: StageRecord
    bytes: int  # on this machine's disk
    uses: dict[str, int]  # trials by sweep
    needed: str  # why it cannot go, as the end of a sentence; '' where it can
    open: str  # which sweep may yet propose a trial that needs it; '' for none


def kept_stages(reader: Reader, now: float, ours: Collection[str] = ()) -> list[Kept]:
    """Every stage that the store knows, in order of key; now: seconds since 1970.

    ours: lease holders that do not run what they hold.
    """
    sweeps = {sweep.id: sweep for sweep in reader.sweeps()}
    for sweep in sweeps.values():
        if sweep.lease_holder in ours:
            sweeps[sweep.id] = sweep._replace(lease_until=None)
    uses: dict[str, list[StageUse]] = {}
    for use in reader.stage_uses():
        uses.setdefault(use.stage, []).append(use)
    return [_kept(stage, uses.get(stage.key, []), sweeps, now) for stage in reader.stages()]


def _kept(stage: StageRecord, uses: list[StageUse], sweeps: dict[int, SweepRecord], now: float) -> Kept:
    needed, still_open = "", ""
    for use in uses:
        sweep = sweeps[use.sweep]
        if sweep.state not in ENDED:
            still_open = f"{sweep.name} has not ended"
        if (sweep.lease_until or 0.0) > now:
            needed = f"{sweep.name} is being run"
        elif use.unfinished:
            trials = "1 trial" if use.unfinished == 1 else f"{use.unfinished} trials"
            needed = f"{trials} of {sweep.name} {'is' if use.unfinished == 1 else 'are'} still to be run"
        elif sweep.spec.get("settle") and sweep.state not in ENDED:
            needed = f"{sweep.name} is not settled yet"
    by_sweep = {sweeps[use.sweep].name: use.trials for use in uses}
    return Kept(stage, size(stage.folder), by_sweep, needed, still_open)


def refusal(kept: Kept, now: float, *, days: float) -> str:
    """Why `prune` leaves it alone; '' where it clears it. days: so long ago it must have ended."""
    ended = kept.stage.ended or kept.stage.started or 0.0
    if kept.needed:
        return kept.needed
    if kept.open:
        return kept.open
    if now - ended < days * DAY:
        return f"it ended {(now - ended) / DAY:.1f} days ago"
    return "" if kept.bytes else "it holds no files"


def clear(kept: Iterable[Kept]) -> dict[str, int]:
    """The bytes freed by stage; a stage in which a worker is still at work stays, and is not listed."""
    freed = {}
    for each in kept:
        try:
            with lock_of(each.stage.folder):
                freed[each.stage.key] = _clear(each.stage.folder)
        except Timeout:
            continue
    return freed


def size(folder: str) -> int:
    """Bytes; of an object store too, where it answers."""
    if not is_remote(folder):
        return stage_cache.size(Path(folder))
    with suppress(OSError):
        return Snapshots(folder).size()
    return 0


def lock_of(folder: str) -> AbstractContextManager[object]:
    """The worker's. Nobody who is at work in an object store is disturbed: its next copy is whole again."""
    return nullcontext() if is_remote(folder) else FileLock(Path(folder, ".lock"), timeout=0)


def _clear(folder: str) -> int:
    if not is_remote(folder):
        return stage_cache.clear(Path(folder))
    copies = Snapshots(folder)
    freed = copies.size()
    copies.clear()
    return freed
