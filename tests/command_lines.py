"""Is a line one that a program would understand? Without running it, and without what it names."""

from collections.abc import Sequence
from typing import Any

import typer
from typer.main import get_command

UsageError: Any = typer.BadParameter.__base__  # typer shows but its kinds


def understood(app: typer.Typer, words: Sequence[str]) -> None:
    """Raises UsageError where it has a command, an option or an argument that the program has not. Values are
    not looked at."""
    command: Any = get_command(app)
    context, left = _context("program", command, None), list(words)
    while hasattr(command, "commands") and left:
        name, command, left = command.resolve_command(context, left)
        context = _context(name, command, context)
    _, more, _ = command.make_parser(context).parse_args(left)
    if more:
        context.fail(f"{' '.join(more)}: more than it takes")


def _context(name: str, command: Any, parent: Any) -> Any:
    """Of a command that has not been given what it needs, and is about to read its words."""
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    context.resilient_parsing = False
    return context
