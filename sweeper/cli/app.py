"""What is a command line made of: all commands, or the one alone that is typed?"""

from collections.abc import Iterable, Sequence
from importlib import import_module

import typer

from sweeper.cli.options import Command
from trainer.cli.console import Version

# Typed again and again while a sweep runs, and done in half a second: without the other forty they are ready
# in less. The file of each.
OFTEN = {"leaderboard": "board", "show": "board", "status": "status", "list": "status"}
HELP = "Hyperparameter sweeps for block-diffusion language models. To resume, type the `run` line again."


def alone(words: Sequence[str]) -> typer.Typer | None:
    """With the commands of its file, where the first word is one of these. None: all commands are needed."""
    file = OFTEN.get(words[0]) if words else None
    return None if file is None else made_of([import_module(f"sweeper.cli.{file}").app])


def made_of(kinds: Iterable[typer.Typer], epilog: str | None = None) -> typer.Typer:
    app = typer.Typer(
        help=HELP,
        epilog=epilog,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_options)
    for kind in kinds:
        for each in kind.registered_commands:
            each.cls = Command
        app.add_typer(kind)
    return app


def _options(version: Version = False) -> None: ...
