"""python -m benchmarks.blind [--quick] [--write] [NAME ...]: does the simulation see what is wrong?

Each fault (benchmarks/planted/driver.py) is a mistake that someone might make in the driver or the store. It
is planted in a copy of the tree; there sweeps are simulated, from seed 0 on, up to the first that violates
something; that seed finds nothing in the tree as it is.

    seed      the first that found it; '-': the fault has survived them all
    CPU s     of the simulation up to there, with its imports

It ends with 1 where more survive than may.
"""

import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from benchmarks.document import finish
from benchmarks.planted.chosen import chosen
from benchmarks.planted.driver import FAULTS
from benchmarks.planted.fault import Fault
from benchmarks.planted.trees import Ran, Tree, python, this_tree

AT_ONCE = 2
SEEDS, QUICK = 200, 20
LIMIT = 3600.0  # seconds of a fault
MAY_SURVIVE = 2  # of 21
FOUND = re.compile(r"^seed (\d+) \((.*)\): (.*)$", re.MULTILINE)


class Finding(NamedTuple):
    seed: int | None  # None: it has survived
    violation: str
    cpu_seconds: float


def main() -> None:
    given = chosen("blind", __doc__, FAULTS, quick=f"{QUICK} seeds of each.")
    seeds, rows = QUICK if given.quick else SEEDS, []
    print(f"{'fault':<28}{'seed':>5}{'CPU s':>7}  violation")
    with tempfile.TemporaryDirectory(prefix="sound-") as sound, ThreadPoolExecutor(AT_ONCE) as pool:
        copy = this_tree().copy(Path(sound))  # once: the tree here may change meanwhile
        for fault, found in zip(
            given.faults, pool.map(partial(find, sound=copy, seeds=seeds), given.faults), strict=True
        ):
            rows.append({"fault": fault.name, "says": fault.says, "file": fault.file, **found._asdict()})
            seed = "-" if found.seed is None else found.seed
            print(f"{fault.name:<28}{seed:>5}{found.cpu_seconds:>7.1f}  {found.violation}"[:150], flush=True)
    survived = [row["fault"] for row in rows if row["seed"] is None]
    summary = {"found": len(rows) - len(survived), "of": len(rows), "survived": survived}
    finish("blind", {"seeds": seeds, "at_once": AT_ONCE}, rows, summary, write=given.write)
    sys.exit(len(survived) > (0 if given.named else MAY_SURVIVE))


def find(fault: Fault, *, sound: Tree, seeds: int) -> Finding:
    """sound: a tree without the fault, in which the seed that finds it finds nothing."""
    with tempfile.TemporaryDirectory(prefix="planted-", ignore_cleanup_errors=True) as place:
        planted = sound.copy(Path(place))
        fault.plant(planted.root)
        first, spent = 0, 0.0
        while first < seeds:
            ran = _simulate(planted, first, seeds - first)
            spent += ran.cpu_seconds
            found = FOUND.search(ran.said)
            if found is None and ran.code != 0:
                raise RuntimeError(f"{fault.name}: the simulation ended with {ran.code}: {ran.said[-2000:]}")
            if found is None:
                break
            if _finds_nothing(sound, seed := int(found[1])):
                return Finding(seed, found[3], spent)
            first = seed + 1
    return Finding(None, "", spent)


@cache
def _finds_nothing(sound: Tree, seed: int) -> bool:
    """Many faults are found by the same few seeds."""
    return _simulate(sound, seed, 1).code == 0


def _simulate(tree: Tree, first: int, seeds: int) -> Ran:
    words = ("--first", str(first), "--seeds", str(seeds), "--jobs", "1", "--until-found")
    return python(["-m", "tests.simulation.simulate", *words], tree, LIMIT)


if __name__ == "__main__":
    main()
