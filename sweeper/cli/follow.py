"""The command that mirrors a sweep to a tracker, beside the driver or afterwards."""

from contextlib import closing
from time import sleep
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.cli.opening import INTERRUPTED, LACKS, failing, opened_sweep, say
from sweeper.cli.options import DEFAULT_URL, AsJson, Database, Name

if TYPE_CHECKING:
    from sweeper.trackers.base import Run

app = typer.Typer()


def _place(to: str) -> str:
    """Raises BadParameter, so exit code 2."""
    from sweeper.trackers.union import forms, is_place

    if not is_place(to):
        raise typer.BadParameter(f"{to!r} is no place to mirror a sweep to: {forms()}")
    return to


@app.command()
def follow(
    name: Name,
    to: Annotated[
        str,
        typer.Option(
            callback=_place,
            metavar="PLACE",
            help="tensorboard:DIR, mlflow:URI or wandb:PROJECT. docs/tracking.md",
        ),
    ],
    once: Annotated[bool, typer.Option("--once", help="What there is now; do not wait for more.")] = False,
    every: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="Between two looks.")] = 5.0,
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Mirror a sweep to TensorBoard, MLflow or Weights & Biases, until it has ended. Reads the store alone.

    Killed, the same line goes on, and nothing is there twice.

    Example: python -m sweeper follow schedules --to tensorboard:runs
    """
    from sweeper.store.engine import StoreError
    from sweeper.terminal.console import print_json, print_text
    from sweeper.trackers.base import TrackerError
    from sweeper.trackers.mirror import Mirror
    from sweeper.trackers.mirror import follow as mirrored
    from sweeper.trackers.union import open_tracker

    seen: dict[int, Run] = {}

    def told(runs: "list[Run]") -> None:
        seen.update({run.number: run for run in runs})

    with (
        opened_sweep(db, name, json) as (reader, sweep),
        failing((TrackerError, StoreError), LACKS, json),
        closing(open_tracker(to, sweep, say)) as tracker,
    ):
        if not once:
            say("Ctrl-C ends this; the same line goes on with it")
        try:
            answer = mirrored(Mirror(reader, sweep, tracker), lambda: sleep(every), once=once, told=told)
        except KeyboardInterrupt:
            say(f"{len(seen)} runs were sent; the same line goes on")
            raise typer.Exit(INTERRUPTED) from None
    if json:
        sent = {"sweep": sweep.name, "to": to.partition(":")[0], "sent": sorted(seen), "answer": answer}
        print_json({"followed": sent})
    else:
        print_text(f"{len(seen)} runs of {sweep.called} were sent", *answer.splitlines())
