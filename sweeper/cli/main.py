"""The command line. Everything heavy is imported inside the commands, so that --help answers at once.

Exit codes: 0 done; 1 internal error; 2 usage; 3 bad spec; 4 finished, some trials failed; 5 nothing to rank;
6 budget ended it; 7 the machine lacks something; 130 interrupted, resumable; 143 terminated.
"""

import os
import sys
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from sweeper.cli.controls import OneTrial, goes_on_by_itself, to_go_on
from sweeper.cli.controls import app as controls
from sweeper.cli.housekeeping import app as housekeeping
from sweeper.cli.opening import (
    LACKS,
    Opened,
    changed,
    files_beside,
    folder,
    load,
    say,
    state_in_words,
    summary,
    sweep_named,
)
from sweeper.cli.options import (
    DEFAULT_URL,
    Address,
    AsJson,
    Database,
    Files,
    FreeOverrides,
    MaybeName,
    Name,
    Overrides,
    Spec,
)
from sweeper.cli.plan import NoCalibration, counts, show_plan
from sweeper.cli.plan import app as plans
from sweeper.cli.results import app as results
from sweeper.cli.results import show_board
from sweeper.cli.stages import app as stages

if TYPE_CHECKING:
    from sweeper.spec.spec import SweepSpec

DRIVEN = ("running", "paused")  # states that a driver leaves behind only if it was killed
RESUMABLE = (*DRIVEN, "interrupted")  # states of a sweep that has not come to its end
STATED = (0, 4, 5, 6, 130, 143)  # codes after which there is a board to show

app = typer.Typer(
    help="Hyperparameter sweeps for block-diffusion language models. To resume, type the `run` line again.",
    epilog=__doc__.partition("\n\n")[2].replace("\n", " "),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(results)
app.add_typer(controls)
app.add_typer(plans)
app.add_typer(housekeeping)
app.add_typer(stages, name="stages")


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
    """Run a sweep, or go on with it. Ctrl-C: running trials save and it stops; the same line goes on."""
    given = [*(overrides or []), *([] if as_name is None else [f"name={dumps(as_name)}"])]
    checked = load(spec, given, json)
    if plan:
        show_plan(checked, db, files, no_calibration, json)
        return
    _drive(checked, db, folder(files, json) if files else files_beside(db, json), address, json)


@app.command()
def resume(
    name: Name,
    overrides: FreeOverrides = None,
    trial: OneTrial = None,
    db: Database = DEFAULT_URL,
    address: Address = "local",
    json: AsJson = False,
) -> None:
    """Go on with a sweep by its name alone; or have what was paused go on, the sweep or one of its trials."""
    from sweeper.spec.spec import SweepSpec

    with Opened(db, json) as reader:
        sweep = sweep_named(reader, name, json)
        if goes_on_by_itself(reader, sweep, trial, db, json):
            return
    spec = changed(SweepSpec.from_resolved(sweep.spec, sweep.spec_text), overrides or [], json)
    _drive(spec, db, sweep.folder, address, json)


@app.command()
def check(spec: Spec, overrides: Overrides = None, json: AsJson = False) -> None:
    """Check a specification, and say what would run. Starts nothing."""
    from sweeper.cli.console import print_json, print_text
    from sweeper.planning.plan import plan

    checked = load(spec, overrides or [], json)
    would = plan(checked)
    if json:
        print_json({"plan": would._asdict(), "spec": checked.resolved()})
        return
    print_text(f"{checked.name}: the specification is sound", *counts(checked, would))


@app.command()
def status(name: MaybeName = None, db: Database = DEFAULT_URL, json: AsJson = False) -> None:
    """How far a sweep is."""
    from sweeper.cli.console import moment, print_json, print_text
    from sweeper.driver.spending import spent_in_words
    from sweeper.files.disk import use
    from sweeper.results.savings import savings

    if name is None:
        _list(db, json)
        return
    with Opened(db, json) as reader:
        sweep = sweep_named(reader, name, json)
        document, events = summary(reader, sweep), reader.events(sweep.id, limit=5)
        running = [trial for trial in reader.trials(sweep.id) if trial.state == "running"]
        steps = {trial.id: reader.last_step(trial.id) for trial in running}
        saved, disk = savings(reader, sweep), use(reader, sweep, db)
        spent = spent_in_words(reader, sweep)
    if json:
        last, saving = [event._asdict() for event in events], saved and saved._asdict()
        print_json({"sweep": document, "saved": saving, "disk": disk._asdict(), "events": last})
        return
    counts = ", ".join(f"{count} {state}" for state, count in document["trials"].items()) or "none yet"
    print_text(f"{name}: {state_in_words(document)}", f"trials: {counts}")
    if sweep.note and sweep.note != counts:
        print_text(f"note: {sweep.note}")
    print_text(
        *(f"trial {t.id}: step {steps[t.id]:,} of {t.steps:,}, {t.role}, seed {t.seed}" for t in running)
    )
    if saved:
        print_text(f"shared pretrains {saved.words()}")
    if spent:
        print_text(f"budget: {spent}")
    print_text(f"disk: {disk.words()}")
    if document["driver"] is None and sweep.state in RESUMABLE:
        print_text(to_go_on(name, db))
    print_text(*(f"{moment(event.time)}  {event.text}" for event in sorted(events, key=lambda each: each.id)))


@app.command(name="list")
def list_sweeps(db: Database = DEFAULT_URL, json: AsJson = False) -> None:
    """Every sweep in the database."""
    _list(db, json)


@app.command()
def doctor(
    db: Database = DEFAULT_URL,
    files: Files = None,
    start: Annotated[bool, typer.Option("--start", help="Start Ray and import torch, too.")] = False,
    json: AsJson = False,
) -> None:
    """Say what a sweep would lack on this machine, and what to do about it. Changes nothing."""
    from sweeper.cli.console import print_json, print_text
    from sweeper.cli.doctor import examine

    findings = []
    for each in examine(db, files, start=start):
        findings.append(each)
        if not json:
            todo = [f"{'':18} {each.todo}"] if each.todo else []
            print_text(f"{each.level:8} {each.part:9} {each.text}", *todo)
    if json:
        print_json({"findings": [each._asdict() for each in findings]})
    if any(each.level == "problem" for each in findings):
        raise typer.Exit(LACKS)


@app.command()
def dashboard(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8501, db: Database = DEFAULT_URL
) -> None:
    """The leaderboard in a browser, live and read-only, for this machine alone."""
    app_file = Path(__file__).parents[2] / "dashboard" / "app.py"
    options = {
        "server.address": "127.0.0.1",
        "server.port": port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.showErrorDetails": "none",
        "client.toolbarMode": "minimal",
    }
    flags = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    say(f"http://127.0.0.1:{port}  (from elsewhere, first: ssh -L {port}:127.0.0.1:{port} THIS_MACHINE)")
    command = [sys.executable, "-m", "streamlit", "run", str(app_file), *flags]
    os.execve(sys.executable, command, {**os.environ, "SWEEPER_DB": db})


# --- shared by commands -------------------------------------------------------------------------
def _drive(spec: "SweepSpec", url: str, files: str, address: str, json: bool) -> NoReturn:
    from sweeper.cli import console
    from sweeper.execution.runner import Means, run_sweep

    code = run_sweep(spec, url, files, console.progress(), Means(address=address))
    if code in STATED:
        show_board(spec.name, url, json)
    elif json:
        console.print_json({"error": "see stderr", "exit_code": code})
    raise typer.Exit(code)


def _list(db: str, json: bool) -> None:
    from sweeper.cli.console import moment, print_json, print_text

    with Opened(db, json) as reader:
        sweeps = [summary(reader, sweep) for sweep in reader.sweeps()]
    if json:
        print_json({"sweeps": sweeps})
        return
    for each in sweeps:
        counts = ", ".join(f"{count} {state}" for state, count in each["trials"].items())
        cut_off = " (cut off)" if each["state"] in DRIVEN and each["driver"] is None else ""
        print_text(f"{each['name']}  {each['state']}{cut_off}  {moment(each['created'])}  {counts}")
    if not sweeps:
        say("no sweep has been run yet: python -m sweeper run search_spaces/schedules.yaml")
