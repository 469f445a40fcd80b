"""The commands that show a sweep's board, and one of its trials."""

from typing import Annotated

import typer

from sweeper.cli.opening import USAGE, fail, failing, opened_sweep, trial_of, uncollected
from sweeper.cli.options import DEFAULT_URL, AsJson, Database, Name, Trial

app = typer.Typer()


@app.command()
def leaderboard(
    name: Name,
    limit: Annotated[int | None, typer.Option(min=1, help="Rows shown.")] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...", help="These alone: rank, val_ppl, interval, a metric, a value's name."
        ),
    ] = None,
    sort: Annotated[str | None, typer.Option(metavar="COLUMN", help="Rows by it, lowest first.")] = None,
    block_size: Annotated[
        int | None,
        typer.Option(
            min=1, help="By the bound at this one of evaluation.block_sizes, against its specialist."
        ),
    ] = None,
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """The answer, and configurations by their bound on perplexity: differences, ranks and chances.

    Example: python -m sweeper leaderboard schedules --limit 5
    """
    if block_size is None:
        show_board(name, db, json, limit, columns, sort)
        return
    if columns or sort:
        fail(USAGE, "--block-size has columns of its own: leave out --columns and --sort", json)
    _show_in_blocks(name, db, json, limit, block_size)


@app.command()
def show(
    name: Name,
    trial: Trial,
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """One trial: its state, values, latest metrics and error.

    Example: python -m sweeper show schedules 7
    """
    from sweeper.cli.notes import said_of
    from sweeper.files.trial_files import files_of
    from sweeper.store.notes import NOTE, standing
    from sweeper.terminal.console import moment, number, print_json, print_text, shown

    with opened_sweep(db, name, json) as (reader, sweep):
        record = trial_of(reader, sweep, trial, json)
        values = reader.configurations(sweep.id)[record.configuration]
        latest = [row for row in reader.latest(sweep.id) if row.trial == record.id]
        events = reader.events(sweep.id, record.id)
        original = None if record.repeat_of is None else reader.trial(record.repeat_of)
        files, said = files_of(sweep, record), reader.notes(sweep.id)
    if json:
        metrics = {row.name: row._asdict() for row in latest}
        document = {**record._asdict(), "values": values, "metrics": metrics, **files._asdict()}
        document["tags"] = standing(said).get(record.id, ())
        mine = [each._asdict() for each in said if each.kind == NOTE and each.trial == record.id]
        print_json({"trial": document, "events": [event._asdict() for event in events], "notes": mine})
        return
    about = f"{record.role}, seed {record.seed}, attempt {record.attempt}"
    print_text(f"trial {trial} of {sweep.called}: {record.state}, {about}")
    if original is not None:
        print_text(f"the same configuration as trial {original.called}: it was not run again")
    print_text(*said_of(said, record.id))
    print_text(*files.in_words(), *(text for text in (record.reason, record.error) if text))
    print_text("values of its own:")
    print_text(
        *(f"  {key}: {shown(value)}" for key, value in sorted(record.params.items())), "all other values:"
    )
    others = {key: value for key, value in values.items() if key not in record.params}
    print_text(*(f"  {key}: {shown(value)}" for key, value in sorted(others.items())), "latest metrics:")
    for row in latest:
        best = "" if row.best == row.value else f"; best {number(row.best)} at step {row.best_step:,}"
        print_text(f"  {row.name} {number(row.value)} at step {row.step:,}{best}")
    print_text("events:", *(f"  {moment(event.time)}  {event.text}" for event in events))


def _show_in_blocks(name: str | None, db: str, json: bool, limit: int | None, block_size: int) -> None:
    from sweeper.results.estimates import in_blocks
    from sweeper.results.leaderboard import SCHEMA_VERSION, varied
    from sweeper.terminal.blocks_table import as_json, print_blocks
    from sweeper.terminal.console import print_json

    with opened_sweep(db, name, json) as (reader, sweep):
        rows = in_blocks(reader, sweep.id, block_size)
    if json:
        print_json({"schema_version": SCHEMA_VERSION, **as_json(rows[:limit], block_size)})
    else:
        print_blocks(rows, block_size, varied(sweep.spec), limit)


@uncollected()
def show_board(
    name: str | None,
    db: str,
    json: bool,
    limit: int | None = None,
    columns: str | None = None,
    sort: str | None = None,
) -> None:
    from sweeper.results.leaderboard import metrics_of
    from sweeper.results.savings import savings
    from sweeper.store.notes import standing, tags_of
    from sweeper.terminal import console
    from sweeper.terminal.board_columns import NoColumn, in_order, split
    from sweeper.terminal.board_table import board_text, metrics_shown
    from sweeper.terminal.first_rows import watched

    with failing(NoColumn, USAGE, json):
        asked = split(columns)
    as_ever = asked is None and sort is None and not json
    document, text = None, ""
    with opened_sweep(db, name, json) as (reader, sweep):
        metrics = metrics_shown(metrics_of(sweep)) if as_ever else None
        with watched(reader, sweep, metrics, limit if as_ever else None) as looked_at:
            board = looked_at.board()
            saved = savings(reader, sweep, looked_at.now.trials.values())
            with failing(NoColumn, USAGE, json):
                if json:
                    stand = standing(reader.notes(sweep.id))
                    shown = in_order(board, sort)[:limit]
                    rows = [{**row.to_json(), "tags": tags_of(stand, row.trials)} for row in shown]
                    document = {**board.to_json(), "rows": rows, "saved": saved and saved._asdict()}
                else:
                    text = board_text(board, board.varied, limit, asked, sort)
    # Now that the store's moment is over: whoever pages through it may take hours.
    if document is not None:
        console.print_json(document)
        return
    print(text, end="")
    if limit and limit < len(board.rows):
        console.print_text(f"{len(board.rows) - limit} more rows without --limit")
    if saved:
        console.print_text(f"Shared pretrains {saved.words()}.")
