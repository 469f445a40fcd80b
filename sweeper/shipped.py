"""Which specifications come with the program, and how does one begin one's own?"""

import re
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "search_spaces"  # beside this package, in a checkout and when installed
CLAIMS = FOLDER.with_name("claims")
BASE = "base"  # what claims extend
SCHEMA = FOLDER / "sweep.schema.json"
STARTER = "starter"
EDITORS = "# yaml-language-server: $schema="  # how a YAML file tells an editor where its schema is


def shipped() -> dict[str, Path]:
    """By name: schedules, report/table1."""
    files = sorted(FOLDER.rglob("*.yaml"))
    return {file.relative_to(FOLDER).with_suffix("").as_posix(): file for file in files}


def claims() -> dict[str, Path]:
    """By name."""
    return {file.stem: file for file in sorted(CLAIMS.glob("*.yaml")) if file.stem != BASE}


def find(said: Path) -> Path | None:
    """The file that is meant: itself, with .yaml, or the one of that name that comes with the program."""
    for file in (said, said.with_name(f"{said.name}.yaml")):
        if file.is_file():
            return file
    return shipped().get(said.as_posix())


def begun(name: str, source: str = STARTER) -> str:
    """The text of a specification of one's own: a shipped one under another name, in its comments, too.

    Raises KeyError where none is called so.
    """
    lines = shipped()[source].read_text(encoding="utf-8").splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("name:"))
    lines[place] = f"name: {name}"
    stem = source.rpartition("/")[2]
    itself = re.compile(rf"(?<=sweeper )(\w+) +(search_spaces/{source}\.yaml|{stem})(?= |$)")
    lines = [itself.sub(rf"\1 {name}", line) if line.startswith("#") else line for line in lines]
    lines = [line for line in lines if not line.startswith(EDITORS)]
    return "\n".join([f"{EDITORS}{SCHEMA.as_uri()}", *lines]) + "\n"
