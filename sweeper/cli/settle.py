"""The commands that bring a sweep to an answer: a race of its best, and its checkpoints scored again."""

from typing import Annotated

import typer

from sweeper.cli.opening import NOTHING_TO_RANK, USAGE, fail, failing, opened_sweep, reading, say
from sweeper.cli.options import DEFAULT_URL, Address, AsJson, Database, Name
from sweeper.cli.run import drive

app = typer.Typer()


@app.command()
def settle(
    name: Name,
    within: Annotated[
        str | None, typer.Option(metavar="1%", help="Loss of perplexity that does not matter.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="answer|winner|chance")] = None,
    confidence: Annotated[float | None, typer.Option(help="0.95 unless said.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Fresh seeds at most.")] = None,
    contenders: Annotated[int | None, typer.Option(help="Configurations at most.")] = None,
    by: Annotated[
        str | None, typer.Option(help="A dimension: each of its values by itself; '': all together again.")
    ] = None,
    db: Database = DEFAULT_URL,
    address: Address = "local",
    json: AsJson = False,
) -> None:
    """Race the best of a sweep on fresh seeds until there is an answer. It runs, or it has ended.

    Example: python -m sweeper settle schedules --within 1%
    """
    from sweeper.driver.extension import NotSettled
    from sweeper.driver.extension import settle as ask
    from sweeper.files.remote import Unsaid
    from sweeper.spec.spec import SweepSpec
    from sweeper.store.engine import StoreError
    from sweeper.terminal.console import print_json, print_text

    options = {
        "within": within,
        "until": until,
        "confidence": confidence,
        "seeds": seeds,
        "contenders": contenders,
        "by": by,
    }
    with opened_sweep(db, name, json, changes=True) as (_, sweep):
        pass
    with reading(db, json), failing((NotSettled, StoreError), USAGE, json):
        asked, driven = ask(db, sweep.name, {key: said for key, said in options.items() if said is not None})
    if driven and json:
        print_json({"settle": {"sweep": sweep.name, "running": True, **asked.model_dump(mode="json")}})
    if driven and not json:
        print_text(f"asked {sweep.called} to be settled to {asked.within:.3g}; it goes on to that by itself")
    if driven:
        return
    with opened_sweep(db, sweep.name, json) as (_, sweep):
        spec = SweepSpec.from_resolved(sweep.spec, sweep.spec_text)
    drive(spec, db, Unsaid(sweep.folder), address, json)


@app.command()
def reevaluate(
    name: Name,
    rows: Annotated[
        list[int] | None, typer.Argument(help="Of the board, from 1; without, what a race would be of.")
    ] = None,
    masks: Annotated[int | None, typer.Option(min=1, help="Masks a block.")] = None,
    error: Annotated[
        float | None, typer.Option(min=0.0001, help="Wanted error of masks alone, nats per token: 0.005.")
    ] = None,
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Score checkpoints of a sweep's best again, without training: the board goes by these scores then. One
    that
    was scored under more masks keeps what it has.

    Example: python -m sweeper reevaluate schedules --error 0.002
    """
    from sweeper.execution.reevaluation import Masks, contenders
    from sweeper.execution.reevaluation import reevaluate as score_again
    from sweeper.results.leaderboard import leaderboard
    from sweeper.store.engine import StoreError
    from sweeper.terminal.console import print_json, print_text
    from trainer.evaluation.sizing import RANKING_ERROR

    if masks is not None and error is not None:
        fail(USAGE, "--error sets the number of masks: say one of the two", json)
    with opened_sweep(db, name, json, changes=True) as (reader, sweep):
        board = leaderboard(reader, sweep.name).rows
        if beyond := [row for row in rows or [] if not 1 <= row <= len(board)]:
            fail(
                USAGE, f"the board of {sweep.called} has {len(board)} rows: there is no row {beyond[0]}", json
            )
        chosen = [board[row - 1].configuration for row in rows or []] or contenders(reader, sweep)
    wanted = Masks(RANKING_ERROR if masks is None and error is None else error, masks)
    with failing(StoreError, USAGE, json):
        scored, kept = score_again(db, sweep.name, chosen, wanted, say)
    if json:
        runs, stay = (
            [{"trial": trial.id, "trial_number": trial.trial_number} for trial in them]
            for them in (scored, kept)
        )
        print_json({"reevaluated": {"sweep": sweep.name, **wanted._asdict(), "runs": runs, "kept": stay}})
    else:
        print_text(f"{len(scored)} runs of {len(chosen)} configurations are scored again")
        if kept:
            print_text(f"{len(kept)} keep the scores that they have, which have less error of masks")
    if not scored and not kept:
        raise typer.Exit(NOTHING_TO_RANK)
