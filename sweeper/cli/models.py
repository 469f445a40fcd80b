"""The commands that use the network of a trial: give it away, draw text from it, score it once more."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from sweeper.cli.opening import LACKS, NOTHING_TO_RANK, USAGE, fail, failing, opened_sweep, say, trial_of
from sweeper.cli.options import DEFAULT_URL, AsJson, Database, Name

if TYPE_CHECKING:
    from sweeper.results.leaderboard import Board
    from sweeper.store.queries import Reader
    from sweeper.store.records import SweepRecord, TrialRecord
    from sweeper.terminal.model_card import Chosen

WINNER = "winner"

app = typer.Typer()

Which = Annotated[
    Literal["best", "last"],
    typer.Option("--checkpoint", help="By the bound on the valid split, or the latest."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
OfATrial = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TRIAL|winner] [KEY=VALUE]...",
        help="A number on the board, by default the best-scored run of the row that the answer takes; then "
        "settings of it.",
    ),
]


@app.command("export-model")
def export_model(
    name: Name,
    to: Annotated[Path, typer.Option(metavar="FOLDER", help="New or empty.", file_okay=False)],
    trial: Annotated[str, typer.Argument(metavar="[TRIAL|winner]", help="A number on the board.")] = WINNER,
    checkpoint: Which = "best",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model exported there.")] = False,
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """A trial's network as a folder that transformers loads offline, with its own code and a model card.

    Its moving average, which is what was evaluated. winner, the default: the best-scored run of the row that
    the answer takes.

    Example: python -m sweeper export-model mine --to mine-model
    """
    from sweeper.results.leaderboard import leaderboard
    from sweeper.terminal.console import print_json, print_text
    from sweeper.terminal.model_card import card
    from trainer.errors import CheckpointError, DataError

    with opened_sweep(db, name, json) as (reader, sweep):
        board = leaderboard(reader, sweep.name)
        chosen = _chosen(reader, sweep, board, trial, json)
    with _trained("export-model", sweep, chosen.trial, checkpoint, json) as folder:
        from trainer.checkpoints.exchange import CARD, adapted_in, check_place, export_run

        try:
            check_place(to, overwrite)
        except CheckpointError as error:
            more = "" if overwrite else "; --overwrite replaces a model that was exported there"
            fail(USAGE, f"{error}{more}", json)
        with failing((CheckpointError, DataError), LACKS, json):
            adapted = adapted_in(folder / f"{checkpoint}.safetensors")
            with opened_sweep(db, name, json) as (reader, _):
                readme = card(reader, sweep, board, chosen, checkpoint, adapted)
            export_run(folder, to, name=checkpoint, beside={CARD: readme}, replace=overwrite)
    say(chosen.why)
    if json:
        said = {"trial": chosen.trial.called, "checkpoint": checkpoint, "settled": chosen.settled}
        print_json({"folder": str(to), **said, "why": chosen.why})
    else:
        print_text(str(to))


@app.command()
def sample(
    name: Name,
    trial: OfATrial = None,
    num: Annotated[int, typer.Option(min=1, help="Samples.")] = 2,
    length: Annotated[
        int | None,
        typer.Option(min=2, help="Tokens, BOS and prompt included; by default the trained length."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1)] = 0,
    prompt: Annotated[str, typer.Option(help="Text that every sample begins with.")] = "",
    batch: Annotated[int, typer.Option(min=1, help="Samples drawn at once; changes none of them.")] = 16,
    out: Annotated[
        Path | None, typer.Option(help="A file, one JSON object a sample.", dir_okay=False)
    ] = None,
    checkpoint: Which = "best",
    device: Device = "auto",
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Text from a trial's network. KEY: of sampler.* and stopping.*, as `python -m trainer sample` has them.

    Example: python -m sweeper sample mine --num 3 sampler.nucleus=0.9
    """
    asked = _asked(name, trial, db, json)
    with _trained("sample", asked.sweep, asked.trial, checkpoint, json) as folder:
        from trainer.cli.sample import sample as drawn

        drawn(
            folder,
            asked.settings,
            num=num,
            length=length,
            seed=seed,
            prompt=prompt,
            batch=batch,
            out=out,
            as_json=json,
            checkpoint=checkpoint,
            device=device,
        )


@app.command()
def evaluate(
    name: Name,
    trial: OfATrial = None,
    split: Annotated[Literal["valid", "test"], typer.Option()] = "valid",
    raw: Annotated[bool, typer.Option("--raw", help="The weights, not their moving average.")] = False,
    checkpoint: Which = "best",
    device: Device = "auto",
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Score a trial's network; nothing is stored. KEY: evaluation.*, as of `python -m trainer evaluate`.

    Example: python -m sweeper evaluate mine 7 evaluation.sequences=1000
    """
    asked = _asked(name, trial, db, json)
    with _trained("evaluate", asked.sweep, asked.trial, checkpoint, json) as folder:
        from trainer.cli.main import evaluate as scored

        scored(
            folder, asked.settings, checkpoint=checkpoint, split=split, raw=raw, as_json=json, device=device
        )


class Asked(NamedTuple):
    sweep: "SweepRecord"
    trial: "TrialRecord"
    settings: list[str]


def _asked(name: str | None, words: list[str] | None, db: str, json: bool) -> Asked:
    """The first of the words may name a trial, which is looked up without making a board."""
    words = words or []
    which, settings = (words[0], words[1:]) if words and "=" not in words[0] else (WINNER, words)
    with opened_sweep(db, name, json) as (reader, sweep):
        if which != WINNER:
            return Asked(sweep, trial_of(reader, sweep, _number(which, json), json), settings)
        from sweeper.results.leaderboard import leaderboard

        chosen = _chosen(reader, sweep, leaderboard(reader, sweep.name), which, json)
    say(chosen.why)
    return Asked(sweep, chosen.trial, settings)


def _chosen(reader: "Reader", sweep: "SweepRecord", board: "Board", which: str, json: bool) -> "Chosen":
    from sweeper.terminal.model_card import named, winner

    if which != WINNER:
        return named(reader, board, trial_of(reader, sweep, _number(which, json), json))
    found = winner(reader, board)
    if found is None:
        fail(
            NOTHING_TO_RANK,
            f"nothing of {sweep.called} is ranked yet, so there is no winner: name a trial",
            json,
        )
    return found


def _number(said: str, json: bool) -> int:
    if not said.isdecimal():
        fail(USAGE, f"{said!r} is neither a trial's number on the board nor {WINNER}", json)
    return int(said)


@contextmanager
def _trained(
    what: str, sweep: "SweepRecord", trial: "TrialRecord", checkpoint: str, json: bool
) -> Iterator[Path]:
    """The trial's folder, on this machine. Nothing of the database is open any more: it may take long."""
    from sweeper.files.trial_files import files_of, folder_here
    from trainer.errors import CheckpointError

    try:
        with folder_here(files_of(sweep, trial), checkpoint) as folder:
            yield folder
    except CheckpointError as error:
        again = f"`repro {shlex.quote(sweep.name)} {trial.called}` says how to train it again"
        fail(LACKS, f"{error}; {again}", json)
    except ModuleNotFoundError as error:
        fail(LACKS, f"{what} needs the Python package {error.name}, which is not installed", json)
