"""The commands that say what a sweep has shown of its parameters: one value by value, or all of them."""

from typing import Annotated, Literal

import typer

from sweeper.cli.opening import NOTHING_TO_RANK, failing, opened_sweep
from sweeper.cli.options import DEFAULT_URL, AsJson, Database, Name

app = typer.Typer()


@app.command()
def profile(
    name: Name,
    parameter: Annotated[str, typer.Argument(help="Its dotted name: finetune.reweighting.k.")],
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """The bound by the values of one parameter, and what a search on the objective would have chosen."""
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
    """Which parameters set the good search trials apart from the others."""
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
