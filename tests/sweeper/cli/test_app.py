"""What is typed often is ready without the other commands, and is the same command."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from sweeper.cli.app import OFTEN, alone
from sweeper.cli.main import app

ROOT = Path(__file__).parents[3]


def commands(of: Any) -> dict[str, Any]:
    found: dict[str, Any] = get_command(of).commands  # type: ignore[attr-defined]
    return found


def described(command: Any) -> Iterator[Any]:
    yield type(command), command.help, command.short_help, command.epilog
    yield from ((type(each), each.name, each.opts, each.required, each.help) for each in command.params)


@pytest.mark.parametrize("word", OFTEN)
def test_a_command_by_itself_is_that_of_the_whole(word: str) -> None:
    lone = alone([word, "--limit", "3"])
    assert lone is not None
    assert list(described(commands(lone)[word])) == list(described(commands(app)[word]))
    code = f"import sys; sys.argv = ['sweeper', '{word}', '--help']; import sweeper.__main__ as m; m.run()"
    ended = "; ".join(["import atexit", "atexit.register(lambda: print('sweeper.cli.main' in sys.modules))"])
    done = subprocess.run(
        [sys.executable, "-c", f"{ended}; {code}"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "False")


@pytest.mark.parametrize("words", [[], ["--help"], ["run"], ["nosuch"], ["--version", "list"]])
def test_all_commands_are_there_for_all_else(words: list[str]) -> None:
    assert alone(words) is None
