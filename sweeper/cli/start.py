"""The commands that one begins with: a specification of one's own, and what an editor knows of them."""

import re
from pathlib import Path
from typing import Annotated

import typer

from sweeper.cli.opening import LACKS, USAGE, fail, say

app = typer.Typer()
NAME = re.compile(r"\w[\w.+=@-]*")


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="The sweep's name; the file is NAME.yaml.")] = "sweep",
    source: Annotated[
        str, typer.Option("--from", metavar="SPEC", help="One that comes with the program: schedules.")
    ] = "starter",
) -> None:
    """Write a commented specification to start from.

    Example: python -m sweeper init mine && python -m sweeper run mine
    """
    from sweeper.shipped import begun, shipped
    from trainer.nearest import did_you_mean, nearest

    name = name.removesuffix(".yaml")
    if not NAME.fullmatch(name):
        fail(USAGE, f"{name!r} is no name of a sweep: letters, digits and . + = @ - alone", False)
    if source not in shipped():
        known = ", ".join(each for each in shipped() if "/" not in each)
        meant = did_you_mean(nearest(source, shipped()))
        fail(USAGE, f"no specification {source!r} comes with the program; there is {known}{meant}", False)
    file = Path(f"{name}.yaml")
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(begun(name, source))
    except FileExistsError:
        fail(USAGE, f"{file} is there already; it stays as it is", False)
    except OSError as error:
        fail(LACKS, f"cannot write {file}: {error.strerror}", False)
    say(f"{file} is written. To run it: python -m sweeper run {name}")


@app.command()
def schema() -> None:
    """Print a JSON Schema of a specification: names, ranges, what they mean. For editors.

    Example: python -m sweeper schema > sweep.schema.json
    """
    from json import dumps

    from sweeper.spec.json_schema import json_schema

    typer.echo(dumps(json_schema(), indent=1, sort_keys=True))
