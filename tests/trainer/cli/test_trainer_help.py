"""What python -m trainer says of itself."""

import re
import shlex
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from sweeper.cli.main import app as sweeper_app
from tests.command_lines import understood
from trainer.cli.main import app

COMMANDS: Any = get_command(app)


def said(*words: str, of: Any = app) -> str:
    result = CliRunner().invoke(of, list(words))
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_list_of_commands_is_whole_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    listed = said("--help").partition("Commands:")[2]
    assert "..." not in listed
    assert "the kinds that have it, what it is." in " ".join(listed.split())
    assert all(len(line) <= 80 for line in listed.splitlines())


@pytest.mark.parametrize("name", COMMANDS.commands)
def test_the_help_of_every_command_has_an_example_that_is_understood(name: str) -> None:
    example = " ".join(said(name, "--help").split()).partition("Example: ")[2]
    assert example.startswith(f"python -m trainer {name}")
    understood(app, shlex.split(re.split(r" (?:Arguments|Options): ", example)[0])[3:])


def test_both_programs_are_of_one_version() -> None:
    assert said("--version") == said("--version", of=sweeper_app)
