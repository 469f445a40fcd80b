"""Documents say what is true: paths they name exist, commands they show parse, every spec is valid."""

import contextlib
import functools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweeper.cli.main import app as sweeper_app
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


def dry(command: str) -> list[str]:
    """The command's dry form: make -n, check for a spec, --help for all else."""
    words = shlex.split(command)
    if words[0] == "make":
        return ["make", "-n", *words[1:]]
    module, verb, rest = words[2], words[3:4], words[4:]
    if module == "sweeper" and verb == ["run"]:
        spec_and_overrides = [
            w for w, before in zip(rest, [verb[0], *rest], strict=False) if not _option(w, before)
        ]
        if spec_and_overrides[0] == YOURS:
            spec_and_overrides[0] = "starter"
        return [sys.executable, "-m", "sweeper", "check", "--offline", *spec_and_overrides]
    return [sys.executable, "-m", module, *verb, "--help"]


def _option(word: str, before: str) -> bool:
    """An option of `run`, or its value."""
    return word.startswith("--") or before in ("--as", "--db", "--files", "--address")


SHOWN = sorted({command for document in DOCUMENTS for command in commands(document)})


def test_the_readme_shows_commands() -> None:
    assert len(commands(ROOT / "README.md")) > 5


@pytest.mark.parametrize("command", SHOWN)
def test_every_command_shown_is_understood(command: str) -> None:
    code, output = _run(tuple(dry(command)))
    assert code == 0, f"{command}\n{output}"


@functools.cache
def _run(words: tuple[str, ...]) -> tuple[int, str]:
    """Exit code and what it said. Ours in this process: a start costs more than a look at a file."""
    if words[0] == sys.executable:
        with contextlib.chdir(ROOT):
            said = CliRunner().invoke(APPS[words[2]], list(words[3:]))
        return said.exit_code, said.output
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=250)
    return done.returncode, done.stdout + done.stderr
