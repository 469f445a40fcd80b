"""Which faults are planted? All; or those that the command line names, of which nothing is kept."""

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.document import options
from benchmarks.planted.fault import Fault


class Chosen(NamedTuple):
    faults: Sequence[Fault]
    named: bool  # they alone, and not all there are
    quick: bool
    write: bool


def chosen(benchmark: str, description: str | None, faults: Sequence[Fault], quick: str) -> Chosen:
    """[--quick] [--write] [NAME ...]. quick: what it leaves out."""
    parser = options(benchmark, description, quick=quick)
    parser.add_argument("names", nargs="*", metavar="NAME", help="These faults alone.")
    given = parser.parse_args()
    by_name = {fault.name: fault for fault in faults}
    if unknown := [name for name in given.names if name not in by_name]:
        parser.error(f"there is no fault {unknown[0]}; there is {', '.join(by_name)}")
    if given.names and given.write:
        parser.error("the whole is kept, never a part: leave out --write, or the names")
    named = [by_name[name] for name in given.names]
    return Chosen(named or faults, bool(named), given.quick, given.write)
