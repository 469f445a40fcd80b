"""python -m tests.simulation.simulate [--seeds N] [--first K] [--jobs 2] [--also KIND]: sweeps with faults,
each
from one seed.

A seed draws a specification, slots and faults. The sweep runs undisturbed, then with the faults, in the real
driver with the real store, pruners and samplers; only what trains and what executes are simulated. It prints
each seed that violates what docs/reliability.md promises, and the line that replays it."""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.simulation import faults, oracle
from tests.simulation.scenario import Scenario, draw
from tests.simulation.sweep import Sweep, Violation

MEMORY = Path("/dev/shm")  # a disk that is faster than one
TWICE = 10  # of so many seeds one is run twice with its faults: both are to be the same
Planned = Sequence[faults.Fault | faults.NotPromised]


class Outcome(NamedTuple):
    seed: int
    struck: tuple[str, ...]  # kinds of faults, as they came
    drivers: int
    kind: str  # of the violation; '' where all is well
    violation: str
    seconds: float
    within: frozenset[str]  # what the specification has


def simulate(seed: int, also: tuple[type[faults.NotPromised], ...] = ()) -> Outcome:
    began = time.process_time()
    base = MEMORY if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="simulated-", dir=base) as place:
        scenario, sweep = draw(seed), None
        kind = wrong = ""
        try:
            undisturbed = _run(scenario, Path(place) / "undisturbed")
            planned = faults.draw(seed, undisturbed.world.points, also)
            sweep = Sweep(scenario, Path(place) / "disturbed")
            _run_with(sweep, planned)
            if scenario.slots == 1 and sweep.spec.budget is None and _change_nothing(sweep, planned):
                oracle.equal(sweep, undisturbed)
            if seed % TWICE == 0:
                again = Sweep(scenario, Path(place) / "again")
                _run_with(again, planned)
                oracle.same(sweep, again)
        except Violation as violation:
            kind, wrong = violation.kind, str(violation)
        except Exception as error:
            kind, wrong = "wrong", f"{type(error).__name__}: {error}"
            if os.environ.get("SIMULATE_RAISE"):
                raise
        struck = tuple(sweep.world.struck) if sweep else ()
        drivers, seconds = len(sweep.endings) if sweep else 0, time.process_time() - began
        return Outcome(seed, struck, drivers, kind, wrong, seconds, frozenset(scenario.kinds()))


def _change_nothing(sweep: Sweep, planned: Planned) -> bool:
    """Of one slot. Half a batch at a time has other last digits in earnest, and other values here; and a job
    whose worker dies twice may be given up."""
    half = any(isinstance(fault, faults.WorkerLost) and fault.how == "memory" for fault in planned)
    often = any(times > 1 for times in sweep.lost.values())
    return not half and not often and all(fault.changes_nothing for fault in planned)


def _run(scenario: Scenario, place: Path) -> Sweep:
    sweep = Sweep(scenario, place)
    _run_with(sweep, ())
    return sweep


def _run_with(sweep: Sweep, planned: Planned) -> None:
    sweep.place.mkdir()
    if (earlier := sweep.scenario.earlier) is not None:
        Sweep(earlier, sweep.place).run()
    for fault in planned:
        fault.plant(sweep)
    sweep.run()
    oracle.check(sweep, planned)


def outcomes(seeds: range, jobs: int, also: tuple[type[faults.NotPromised], ...] = ()) -> Iterator[Outcome]:
    one = partial(simulate, also=also)
    if jobs == 1:
        yield from map(one, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(one, seeds, chunksize=5)


def main() -> int:
    by_name = {kind.__name__: kind for kind in faults.NOT_PROMISED}
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--also", action="append", default=[], choices=by_name, help="Not promised yet.")
    given = parser.parse_args()
    also = tuple(by_name[name] for name in given.also)
    tried, wrong, drivers, seconds = Counter[str](), 0, 0, 0.0
    for outcome in outcomes(range(given.first, given.first + given.seeds), given.jobs, also):
        tried.update(outcome.struck)
        drivers += outcome.drivers
        seconds += outcome.seconds
        if outcome.violation:
            wrong += 1
            print(f"seed {outcome.seed} ({', '.join(outcome.struck)}): {outcome.violation}")
            line = f"python -m tests.simulation.simulate --first {outcome.seed} --seeds 1 --jobs 1"
            print("   ", line, *(f"--also {name}" for name in given.also), flush=True)
    for kind, times in sorted(tried.items()):
        print(f"{kind:<16}{times:>7}")
    print(f"{given.seeds} sweeps, {drivers} drivers, {seconds:.0f} CPU-seconds: {wrong} violations")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
