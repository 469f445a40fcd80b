"""docs/architecture.md draws the wings and says what to open: all of it is held against the code."""

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.test_architecture import DOORS, IMPORTS, MODULES, MOST_FILES, MOST_LINES, ROOT, WINGS

TEXT = (ROOT / "docs" / "architecture.md").read_text()
# What stands beside the wings, and what leads into them, has a name in the pictures.
GROUND, DOOR = "ground", "door"
WALKS = ("One hyperparameter, from YAML to the board", "One reported row, from the worker to a browser")
FILE = re.compile(r"`((?:sweeper|trainer|dashboard|search_spaces|benchmarks|tests)/[\w./-]*)`")
# `file` `name`; or `file` `name`, `name` and `name`.
HOP = re.compile(r"`([\w/]+\.py)`((?:(?:,| and| or)? `[A-Za-z_][\w.]*`)+)")


def section(title: str) -> str:
    """What stands under a heading, to the next of its rank or above."""
    found = re.search(rf"^(#+) {re.escape(title)}$\n(.*?)(?=^#+ |\Z)", TEXT, re.M | re.S)
    assert found, f"docs/architecture.md has no heading {title!r}"
    return found[2]


def room(name: str) -> str:
    package, *rest = name.split(".")
    if package == "dashboard":
        return package
    if name in DOORS:
        return DOOR
    return rest[0] if rest and rest[0] in WINGS[package] else GROUND


Arrows = set[tuple[str, str]]


def imported(of: tuple[str, ...], to: str) -> Arrows:
    """(room, room) of every import that leads from a module of these packages into another room of `to`."""
    return {
        (room(name), room(other))
        for name in MODULES
        for other in IMPORTS[name]
        if other in MODULES and name.split(".")[0] in of and other.split(".")[0] == to
        if name.split(".")[0] != to or room(name) != room(other)
    }


def drawn(title: str) -> Arrows:
    """Of the mermaid picture: `a --> b & c`."""
    picture = re.search(r"^```mermaid\n(.*?)^```", section(title), re.M | re.S)
    assert picture, f"{title} has no picture"
    arrows = set()
    for line in picture[1].splitlines():
        source, arrow, targets = line.partition(" --> ")
        if arrow:
            start = source.strip().partition("[")[0]
            arrows |= {(start, target.strip()) for target in targets.split("&")}
    return arrows


def read_of_the_trainer() -> Arrows:
    """Of the table of the sweeper's wings: its last column."""
    rows = re.findall(r"^\| `([\w/.]+)` \| .* \|(.*)\|$", section("sweeper: many runs"), re.M)
    named = {place: place.rstrip("/").rpartition("/")[2] for place, _ in rows}
    named |= {"sweeper/words.py": GROUND, "sweeper/__main__.py": DOOR}
    return {(named[place], each) for place, reads in rows for each in re.findall(r"\w+", reads)}


@pytest.mark.parametrize(
    ("shown", "there"),
    [
        pytest.param(
            drawn("sweeper: many runs"),
            imported(("sweeper", "dashboard"), "sweeper") | imported(("sweeper",), "dashboard"),
            id="sweeper",
        ),
        pytest.param(drawn("trainer: one run"), imported(("trainer", "dashboard"), "trainer"), id="trainer"),
        pytest.param(read_of_the_trainer(), imported(("sweeper", "dashboard"), "trainer"), id="between"),
    ],
)
def test_what_is_drawn_is_what_is_imported(shown: Arrows, there: Arrows) -> None:
    wrong = [f"{a} --> {b} is drawn, and nothing there imports so" for a, b in sorted(shown - there)]
    wrong += [f"{a} --> {b} is imported, and not drawn" for a, b in sorted(there - shown)]
    assert not wrong


def test_every_wing_has_a_line() -> None:
    for package, title in (("sweeper", "sweeper: many runs"), ("trainer", "trainer: one run")):
        lines = re.findall(rf"^\| `{package}/(\w+)/` \|", section(title), re.M)
        assert lines == list(WINGS[package]), "one for each, from top to bottom"


def test_the_limits_are_those_that_are_held() -> None:
    assert f"at most {MOST_FILES} files, a file at most {MOST_LINES} lines" in section("The wings")


@pytest.mark.parametrize("title", WALKS)
def test_every_hop_of_a_walk_is_there(title: str) -> None:
    walk = section(title)
    steps = [line for line in walk.splitlines() if re.match(r"\d+\. |   ", line)]
    hops = [(file, name) for file, names in HOP.findall(walk) for name in re.findall(r"`([\w.]+)`", names)]
    assert len(hops) > 20
    missing = [f"{file} has no {name}" for file, name in hops if name not in defined(file)]
    assert not missing
    # A file without a function is no hop.
    bare = [file for line in steps for file in re.findall(r"`([\w/]+\.py)`(?! `)", line)]
    assert not bare


@cache
def defined(file: str) -> set[str]:
    """Its functions and classes, and methods as Class.method; of a file that is not there, nothing."""
    path = ROOT / file
    return set(_names(ast.parse(path.read_text()), "")) if path.is_file() else set()


def _names(tree: ast.AST, prefix: str) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from _names(node, f"{node.name}.")


def test_every_place_to_change_is_there() -> None:
    rows = [line for line in section("To change").splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 15
    places = {row.split(" | ")[0]: FILE.findall(row) for row in rows}
    assert all(places.values()), "each row names one"
    assert not [path for paths in places.values() for path in paths if not (ROOT / path).exists()]


def test_every_file_of_the_driver_has_its_question() -> None:
    text = section("Inside the driver")
    named = {*re.findall(r"`(\w+\.py)`", text), *re.findall(r"`sweeper/driver/(\w+\.py)`", text)}
    there = {path.name for path in (ROOT / "sweeper" / "driver").glob("*.py")} - {"__init__.py"}
    assert named == there


def test_it_takes_as_long_to_read_as_is_said() -> None:
    said = re.findall(r"((?:`[\w/]+/`(?: and )?)+), some ([\d,]+) lines", TEXT)
    assert len(said) == 2
    for folders, lines in said:
        files = [path for each in FILE.findall(folders) for path in (ROOT / each).glob("*.py")]
        count = sum(len(path.read_text().splitlines()) for path in files)
        assert count == pytest.approx(int(lines.replace(",", "")), rel=0.1), folders
