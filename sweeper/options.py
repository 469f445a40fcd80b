"""The arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_URL = "sqlite:///sweeps.db"

Spec = Annotated[
    Path,
    typer.Argument(exists=True, dir_okay=False, readable=True, help="A YAML file: docs/search-spaces.md."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Over what the file says: search.trials=5."),
]
Name = Annotated[str, typer.Argument(help="The sweep's name.")]
MaybeName = Annotated[str | None, typer.Argument(help="The sweep's name; all of them without.")]
Trial = Annotated[int, typer.Argument(help="Its number on the board.")]
Database = Annotated[
    str, typer.Option("--db", envvar="SWEEPER_DB", metavar="URL", help="Where sweeps are stored.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; all else on stderr.")]
Files = Annotated[
    Path | None,
    typer.Option(
        envvar="SWEEPER_FILES",
        help="Where checkpoints go. Default: beside the SQLite file, sweeps.db: sweeps.files/",
    ),
]
