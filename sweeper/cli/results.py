"""Commands that read a sweep's results. Everything heavy is imported inside them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from sweeper.cli.opening import LACKS, NOTHING_TO_RANK, USAGE, Opened, fail, say, sweep_named
from sweeper.cli.options import DEFAULT_URL, AsJson, Database, Name, Trial

DIFFERS = 4  # exit code of a repro that came out otherwise

app = typer.Typer()


@app.command()
def leaderboard(
    name: Name,
    limit: Annotated[int | None, typer.Option(min=1, help="Rows shown.")] = None,
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Configurations by their bound on perplexity, with intervals and ties."""
    show_board(name, db, json, limit)


@app.command()
def show(
    name: Name,
    trial: Trial,
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """One trial: its state, values, latest metrics and error."""
    from sweeper.cli.console import moment, number, print_json, print_text, shown

    with Opened(db, json) as reader:
        sweep = sweep_named(reader, name, json)
        record = reader.trial(trial)
        if record is None or record.sweep != sweep.id:
            fail(USAGE, f"{name} has no trial {trial}", json)
        values = reader.configurations(sweep.id)[record.configuration]
        latest = [row for row in reader.latest(sweep.id) if row.trial == trial]
        events = reader.events(sweep.id, trial)
    if json:
        metrics = {row.name: row._asdict() for row in latest}
        document = {**record._asdict(), "values": values, "metrics": metrics}
        print_json({"trial": document, "events": [event._asdict() for event in events]})
        return
    about = f"{record.role}, seed {record.seed}, attempt {record.attempt}"
    print_text(f"trial {trial} of {name}: {record.state}, {about}")
    if record.repeat_of is not None:
        print_text(f"the same configuration as trial {record.repeat_of}: it was not run again")
    print_text(*(text for text in (record.reason, record.error) if text), "values of its own:")
    print_text(
        *(f"  {key}: {shown(value)}" for key, value in sorted(record.params.items())), "all other values:"
    )
    others = {key: value for key, value in values.items() if key not in record.params}
    print_text(*(f"  {key}: {shown(value)}" for key, value in sorted(others.items())), "latest metrics:")
    for row in latest:
        best = "" if row.best == row.value else f"; best {number(row.best)} at step {row.best_step:,}"
        print_text(f"  {row.name} {number(row.value)} at step {row.step:,}{best}")
    print_text("events:", *(f"  {moment(event.time)}  {event.text}" for event in events))


@app.command()
def compare(
    name: Name,
    a: Annotated[int, typer.Argument(metavar="A", help="A trial's number on the board.")],
    b: Annotated[int, typer.Argument(metavar="B", help="Another's.")],
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Two configurations: what differs, and their paired difference with its interval.

    A trial stands for its configuration: all seeds that both were trained with count.
    """
    from sweeper.cli.compare_text import parameters, verdict
    from sweeper.cli.console import print_json, print_table, print_text
    from sweeper.results.compare import NotComparable
    from sweeper.results.compare import compare as compared

    with Opened(db, json) as reader:
        sweep = sweep_named(reader, name, json)
        try:
            found = compared(reader, sweep, a, b)
        except NotComparable as error:
            fail(USAGE, str(error), json)
    if json:
        print_json({"comparison": found.to_json()})
        return
    print_table(["", f"A: trial {a}", f"B: trial {b}"], parameters(found))
    print_text("", *verdict(found))


@app.command()
def repro(
    name: Name,
    trial: Trial,
    check: Annotated[bool, typer.Option("--check", help="Run it now, and compare.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="The folder that the command shall name.", file_okay=False)
    ] = None,
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """The command that makes a trial again, without the sweep, its pretrain included.

    --check: exit code 0 where val_nelbo comes out equal to the bit, 4 where it does not.
    """
    from sweeper.cli.console import print_json, print_text
    from sweeper.results import repro as again
    from trainer.config.problems import InvalidConfig

    with Opened(db, json) as reader:
        sweep = sweep_named(reader, name, json)
        record = reader.trial(trial)
        if record is None or record.sweep != sweep.id:
            fail(USAGE, f"{name} has no trial {trial}", json)
        checked = None
        try:
            found = again.repro(reader, sweep, record)
            line = found.line(out or Path("runs") / f"{name}-{trial}")
            if check:
                say(line)
                checked = again.check(reader, record, found)
        except (again.CannotRepeat, InvalidConfig) as error:
            fail(USAGE, f"trial {trial} of {name} cannot be made again: {error}", json)
    if json:
        print_json({"command": line, **(checked._asdict() if checked else {})})
    else:
        print_text(checked.words() if checked else line)
    if checked and not checked.equal:
        raise typer.Exit(DIFFERS)


@app.command()
def report(
    name: Name,
    html: Annotated[bool, typer.Option("--html", help="A page instead of Markdown.")] = False,
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """What was printed (`reference`) against ours: each number, and each claim, with a word."""
    from sweeper.cli.console import print_json, print_text
    from sweeper.cli.report_text import html_page, markdown
    from sweeper.results.report import NoReference
    from sweeper.results.report import report as held_against

    with Opened(db, json) as reader:
        sweep = sweep_named(reader, name, json)
        try:
            found = held_against(reader, sweep)
        except NoReference as error:
            fail(USAGE, str(error), json)
    if json:
        print_json({"report": found.to_json()})
    else:
        print_text((html_page if html else markdown)(found).rstrip())


@app.command()
def profile(
    name: Name,
    parameter: Annotated[str, typer.Argument(help="Its dotted name: finetune.reweighting.k.")],
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """The bound by the values of one parameter, and what a search on the objective would have chosen."""
    from math import exp

    from sweeper.cli.console import perplexity, print_json, print_table, print_text, shown
    from sweeper.results.profile import NoProfile
    from sweeper.results.profile import profile as made

    with Opened(db, json) as reader:
        sweep = sweep_named(reader, name, json)
        try:
            found = made(reader, sweep, parameter)
        except NoProfile as error:
            fail(NOTHING_TO_RANK, str(error), json)
    if json:
        chosen = found.by_objective
        document = {"parameter": parameter, "best": found.best._asdict()}
        points = [point._asdict() for point in found.points]
        print_json({**document, "by_objective": chosen and chosen._asdict(), "points": points})
        return
    rows = [
        [
            shown(point.value),
            f"{perplexity(point.val_ppl)}{'=' if point.tied_with_best else ''}",
            f"[{perplexity(point.low)}, {perplexity(point.high)}]",
            "" if point.objective is None else perplexity(exp(point.objective)),
            str(point.seeds),
        ]
        for point in found.points
    ]
    titles = [parameter.rpartition(".")[2], "val_ppl", "95% interval", "exp(objective)", "seeds"]
    print_table(titles, rows, right=(0, 1, 2, 3, 4))
    print_text(*found.words())


@app.command()
def importance(
    name: Name,
    evaluator: Annotated[
        Literal["ped-anova", "fanova"], typer.Option(help="fanova needs the extra of that name.")
    ] = "ped-anova",
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Which parameters set the good search trials apart from the others."""
    from sweeper.cli.console import print_json, print_table, print_text
    from sweeper.search.importance import CannotTell
    from sweeper.search.importance import importance as judged

    with Opened(db, json) as reader:
        sweep = sweep_named(reader, name, json)
        try:
            found = judged(reader, sweep, evaluator)
        except CannotTell as error:
            fail(NOTHING_TO_RANK, str(error), json)
    if json:
        judged_rows = [row._asdict() for row in found.rows]
        print_json({**found._asdict(), "evaluator": evaluator, "rows": judged_rows})
        return
    rows = [[row.name, f"{row.share:.3f}", row.note(found.trials)] for row in found.rows]
    print_table(["parameter", "importance", ""], rows, right=(1,))
    print_text(*found.cautions(evaluator))


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
    from sweeper.cli.console import print_json, print_text

    if out is None and optuna is None:
        fail(USAGE, "say where to: --out FOLDER for tables, --optuna URL for a study", json)
    files: list[Path] = []
    studied = None
    with Opened(db, json) as reader:
        sweep = sweep_named(reader, name, json)
        if out is not None:
            from sweeper.results.export import export as written

            try:
                files = written(reader, sweep, out, ("parquet", "csv") if format == "both" else (format,))
            except OSError as error:
                fail(LACKS, f"cannot write to {out}: {error.strerror or error}", json)
        if optuna is not None:
            from sweeper.search.export_study import CannotExport, export_study

            try:
                studied = export_study(reader, sweep, optuna)
            except CannotExport as error:
                fail(USAGE, str(error), json)
    if json:
        print_json({"files": [str(file) for file in files], "studied": studied})
        return
    print_text(*(str(file) for file in files))
    if studied is not None:
        print_text(f"study {name}: {studied} trials; to look at it: optuna-dashboard URL")


def show_board(name: str, db: str, json: bool, limit: int | None = None) -> None:
    from sweeper.cli import console
    from sweeper.cli.board_table import print_board
    from sweeper.results.leaderboard import leaderboard as make_board
    from sweeper.results.savings import savings

    with Opened(db, json) as reader:
        sweep = sweep_named(reader, name, json)
        spec = sweep.spec
        board = make_board(reader, name)
        saved = savings(reader, sweep)
    if json:
        document = board.to_json()
        rows, saving = document["rows"][:limit], saved and saved._asdict()
        console.print_json({**document, "rows": rows, "saved": saving})
        return
    varied = dict.fromkeys([*spec["space"], *(key for entry in spec["always"] for key in entry)])
    print_board(board, list(varied), limit)
    if limit and limit < len(board.rows):
        console.print_text(f"{len(board.rows) - limit} more rows without --limit")
    if saved:
        console.print_text(f"Shared pretrains {saved.words()}.")
