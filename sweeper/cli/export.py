"""The commands that give a sweep's results away: as files, to a database of Optuna's, or as one page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sweeper.cli.opening import LACKS, NOTHING_TO_RANK, USAGE, fail, failing, opened_sweep
from sweeper.cli.options import DEFAULT_URL, AsJson, Database, Name

if TYPE_CHECKING:
    from dashboard.share.page import Said
    from sweeper.results.leaderboard import Board
    from sweeper.store.queries import Reader
    from sweeper.store.records import SweepRecord

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
    """Trials, configurations, metrics, events and stages as files, or the search as an Optuna study.

    Example: python -m sweeper export schedules --out results --format csv
    """
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
        print_text(f"study {sweep.name}: {studied} trials; to look at it: optuna-dashboard URL")


@app.command()
def share(
    name: Name,
    out: Annotated[
        Path,
        typer.Option(help="An HTML file; one that is there is replaced.", dir_okay=False, metavar="FILE"),
    ],
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """One page by itself, to attach or to open offline: answer, board, figures, method, specification.

    Example: python -m sweeper share schedules --out schedules.html
    """
    from time import time

    from sweeper.results.leaderboard import leaderboard
    from sweeper.terminal.console import print_json, print_text
    from trainer.disk import written_whole
    from trainer.errors import lacks

    if not out.parent.is_dir():
        fail(USAGE, f"{out.parent}: there is no such folder", json)
    try:
        from dashboard.share.page import page
    except ModuleNotFoundError as error:
        fail(LACKS, lacks("share", str(error.name), "dashboard"), json)
    with opened_sweep(db, name, json) as (reader, sweep):
        board = leaderboard(reader, sweep.name)
        if all(row.rank is None for row in board.rows):
            fail(NOTHING_TO_RANK, f"nothing of {sweep.called} is ranked yet", json)
        text = page(reader, sweep, board, _said(reader, sweep, board), time())
    try:
        with written_whole(out) as place:
            place.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(LACKS, f"cannot write to {out}: {error.strerror or error}", json)
    if json:
        print_json({"file": str(out)})
    else:
        print_text(str(out))


def _said(reader: "Reader", sweep: "SweepRecord", board: "Board") -> "Said":
    """The board's columns and legend as a terminal has them, and the lines that make the sweep again."""
    from dashboard.share.markup import Column
    from dashboard.share.page import Said
    from sweeper.execution.registration import code_version
    from sweeper.results.savings import savings
    from sweeper.spec.load import as_typed
    from sweeper.terminal.again import again
    from sweeper.terminal.board_table import all_columns, legend

    columns = [
        Column(each.title, [*map(each.cell, board.rows)], [*map(each.value, board.rows)], each.right)
        for each in all_columns(board, board.varied or board.searched)
    ]
    saved = savings(reader, sweep)
    first = reader.trial(board.rows[0].trials[0])
    assert first is not None
    return Said(
        columns=columns,
        method=[*legend(board), *([f"Shared pretrains {saved.words()}."] if saved else [])],
        again=again(reader, sweep, first, f"The first row's trial {first.called}"),
        specification=as_typed(sweep.spec_text)[1],
        code_version=code_version(),
    )
