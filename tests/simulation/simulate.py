"""python -m tests.simulation.simulate [--seeds N] [--first K] [--jobs 2] [--minutes M] [--write]

Sweeps with faults, each from one seed. A seed draws faults; four of them, one after another, share a
specification and slots, which the first draws. The sweep runs undisturbed, then with the faults of each, in
the real driver with the real store, pruners and samplers; only what trains and what executes are simulated.
It prints each seed that violates what docs/reliability.md promises, and the line that replays it; --write
makes the table of that page, of these seeds and those just before."""

import itertools
import json
import math
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.document import RESULTS, finish, options
from tests.simulation import drawing, faults, oracle
from tests.simulation.scenario import Scenario, draw
from tests.simulation.sweep import Sweep, Violation
from tests.simulation.world import cheap

KEPT = RESULTS / "simulation.json"
MEMORY = Path("/dev/shm")  # a disk that is faster than one
HOW = ("lost", "doubled", "repeated", "wrong", "hung")
SAID = 200  # sweeps, after which it says how far it is
SHARED = 4  # seeds, one after another, that share a specification
TWICE = 10  # of so many seeds one is run twice with its faults: both are to be the same
Planned = Sequence[faults.Fault | drawing.Damage]


class Outcome(NamedTuple):
    seed: int
    struck: tuple[str, ...]  # kinds of faults, as they came
    drivers: int
    kind: str  # of the violation; '' where all is well
    violation: str
    seconds: float
    within: frozenset[str]  # what the specification has


def simulate(seed: int, also: tuple[type[drawing.Damage], ...] = ()) -> Outcome:
    return of_one_specification([seed], also)[0]


def of_one_specification(seeds: Sequence[int], also: tuple[type[drawing.Damage], ...] = ()) -> list[Outcome]:
    """Of seeds that share one. It runs undisturbed once, which is half the work of a seed alone."""
    base = MEMORY if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else None
    scenario = draw(seeds[0] // SHARED * SHARED)
    with tempfile.TemporaryDirectory(prefix="simulated-", dir=base) as place, cheap():
        undisturbed = cache(lambda: _run(scenario, Path(place) / "undisturbed"))
        return [_outcome(seed, scenario, undisturbed, Path(place) / str(seed), also) for seed in seeds]


def _outcome(
    seed: int,
    scenario: Scenario,
    undisturbed: Callable[[], Sweep],
    place: Path,
    also: tuple[type[drawing.Damage], ...],
) -> Outcome:
    began, sweep = time.process_time(), None
    kind = wrong = ""
    place.mkdir()
    try:
        planned = drawing.draw(seed, undisturbed().world, also)
        sweep = Sweep(scenario, place / "disturbed")
        _run_with(sweep, planned)
        if scenario.slots == 1 and sweep.spec.budget is None and _change_nothing(sweep, planned):
            oracle.equal(sweep, undisturbed())
        if seed % TWICE == 0:
            again = Sweep(scenario, place / "again")
            _run_with(again, planned)
            oracle.same(sweep, again)
    except Violation as violation:
        kind, wrong = violation.kind, str(violation)
    except Exception as error:
        kind, wrong = "wrong", f"{type(error).__name__}: {error}"
        if os.environ.get("SIMULATE_RAISE"):
            raise
    shutil.rmtree(place)
    struck = tuple(sweep.world.struck) if sweep else ()
    drivers, seconds = len(sweep.endings) if sweep else 0, time.process_time() - began
    return Outcome(seed, struck, drivers, kind, wrong, seconds, frozenset(scenario.kinds()))


def _change_nothing(sweep: Sweep, planned: Planned) -> bool:
    """Of one slot. Half a batch at a time has other last digits in earnest, and other values here; a job
    whose worker dies twice may be given up; and what cannot be scored is run once more."""
    half = any(isinstance(fault, faults.WorkerLost) and fault.how == "memory" for fault in planned)
    often = any(times > 1 for times in sweep.lost.values())
    quiet = not half and not often and not oracle.unscored(sweep)
    return quiet and all(fault.changes_nothing for fault in planned)


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


def outcomes(
    seeds: range, jobs: int, also: tuple[type[drawing.Damage], ...] = (), minutes: float = math.inf
) -> Iterator[Outcome]:
    """In the order of the seeds; none is begun once the minutes are over."""
    until, some = time.monotonic() + 60 * minutes, partial(of_one_specification, also=also)
    together = [list(of) for _, of in itertools.groupby(seeds, lambda seed: seed // SHARED)]
    if jobs == 1:
        for of in itertools.takewhile(lambda _: time.monotonic() < until, together):
            yield from some(of)
        return
    with ProcessPoolExecutor(jobs) as pool:
        for found in pool.map(some, together):
            yield from found
            if time.monotonic() > until:
                return pool.shutdown(cancel_futures=True)


class Tally:
    """By kind of fault: sweeps in which it struck, and those of them that violate something, by how."""

    def __init__(self) -> None:
        self.sweeps, self.drivers, self.seconds, self.violations = 0, 0, 0.0, 0
        self.struck, self.within = Counter[str](), Counter[str]()
        self.wrong: dict[str, Counter[str]] = {}

    @classmethod
    def before(cls, first: int, also: list[str]) -> tuple[int, "Tally"]:
        """Of the seeds just before, where that is kept, and their first: thousands are tried in parts."""
        kept = json.loads(KEPT.read_text()) if KEPT.is_file() else None
        tally = cls()
        if kept is None or kept["settings"]["also"] != also:
            return first, tally
        began, summary = kept["settings"]["first"], kept["summary"]
        if began + summary["sweeps"] != first:
            return first, tally
        tally.sweeps, tally.drivers, tally.violations = (
            summary[each] for each in ("sweeps", "drivers", "violations")
        )
        tally.seconds = tally.sweeps * summary["cpu_seconds_of_a_sweep"]
        tally.within.update(summary["with"])
        for row in kept["rows"]:
            tally.struck[row["fault"]] = row["times"]
            tally.wrong[row["fault"]] = Counter({how: row[how] for how in HOW})
        return began, tally

    def add(self, outcome: Outcome) -> None:
        self.sweeps += 1
        self.drivers += outcome.drivers
        self.seconds += outcome.seconds
        self.struck.update(outcome.struck)
        self.within.update(outcome.within)
        if outcome.kind:
            self.violations += 1
            for kind in {*outcome.struck} or {"none"}:
                self.wrong.setdefault(kind, Counter()).update([outcome.kind])

    def rows(self) -> list[dict[str, Any]]:
        kinds = sorted({*self.struck, *self.wrong})
        return [
            {"fault": kind, "times": self.struck[kind]}
            | {how: self.wrong.get(kind, Counter())[how] for how in HOW}
            for kind in kinds
        ]


def main() -> int:
    by_name = {kind.__name__: kind for kind in drawing.DAMAGES}
    parser = options("simulation", __doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=math.inf, help="Then no further seed is begun.")
    parser.add_argument("--also", action="append", default=[], choices=by_name, help="With every seed.")
    parser.add_argument("--until-found", action="store_true", help="No further than the first violation.")
    given = parser.parse_args()
    also = tuple(by_name[name] for name in given.also)
    first, tally = Tally.before(given.first, given.also) if given.write else (given.first, Tally())
    seeds = range(given.first, given.first + given.seeds)
    for outcome in outcomes(seeds, given.jobs, also, given.minutes):
        tally.add(outcome)
        if outcome.violation:
            print(f"seed {outcome.seed} ({', '.join(outcome.struck)}): {outcome.violation}")
            line = f"python -m tests.simulation.simulate --first {outcome.seed} --seeds 1 --jobs 1"
            print("   ", line, *(f"--also {name}" for name in given.also), flush=True)
            if given.until_found:
                break
        if (tried := outcome.seed + 1 - given.first) % SAID == 0:
            print(f"{tried} of {given.seeds} sweeps, {tally.violations} violations", file=sys.stderr)
    for row in tally.rows():
        print(f"{row['fault']:<16}{row['times']:>7}")
    each = tally.seconds / max(1, tally.sweeps)
    print(
        f"{tally.sweeps} sweeps, {tally.drivers} drivers, {tally.seconds:.0f} CPU-seconds ({each:.2f} each): "
        f"{tally.violations} violations"
    )
    summary = {
        "sweeps": tally.sweeps,
        "drivers": tally.drivers,
        "violations": tally.violations,
        "cpu_seconds_of_a_sweep": round(each, 2),
        "with": dict(sorted(tally.within.items())),
    }
    finish("simulation", {"first": first, "also": given.also}, tally.rows(), summary, write=given.write)
    return 1 if tally.violations else 0


if __name__ == "__main__":
    sys.exit(main())
