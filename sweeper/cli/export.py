"""The command that writes a sweep's results to files, or to a database of Optuna's."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from sweeper.cli.opening import LACKS, USAGE, fail, failing, opened_sweep
from sweeper.cli.options import DEFAULT_URL, AsJson, Database, Name

app = typer.Typer()


@app.command()
def export(
    name: Name,
    out: Annotated[
        Path | None,
        typer.Option(help="A folder for tables; made where it is not there.", file_okay=False),
    ] = None,
    format: Annotated[Literal["parquet", "csv", "both"], typer.Option(help="Of the tables.")] = "parquet",
    optuna: Annotated[
        str | None, typer.Option(metavar="URL", help="A database for optuna-dashboard: its study is added.")
    ] = None,
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Trials, configurations, metrics, events and stages as files, or the search as an Optuna study."""
    from sweeper.terminal.console import print_json, print_text

    if out is None and optuna is None:
        fail(USAGE, "say where to: --out FOLDER for tables, --optuna URL for a study", json)
    files: list[Path] = []
    studied = None
    with opened_sweep(db, name, json) as (reader, sweep):
        if out is not None:
            from sweeper.results.export import export as written

            try:
                files = written(reader, sweep, out, ("parquet", "csv") if format == "both" else (format,))
            except OSError as error:
                fail(LACKS, f"cannot write to {out}: {error.strerror or error}", json)
        if optuna is not None:
            from sweeper.search.export_study import CannotExport, export_study

            with failing(CannotExport, USAGE, json):
                studied = export_study(reader, sweep, optuna)
    if json:
        print_json({"files": [str(file) for file in files], "studied": studied})
        return
    print_text(*(str(file) for file in files))
    if studied is not None:
        print_text(f"study {name}: {studied} trials; to look at it: optuna-dashboard URL")
