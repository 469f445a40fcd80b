"""python -m tests.recorded.record --because "why they are to be others" [NAME ...]: renews recorded sweeps.

It says what is another now, and writes the reason down in kept/renewed.txt."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.recorded.specs import SWEEPS
from tests.recorded.tape import KEPT, Recording, driven, read, write


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.recorded.record", description=__doc__)
    parser.add_argument("--because", required=True, help="A sentence: what has changed, and why it may.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="These alone.")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in SWEEPS]:
        parser.error(f"there is no sweep {unknown[0]}; there is {', '.join(SWEEPS)}")
    renewed = []
    for name in given.names or SWEEPS:
        with tempfile.TemporaryDirectory(prefix="recorded-") as place:
            recording = driven(name, Path(place))
        there = (KEPT / f"{name}.json.xz").is_file()
        if there and recording == read(name):
            continue
        print(f"{name}: {_difference(read(name), recording) if there else 'recorded'}")
        write(name, recording)
        renewed.append(name)
    if renewed:
        with open(KEPT / "renewed.txt", "a", encoding="utf-8") as file:
            file.write(f"{', '.join(renewed)}: {given.because}\n")
    return 0


def _difference(old: Recording, new: Recording) -> str:
    parts = [name for name in Recording._fields if getattr(old, name) != getattr(new, name)]
    tables = [name for name in new.tables if old.tables.get(name) != new.tables[name]]
    return f"{', '.join(parts)} differ, of the tables {', '.join(tables) or 'none'}"


if __name__ == "__main__":
    sys.exit(main())
