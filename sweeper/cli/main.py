"""The command line: `python -m sweeper COMMAND`. Everything heavy is imported inside the commands.

Exit codes: 0 done; 1 internal error; 2 usage; 3 bad spec; 4 finished, some trials failed, or repro --check:
not equal; 5 nothing to rank, or too little for importance and profile; 6 budget ended it; 7 the machine lacks
something; 8 judge: discard; 9 judge: not enough evidence; 130 interrupted, resumable; 143 terminated.
"""

from typing import Annotated

import typer

from sweeper.cli import (
    board,
    claims,
    comparisons,
    controls,
    export,
    follow,
    housekeeping,
    machine,
    models,
    notes,
    plan,
    run,
    settle,
    stages,
    start,
    status,
)
from sweeper.cli.options import Command

# In the order of --help. A new command is one function in the file of its kind; a new kind is one file, and
# its name here.
KINDS = (
    *(start, run, settle, status, machine, board, comparisons, claims),
    *(export, models, follow),
    *(controls, notes, plan, housekeeping, stages),
)

app = typer.Typer(
    help="Hyperparameter sweeps for block-diffusion language models. To resume, type the `run` line again.",
    epilog=__doc__.partition("\n\n")[2].replace("\n", " "),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version
        from pathlib import Path
        from tomllib import loads

        try:
            number = version("bd3lm-sweep")
        except PackageNotFoundError:  # a checkout on the path
            project = Path(__file__).parents[2] / "pyproject.toml"
            number = loads(project.read_text())["project"]["version"]
        typer.echo(f"bd3lm-sweep {number}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it and exit.")
    ] = False,
) -> None: ...


for kind in KINDS:
    for each in kind.app.registered_commands:
        each.cls = Command
    app.add_typer(kind.app)
