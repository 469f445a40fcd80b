"""The commands that run a sweep, go on with it, or check what would run."""

from json import dumps
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from sweeper.cli.board import show_board
from sweeper.cli.controls import goes_on_by_itself
from sweeper.cli.opening import (
    USAGE,
    changed,
    fail,
    files_beside,
    folder,
    load,
    look_at_inputs,
    opened_sweep,
    say,
)
from sweeper.cli.options import (
    DEFAULT_URL,
    LOUDNESS,
    Address,
    AsJson,
    Database,
    Files,
    FreeOverrides,
    Name,
    NoCalibration,
    OneTrial,
    Overrides,
    Spec,
)
from sweeper.cli.plan import counts, seen, show_plan

if TYPE_CHECKING:
    from sweeper.files.remote import Unsaid
    from sweeper.spec.environment import Environment
    from sweeper.spec.spec import SweepSpec

STATED = (0, 4, 5, 6, 130, 143)  # codes after which there is a board to show

app = typer.Typer()


@app.command()
def run(
    spec: Spec,
    overrides: Overrides = None,
    db: Database = DEFAULT_URL,
    files: Files = None,
    as_name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Another name for the sweep.")
    ] = None,
    address: Address = "local",
    plan: Annotated[bool, typer.Option("--plan", help="What `plan` says; nothing is run.")] = False,
    no_calibration: NoCalibration = False,
    json: AsJson = False,
) -> None:
    """Run a sweep, or go on with it. Ctrl-C: running trials save and it stops; the same line goes on.

    Example: python -m sweeper run schedules search.trials=40
    """
    from sweeper.files.remote import Unsaid
    from sweeper.spec.inputs import Inputs

    given = [*(overrides or []), *([] if as_name is None else [f"name={dumps(as_name)}"])]
    # Whether a cluster's nodes see a file cannot be said here.
    checked = load(spec, given, json, Inputs(offline=address != "local"))
    if made := _made_with(checked, db):
        checked = load(spec, given, json, Inputs(offline=address != "local"), made)
    if plan:
        show_plan(checked, db, files, no_calibration, json)
        return
    if not files:
        drive(checked, db, Unsaid(files_beside(db, json)), address, json)
    with folder(files, json) as place:
        drive(checked, db, place, address, json)


@app.command()
def resume(
    name: Name,
    overrides: FreeOverrides = None,
    trial: OneTrial = None,
    db: Database = DEFAULT_URL,
    files: Annotated[
        str | None, typer.Option(metavar="PATH|URI", help="Where its files are now, if they were moved.")
    ] = None,
    address: Address = "local",
    json: AsJson = False,
) -> None:
    """Go on with a sweep by its name alone; or have what was paused go on, the sweep or one of its trials.

    Example: python -m sweeper resume schedules budget.hours=8
    """
    from sweeper.files.remote import Unsaid, is_remote
    from sweeper.spec.spec import SweepSpec
    from sweeper.store.records import SWEEP_ENDS

    if files is not None and not is_remote(files) and not Path(files).is_dir():
        fail(USAGE, f"there is no folder {files}: --files says where the sweep's files are now", json)
    with opened_sweep(db, name, json, changes=True) as (reader, sweep):
        if goes_on_by_itself(reader, sweep, trial, db, json):
            return
        if address == "local" and sweep.state not in SWEEP_ENDS:
            look_at_inputs(reader.configurations(sweep.id), json)
    spec = changed(SweepSpec.from_resolved(sweep.spec, sweep.spec_text), overrides or [], json)
    drive(spec, db, files or Unsaid(sweep.folder), address, json)


@app.command()
def check(
    spec: Spec,
    overrides: Overrides = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="For another machine: look at no text, tokenizer or judge.")
    ] = False,
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Check a specification and the files that it reads, and say what would run. Starts nothing.

    Example: python -m sweeper check schedules
    """
    from sweeper.planning.objectives import notes
    from sweeper.planning.plan import plan
    from sweeper.spec.inputs import Inputs
    from sweeper.terminal.console import print_json, print_text

    inputs = Inputs(offline)
    checked = load(spec, overrides or [], json, inputs)
    would, noted = plan(checked), notes(checked)
    if checked.notify is not None and not offline and (lacks := checked.notify.lacks()):
        noted.append(lacks)
    if json:
        sees = seen(checked, would, db)._asdict()
        unseen = inputs.in_words()
        said = {"plan": would._asdict(), "sees": sees, "unseen": unseen, "notes": noted}
        print_json({**said, "spec": checked.resolved()})
        return
    print_text(*counts(checked, would, seen(checked, would, db)))
    for name, value in checked.environment.items():
        print_text(f"{name:<12}{value}, {'of the environment' if name in environ else 'its default'}")
    print_text(*(f"not seen    {each}" for each in inputs.in_words()))
    print_text(*(f"note        {each}" for each in noted))


def _made_with(spec: "SweepSpec", db: str) -> "Environment | None":
    """What the environment was when the sweep of that name was made; None where it is the same now."""
    from contextlib import closing, suppress

    from sweeper.spec.environment import Environment
    from sweeper.store.engine import StoreError
    from sweeper.store.queries import Reader

    if not spec.environment:
        return None
    with suppress(StoreError), closing(Reader(db)) as reader:  # where there is no store yet, none was made
        stored = reader.sweep(spec.name)
        made = {} if stored is None else stored.spec.get("environment", {})
        other = [name for name, value in made.items() if spec.environment.get(name) != value]
        for name in other:
            now = spec.environment.get(name)
            say(f"{name} is {made[name]!r}, as when the sweep was made; now it is {now!r}")
        return Environment(made=made) if other else None
    return None


def drive(spec: "SweepSpec", url: str, files: "str | Unsaid", address: str, json: bool) -> NoReturn:
    from sweeper.terminal.console import print_json
    from sweeper.terminal.live import progress

    if spec.notify is not None and (lacks := spec.notify.lacks()):
        say(lacks)
    shown = progress(quiet=LOUDNESS.quiet, verbose=LOUDNESS.verbose)
    shown.started(None, f"{spec.name} starts; before the first trial does, Ray takes some seconds to start")

    from sweeper.execution.runner import Means, run_sweep  # seconds, too

    code = run_sweep(spec, url, files, shown, Means(address=address))
    if code in STATED:
        show_board(spec.name, url, json)
    elif json:
        print_json({"error": "see stderr", "exit_code": code})
    if spec.notify is not None:
        from sweeper.trackers.notify import notify

        notify(spec.notify, url, spec.name, code, say)
    raise typer.Exit(code)
