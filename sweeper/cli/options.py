"""The arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_URL = "sqlite:///sweeps.db"


def _spec(said: Path) -> Path:
    """Raises BadParameter, so exit code 2."""
    from sweeper.shipped import find, shipped

    if (found := find(said)) is not None:
        return found
    if said.is_dir():
        raise typer.BadParameter(f"{said} is a folder, not a specification")
    known = ", ".join(name for name in shipped() if "/" not in name)
    raise typer.BadParameter(f"there is no file {said}; these come with the program: {known}")


Spec = Annotated[
    Path,
    typer.Argument(
        callback=_spec,
        metavar="SPEC",
        help="A YAML file (docs/search-spaces.md), or the name of a shipped one: schedules.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Over what the file says: search.trials=5."),
]
FreeOverrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Of budget, resources or keep: budget.hours=8."),
]


def _names(begun: str) -> list[str]:
    """Sweeps of the database, for the shell's completion. It has nowhere to say what is wrong."""
    from contextlib import closing
    from os import environ

    from sweeper.store.engine import StoreError
    from sweeper.store.queries import Reader

    try:
        with closing(Reader(environ.get("SWEEPER_DB", DEFAULT_URL))) as reader:
            return [each.name for each in reader.sweeps() if each.name.startswith(begun)]
    except StoreError:
        return []


Name = Annotated[str, typer.Argument(help="The sweep's name.", autocompletion=_names)]
MaybeName = Annotated[
    str | None, typer.Argument(help="The sweep's name; all of them without.", autocompletion=_names)
]
OneTrial = Annotated[int | None, typer.Option(help="This one alone; the whole sweep without.")]
Trial = Annotated[int, typer.Argument(help="Its number on the board.")]
Database = Annotated[
    str, typer.Option("--db", envvar="SWEEPER_DB", metavar="URL", help="Where sweeps are stored.")
]


def _address(value: str) -> str:
    """Raises BadParameter, so exit code 2."""
    host, _, port = value.rpartition(":")
    if value not in ("auto", "local") and not (host and "/" not in host and port.isdigit()):
        raise typer.BadParameter(f"{value!r} is not auto, local, or the HOST:PORT of a cluster's head")
    return value


def _share(value: str | float) -> float:
    """'1%' or '0.01'; a command's default is a number already. Raises BadParameter, so exit code 2."""
    said = str(value).strip()
    try:
        share = float(said.removesuffix("%")) / (100 if said.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise typer.BadParameter(f"{value!r} is not a share like 1% or 0.01")
    return share


Share = Annotated[
    float,
    typer.Option(parser=_share, metavar="1%", help="The smallest improvement of perplexity that counts."),
]
Address = Annotated[
    str,
    typer.Option(
        callback=_address,
        metavar="auto|HOST:PORT|local",
        help="A Ray cluster that runs: docs/cluster.md. local: this machine alone.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; all else on stderr.")]
Files = Annotated[
    str | None,
    typer.Option(
        envvar="SWEEPER_FILES",
        metavar="PATH|URI",
        help="Where checkpoints go (docs/cluster.md). Default: by the SQLite file, sweeps.db: sweeps.files/",
    ),
]
NoCalibration = Annotated[
    bool, typer.Option("--no-calibration", help="Counts alone: no step is tried out, so no time and memory.")
]
