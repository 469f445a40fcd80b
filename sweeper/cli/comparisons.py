"""The commands that hold one thing against another: configurations, a trial run again, what was printed, the
values of a parameter."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from sweeper.cli.opening import NOTHING_TO_RANK, USAGE, fail, failing, opened_sweep, say, trial_of
from sweeper.cli.options import DEFAULT_URL, AsJson, Database, Name, Share, Trial

DIFFERS = 4  # exit code of a repro that came out otherwise
VERDICTS = {"keep": 0, "discard": 8, "not enough evidence": 9}  # exit codes of judge

app = typer.Typer()


@app.command()
def compare(
    name: Name,
    a: Annotated[int, typer.Argument(metavar="A", help="A trial's number on the board.")],
    b: Annotated[int, typer.Argument(metavar="B", help="Another's.")],
    picked: Annotated[
        bool, typer.Option("--picked", help="The pair was picked by looking at the board: a wider interval.")
    ] = False,
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Two configurations: what differs, and their paired difference with its interval.

    A trial stands for its configuration: all seeds that both were trained with count. The interval is that of
    a pair that was named before the board was seen, unless --picked says otherwise.

    Example: python -m sweeper compare schedules 3 16
    """
    from sweeper.results.compare import NotComparable
    from sweeper.results.compare import compare as compared
    from sweeper.terminal.compare_text import parameters, verdict
    from sweeper.terminal.console import print_json, print_table, print_text

    with opened_sweep(db, name, json) as (reader, sweep), failing(NotComparable, USAGE, json):
        one, other = (trial_of(reader, sweep, each, json).id for each in (a, b))
        found = compared(reader, sweep, one, other)
    if json:
        print_json({"comparison": found.to_json()})
        return
    print_table(["", f"A: trial {a}", f"B: trial {b}"], parameters(found))
    print_text("", *verdict(found, picked))


@app.command()
def judge(
    name: Name,
    a: Annotated[int, typer.Argument(metavar="A", help="A trial's number on the board: the change.")],
    b: Annotated[int, typer.Argument(metavar="B", help="Another's: what there was before.")],
    margin: Share = 0.0,
    session: Annotated[str, typer.Option(metavar="NAME", help="Asks that share an error of 5%.")] = "default",
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Whether A is better than B, by evidence: keep, discard, or not enough, and how many seeds more.

    Exit code 0: keep, A is surely better. 8: discard, A is surely not better by more than the margin. 9: not
    enough evidence. However often a session asks, at most 5% of sessions keep something that is not better.

    Example: python -m sweeper judge schedules 16 3 --margin 1%
    """
    from sweeper.results.compare import NotComparable
    from sweeper.results.judge import judge as asked
    from sweeper.store.engine import StoreError
    from sweeper.terminal.compare_text import judged
    from sweeper.terminal.console import print_json, print_text

    with (
        opened_sweep(db, name, json, changes=True) as (reader, sweep),
        failing((NotComparable, StoreError), USAGE, json),
    ):
        one, other = (trial_of(reader, sweep, each, json).id for each in (a, b))
        found = asked(reader, sweep, one, other, margin=margin, session=session)
    code = VERDICTS[found.verdict]
    if json:
        print_json({"judgement": {**found.to_json(), "exit_code": code}})
    else:
        print_text(*judged(found))
    if code:
        raise typer.Exit(code)


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

    Example: python -m sweeper repro schedules 16 --check
    """
    from sweeper.results import repro as again
    from sweeper.terminal.console import print_json, print_text
    from trainer.config.problems import InvalidConfig

    with opened_sweep(db, name, json) as (reader, sweep):
        record = trial_of(reader, sweep, trial, json)
        checked = None
        try:
            found = again.repro(reader, sweep, record)
            line = found.line(out or Path("runs") / f"{sweep.name}-{trial}")
            if check:
                say(line)
                checked = again.check(reader, record, found)
        except (again.CannotRepeat, InvalidConfig) as error:
            fail(USAGE, f"trial {trial} of {sweep.called} cannot be made again: {error}", json)
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
    """What was printed (`reference`) against ours: each number, and each claim, with a word.

    Example: python -m sweeper report table2-corrected-small --html > report.html
    """
    from sweeper.results.report import NoReference
    from sweeper.results.report import report as held_against
    from sweeper.terminal.console import print_json, print_text
    from sweeper.terminal.report_text import html_page, markdown

    with opened_sweep(db, name, json) as (reader, sweep), failing(NoReference, USAGE, json):
        found = held_against(reader, sweep)
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
    """The bound by the values of one parameter, and what a search on the objective would have chosen.

    Example: python -m sweeper profile schedules finetune.reweighting.k
    """
    from math import exp

    from sweeper.results.profile import NoProfile
    from sweeper.results.profile import profile as made
    from sweeper.terminal.console import perplexity, print_json, print_table, print_text, shown

    with opened_sweep(db, name, json) as (reader, sweep), failing(NoProfile, NOTHING_TO_RANK, json):
        found = made(reader, sweep, parameter)
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
    """Which parameters set the good search trials apart from the others.

    Example: python -m sweeper importance schedules
    """
    from sweeper.search.importance import CannotTell
    from sweeper.search.importance import importance as judged
    from sweeper.terminal.console import print_json, print_table, print_text

    with opened_sweep(db, name, json) as (reader, sweep), failing(CannotTell, NOTHING_TO_RANK, json):
        found = judged(reader, sweep, evaluator)
    if json:
        judged_rows = [row._asdict() for row in found.rows]
        print_json({**found._asdict(), "evaluator": evaluator, "rows": judged_rows})
        return
    rows = [[row.name, f"{row.share:.3f}", row.note(found.trials)] for row in found.rows]
    print_table(["parameter", "importance", ""], rows, right=(1,))
    print_text(*found.cautions(evaluator))
