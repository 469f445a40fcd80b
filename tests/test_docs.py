"""Documents say what is true: paths they name exist, commands they show parse, every spec is valid."""

import contextlib
import functools
import itertools
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweeper.cli.main import app as sweeper_app
from tests.command_lines import UsageError, understood
from trainer.cli.main import app as trainer_app

APPS = {"sweeper": sweeper_app, "trainer": trainer_app}
ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMED = re.compile(r"`((?:trainer|sweeper|dashboard|search_spaces|tests|benchmarks|docs)/[\w./-]*)`")
YOURS = "mine"  # what documents call a specification that a reader has begun by `init`
COMMAND = re.compile(r"^\$? *(python -m (?:sweeper|trainer)\b.*|make\b.*)$")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_every_path_named_exists(document: Path) -> None:
    missing = [path for path in NAMED.findall(document.read_text()) if not (ROOT / path).exists()]
    linked = [
        target
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text())
        if not (document.parent / target).exists()
    ]
    assert not missing
    assert not linked


def commands(document: Path) -> list[str]:
    shown = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", document.read_text(), re.M | re.S)
    lines = [
        line.split("  #")[0].strip() for block in shown for line in block.replace("\\\n", " ").splitlines()
    ]
    return [match[1] for line in lines if (match := COMMAND.match(line))]


def look_at(command: str) -> None:
    """Raises where it is no command: by make -n, by the program's own reading of its words, and by check of
    what would be run."""
    words = shlex.split(re.split(r" (?:&&|[|>]) ", command)[0], comments=True)
    if words[0] == "make":
        subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, check=True, timeout=250)
        return
    program, rest = words[2], words[3:]
    understood(APPS[program], rest)
    if program == "sweeper" and rest[:1] == ["run"]:
        spec, *overrides = [w for before, w in itertools.pairwise(rest) if not _option(w, before)]
        check("starter" if spec == YOURS else spec, *overrides)


@functools.cache
def check(*words: str) -> None:
    """In this process: a start costs more than a look at a file."""
    with contextlib.chdir(ROOT):
        said = CliRunner().invoke(sweeper_app, ["check", "--offline", *words])
    assert said.exit_code == 0, said.output


def _option(word: str, before: str) -> bool:
    """An option of `run`, or its value."""
    return word.startswith("--") or before in ("--as", "--db", "--files", "--address")


SHOWN = sorted({command for document in DOCUMENTS for command in commands(document)})


def test_the_readme_shows_commands() -> None:
    assert len(commands(ROOT / "README.md")) > 5


@pytest.mark.parametrize("command", SHOWN)
def test_every_command_shown_is_understood(command: str) -> None:
    look_at(command)


@pytest.mark.parametrize(
    "command",
    [
        "python -m sweeper judg schedules 1 2",
        "python -m sweeper plan schedules --no-calibrations",
        "make nosuch",
    ],
)
def test_a_command_that_is_none_is_noticed(command: str) -> None:
    with pytest.raises((UsageError, subprocess.CalledProcessError)):
        look_at(command)
