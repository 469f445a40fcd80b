"""python -m tests.simulation.simulate [--seeds N] [--first K] [--jobs 2]: sweeps with faults, each from one
seed.

A seed draws a specification, slots and faults. The sweep runs undisturbed, then with the faults, in the real
driver with the real store, pruners and samplers; only what trains and what executes are simulated. It prints
each seed that violates what docs/reliability.md promises, and the line that replays it."""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.simulation import faults, oracle
from tests.simulation.scenario import draw
from tests.simulation.sweep import Sweep, Violation

MEMORY = Path("/dev/shm")  # a disk that is faster than one


class Outcome(NamedTuple):
    seed: int
    kinds: tuple[str, ...]  # of the faults
    drivers: int
    violation: str  # '' where all is well
    seconds: float


def simulate(seed: int) -> Outcome:
    began = time.process_time()
    base = MEMORY if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="simulated-", dir=base) as place:
        scenario = draw(seed)
        planned: list[faults.Fault] = []
        sweep = None
        try:
            undisturbed = _run(Sweep(scenario, Path(place) / "undisturbed"))
            planned = faults.draw(seed, undisturbed.world.points)
            sweep = Sweep(scenario, Path(place) / "disturbed")
            for fault in planned:
                fault.plant(sweep)
            _run(sweep)
            if scenario.slots == 1 and sweep.spec.budget is None and _change_nothing(planned):
                oracle.equal(sweep, undisturbed)
            wrong = ""
        except Violation as violation:
            wrong = str(violation)
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
            if os.environ.get("SIMULATE_RAISE"):
                raise
        kinds = tuple(type(fault).__name__ for fault in planned)
        drivers = len(sweep.endings) if sweep else 0
        return Outcome(seed, kinds, drivers, wrong, time.process_time() - began)


def _change_nothing(planned: list[faults.Fault]) -> bool:
    """Of one slot; half a batch at a time has other last digits in earnest, and other values here."""
    half = any(isinstance(fault, faults.WorkerLost) and fault.how == "memory" for fault in planned)
    return not half and all(fault.changes_nothing for fault in planned)


def _run(sweep: Sweep) -> Sweep:
    sweep.place.mkdir()
    sweep.run()
    oracle.check(sweep)
    return sweep


def outcomes(seeds: range, jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        yield from map(simulate, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(simulate, seeds, chunksize=5)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    tried, wrong, drivers, seconds = Counter[str](), 0, 0, 0.0
    for outcome in outcomes(range(given.first, given.first + given.seeds), given.jobs):
        tried.update(outcome.kinds)
        drivers += outcome.drivers
        seconds += outcome.seconds
        if outcome.violation:
            wrong += 1
            print(f"seed {outcome.seed} ({', '.join(outcome.kinds)}): {outcome.violation}", flush=True)
            print(
                f"    python -m tests.simulation.simulate --first {outcome.seed} --seeds 1 --jobs 1",
                flush=True,
            )
    for kind, times in sorted(tried.items()):
        print(f"{kind:<16}{times:>7}")
    print(f"{given.seeds} sweeps, {drivers} drivers, {seconds:.0f} CPU-seconds: {wrong} violations")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
