"""python -m tests.simulation.under_ray [--sweeps 17] [--first SEED] [--write]: faults under a real Ray.

The sweep of the kill proof (tests/sweeper/execution/test_kill_proof.py): real text, the real trainer, a real
Ray. A seed draws FAULTS of them, each at a moment of its own; the same line goes on after each. What it comes
to must equal what came of the sweep that nobody disturbed, to the bit.
"""

import argparse
import json
import math
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from sweeper.store.queries import Reader
from tests.simulation.reliability import UNDER_RAY, with_earlier
from tests.sweeper.driving import told
from tests.sweeper.execution.test_kill_proof import (
    STAGE,
    TRIAL,
    TRIALS,
    Whole,
    board,
    make_whole,
    snapshot,
    tokens,
    trained,
)
from tests.sweeper.processes import Work, pairs

FAULTS = 6  # of a sweep
MOST = 8  # times that the line is typed again without a fault: what takes more is stuck
PATIENCE = 900.0  # seconds in which a driver ends: what takes longer hangs

Driver = "subprocess.Popen[str]"


class Damage(NamedTuple):
    """What may be trained again, for its checkpoint is gone."""

    folders: tuple[Path, ...] = ()


# --- the faults -----------------------------------------------------------------------------------
def driver_killed(cut: Work, driver: Driver, chance: random.Random) -> Damage:
    driver.kill()
    return Damage()


def driver_interrupted(cut: Work, driver: Driver, chance: random.Random) -> Damage:
    driver.send_signal(signal.SIGINT)
    return Damage()


def worker_killed(cut: Work, driver: Driver, chance: random.Random) -> Damage:
    for worker in cut.workers():
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
    return Damage()


def raylet_killed(cut: Work, driver: Driver, chance: random.Random) -> Damage:
    return _killed(driver, "raylet")


def head_killed(cut: Work, driver: Driver, chance: random.Random) -> Damage:
    return _killed(driver, "gcs_server")


def stage_deleted(cut: Work, driver: Driver, chance: random.Random) -> Damage:
    """A pretrain that trials share, while they do."""
    there = sorted(cut.files.glob(STAGE + "/"))
    if not there:
        return worker_killed(cut, driver, chance)
    folder = chance.choice(there)
    shutil.rmtree(folder, ignore_errors=True)
    return Damage((folder,))


def files_unwritable(cut: Work, driver: Driver, chance: random.Random) -> Damage:
    """For seconds: the folder stands under another name, and a file in its place."""
    away = cut.files.with_name("away")
    cut.files.rename(away)
    cut.files.touch()
    time.sleep(chance.uniform(1, 4))
    cut.files.unlink()
    away.rename(cut.files)
    return Damage()


def store_replaced(cut: Work, driver: Driver, chance: random.Random) -> Damage:
    """By a copy that is seconds old, beside folders that are newer."""
    store = cut.place / "sweeps.db"
    with closing(sqlite3.connect(store)) as now, closing(sqlite3.connect(cut.place / "older.db")) as older:
        now.backup(older)
    time.sleep(chance.uniform(1, 5))
    driver.kill()
    driver.wait()
    for suffix in ("-wal", "-shm"):
        store.with_name(store.name + suffix).unlink(missing_ok=True)
    (cut.place / "older.db").replace(store)
    return Damage()


def _file_damaged(name: str, spoil: Callable[[bytes], bytes]) -> Callable[..., Damage]:
    """Of a trial that runs, whose worker is killed then: so that the next one reads it."""

    def strike(cut: Work, driver: Driver, chance: random.Random) -> Damage:
        files = sorted(cut.files.glob(f"{TRIAL}/{name}"), key=lambda file: file.stat().st_mtime)
        if not files:
            return worker_killed(cut, driver, chance)
        worker_killed(cut, driver, chance)
        files[-1].write_bytes(spoil(files[-1].read_bytes()))
        return Damage((files[-1].parent,))

    return strike


def _killed(driver: Driver, name: str) -> Damage:
    """A process of Ray's, by its name, that the driver has started. Linux."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            if (process / "comm").read_text().strip() == name and _parent(process) == driver.pid:
                os.kill(int(process.name), signal.SIGKILL)
    return Damage()


def _parent(process: Path) -> int:
    return int((process / "stat").read_text().rpartition(")")[2].split()[1])


KINDS: dict[str, Callable[..., Damage]] = {
    "driver killed": driver_killed,
    "driver interrupted": driver_interrupted,
    "worker killed": worker_killed,
    "raylet killed": raylet_killed,
    "Ray's head killed": head_killed,
    "files not writable for seconds": files_unwritable,
    "pretrain's folder deleted": stage_deleted,
    "store replaced by an older copy": store_replaced,
    "checkpoint cut": _file_damaged("last.safetensors", lambda whole: whole[: len(whole) // 2]),
    "checkpoint emptied": _file_damaged("last.safetensors", lambda whole: b""),
    "checkpoint's header damaged": _file_damaged("last.safetensors", lambda whole: b"\xff" * 16 + whole[16:]),
    "a bit of a tensor flipped": _file_damaged(
        "last.safetensors", lambda whole: whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:]
    ),
    "rows.jsonl cut": _file_damaged("rows.jsonl", lambda whole: whole[: len(whole) // 2]),
    "config.json cut": _file_damaged("config.json", lambda whole: whole[: len(whole) // 2]),
}


# --- a sweep ----------------------------------------------------------------------------------------
class Ended(NamedTuple):
    """kinds: of its faults. The rest counts what must not be."""

    kinds: list[str]
    wrong: list[str]
    repeated: int = 0  # steps that a whole checkpoint held, and that were trained again
    hung: int = 0


def disturbed(seed: int, whole: Whole, place: Path) -> Ended:
    chance, cut = random.Random(f"under ray {seed}"), Work(place)
    kinds = [chance.choice(sorted(KINDS)) for _ in range(FAULTS)]
    free, held = set[Path](), list[dict[Path, tuple[int, int]]]()
    more, again, code = list(kinds), 0, None
    driver = cut.start_real(whole.text)
    while code != 0:
        if more and driver.poll() is None:
            _wait_for(trained(cut, chance.randrange(2, 40)), driver)
            time.sleep(chance.uniform(0, 0.3))
        if more and driver.poll() is None:
            struck = KINDS[more.pop(0)](cut, driver, chance)
            free.update(struck.folders)
            held.append(_snapshot(cut, free))
        if more and driver.poll() is None:
            continue
        try:
            code = driver.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            driver.kill()
            return Ended(kinds, [], hung=1)
        if code != 0 and not more:
            again += 1
        if again > MOST:
            return Ended(kinds, [f"wrong: exit code {code} for ever"])
        if code != 0 or more:
            code = None
            driver = cut.start_real(whole.text)
    return Ended(kinds, list(_wrong(cut, whole)), _repeated(held, free))


def _wait_for(condition: Callable[[], bool], driver: Driver) -> None:
    """Or for the driver's end, or a while: a sweep that stands still is struck as it stands."""
    deadline = time.monotonic() + 60
    while not condition() and driver.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


def _snapshot(work: Work, free: set[Path]) -> dict[Path, tuple[int, int]]:
    """By folder: the step that its whole checkpoint holds, and how many lines its ledger then has."""
    try:
        return {folder: kept for folder, kept in snapshot(work).items() if folder not in free}
    except Exception:  # a checkpoint is damaged just now
        return {}


def _repeated(held: list[dict[Path, tuple[int, int]]], free: set[Path]) -> int:
    found = set()
    for kept in held:
        for folder, (step, lines) in kept.items():
            if folder not in free and (folder / "ledger.txt").exists():
                again = pairs(folder / "ledger.txt")[lines:]
                found.update((folder, each) for each in again if each[1] <= step)
    return len(found)


def _wrong(cut: Work, whole: Whole) -> Iterator[str]:
    with closing(Reader(cut.url)) as reader:
        own = [trial for trial in reader.trials(1) if trial.repeat_of is None]
        ends = Counter(e.trial for e in reader.events(1, limit=10_000) if e.kind == "end" and e.trial)
    if [trial.state for trial in own] != ["complete"] * TRIALS:
        yield f"lost: {[trial.state for trial in own]}"
    if any(count != 1 for count in ends.values()):
        yield f"doubled: {ends}"
    for name, mine, theirs in (
        ("tables", told(cut.url), whole.told),
        ("board", board(cut), whole.board),
        ("tokens", tokens(cut), whole.tokens),
    ):
        if mine != theirs:
            yield f"wrong: {name}"


# --- all of them ----------------------------------------------------------------------------------
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=17)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=math.inf, help="No sweep is begun after.")
    said = f"Keep what came of it in {UNDER_RAY.name}, with what came of the seeds just before these."
    parser.add_argument("--write", action="store_true", help=said)
    given = parser.parse_args()
    until = time.monotonic() + 60 * given.minutes
    ended: dict[int, Ended] = {}
    with tempfile.TemporaryDirectory(prefix="under-ray-") as base:
        os.environ["TRAINER_CACHE"] = f"{base}/cache"
        (Path(base) / "whole").mkdir()
        whole = make_whole(Path(base) / "whole")
        for seed in range(given.first, given.first + given.sweeps):
            if time.monotonic() > until:
                break
            place = Path(base) / str(seed)
            place.mkdir()
            ended[seed] = found = disturbed(seed, whole, place)
            bad = [*found.wrong, *["hung"] * found.hung, *["steps repeated"] * (found.repeated > 0)]
            print(f"seed {seed} ({', '.join(found.kinds)}): {'; '.join(bad) or 'as undisturbed'}", flush=True)
            if not bad:
                shutil.rmtree(place)
    rows = rows_of(ended)
    print("\n".join(f"{row['fault']:<34}{row['times']:>5}" for row in rows))
    if given.write:
        first, rows = with_earlier(given.first, rows)
        settings = {"first": first, "sweeps": given.first - first + len(ended)}
        UNDER_RAY.write_text(json.dumps({"settings": settings, "rows": rows}, indent=1) + "\n")


def rows_of(ended: Mapping[int, Ended]) -> list[dict[str, Any]]:
    """A row for each kind of fault: how often it struck, and what came of the sweeps that it struck."""
    rows = []
    for kind in sorted(KINDS):
        theirs = [each for each in ended.values() if kind in each.kinds]
        wrong = [said for each in theirs for said in each.wrong]
        counted = {how: sum(said.startswith(how) for said in wrong) for how in ("lost", "doubled", "wrong")}
        times = sum(each.kinds.count(kind) for each in ended.values())
        more = {"repeated": sum(each.repeated for each in theirs), "hung": sum(each.hung for each in theirs)}
        rows.append({"fault": kind, "times": times, **counted, **more})
    return rows


if __name__ == "__main__":
    main()
