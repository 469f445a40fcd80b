"""python -m benchmarks.mutants [--quick] [--write] [NAME ...]: do the tests find what is wrong?

Each fault (benchmarks/planted/) is a mistake that someone might make. It is planted in a copy of the tree;
there the tests of its wing are run, those named after its file first, then those of the wings that import it,
the nearest first, up to the first failure. That counts where it comes again with the fault, and not without.

    found by   that test; '-': the fault has survived them all, or until they were cut
    CPU s      of the tests up to there, with the imports of each wing's process

Two faults at a time, a process and a thread each. It ends with 1 where more survive than may.
"""

import re
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks.document import finish
from benchmarks.planted import sweeper, trainer
from benchmarks.planted.chosen import chosen
from benchmarks.planted.fault import Fault
from benchmarks.planted.trees import Tree, python, this_tree
from benchmarks.planted.wings import lookers, suite_of

FAULTS = (*trainer.FAULTS, *sweeper.FAULTS)
AT_ONCE = 2
LIMIT = 900.0  # seconds of a fault: then its tests are cut
MAY_SURVIVE = 2
PYTEST = (
    *("-m", "pytest", "-o", "addopts=", "-x", "-q", "--tb=no"),
    *("-m", "not long", "-p", "no:cacheprovider"),
)
PASSED = (0, 5)  # of pytest: 5 is that nothing was left to run
FAILURE = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)


class Finding(NamedTuple):
    found_by: str  # a test, or the fault's own command; '': it has survived
    tests_of: str  # the last wing whose tests were run
    cpu_seconds: float
    cut: bool = False


def main() -> None:
    given = chosen("mutants", __doc__, FAULTS, quick="The tests of a fault's own wing alone.")

    began, rows = time.monotonic(), []
    print(f"{'fault':<28}{'about':<12}{'CPU s':>7}  found by")
    with tempfile.TemporaryDirectory(prefix="sound-") as sound, ThreadPoolExecutor(AT_ONCE) as pool:
        copy = this_tree().copy(Path(sound))  # once: the tree here may change meanwhile
        findings = pool.map(partial(find, sound=copy, quick=given.quick), given.faults)
        for fault, found in zip(given.faults, findings, strict=True):
            rows.append({"fault": fault.name, "about": fault.about, "wing": fault.wing, **found._asdict()})
            print(f"{fault.name:<28}{fault.about:<12}{found.cpu_seconds:>7.1f}  {_by(found)}", flush=True)

    survived = [row["fault"] for row in rows if not row["found_by"]]
    summary = {
        "found": len(rows) - len(survived),
        "survived": survived,
        "found_by_their_own_wing": sum(
            row["found_by"] > "" and row["tests_of"] == row["wing"] for row in rows
        ),
        "cpu_seconds": round(sum(row["cpu_seconds"] for row in rows), 1),
        "minutes": round((time.monotonic() - began) / 60, 1),
    }
    settings = {"at_once": AT_ONCE, "limit_seconds": LIMIT, "pytest": " ".join(PYTEST[2:])}
    finish("mutants", settings, rows, summary, write=given.write)
    sys.exit(len(survived) > (0 if given.named else MAY_SURVIVE))


def _by(found: Finding) -> str:
    return found.found_by or f"-  {'cut in' if found.cut else 'up to'} the tests of {found.tests_of}"


def find(fault: Fault, *, sound: Tree, quick: bool = False) -> Finding:
    """sound: a tree without the fault. quick: the tests of its own wing alone."""
    with tempfile.TemporaryDirectory(prefix="planted-", ignore_cleanup_errors=True) as place:
        planted = sound.copy(Path(place))
        fault.plant(planted.root)
        if fault.command:
            return _by_command(fault, planted, sound)
        return _by_tests(fault, planted, sound, lookers(fault.wing)[: 1 if quick else None])


def _by_command(fault: Fault, planted: Tree, sound: Tree) -> Finding:
    ran = python(fault.command, planted, LIMIT)
    found = ran.code != 0 and not ran.cut and python(fault.command, sound, LIMIT).code == 0
    return Finding(" ".join(fault.command) if found else "", fault.wing, ran.cpu_seconds, ran.cut)


def _by_tests(fault: Fault, planted: Tree, sound: Tree, wings: Sequence[str]) -> Finding:
    spent, last = 0.0, time.monotonic() + LIMIT
    for wing in wings:
        passed_over: list[str] = []  # tests that have failed, but not because of the fault
        while True:
            ran = python(
                [*PYTEST, *passed_over, *suite_of(wing, fault.file)], planted, last - time.monotonic()
            )
            spent += ran.cpu_seconds
            if ran.cut:
                return Finding("", wing, spent, cut=True)
            if ran.code in PASSED:
                break
            failure = FAILURE.search(ran.said)
            if failure is None:
                raise RuntimeError(f"{fault.name}: pytest ended with {ran.code}: {ran.said[-2000:]}")
            again = [*PYTEST, failure[1]]
            if python(again, planted, LIMIT).code != 0 and python(again, sound, LIMIT).code == 0:
                return Finding(failure[1], wing, spent)
            passed_over.append(f"--deselect={failure[1]}")
    return Finding("", wing, spent)


if __name__ == "__main__":
    main()
