"""The command line. Everything heavy is imported inside the commands, so that --help answers at once.

Exit codes: 0 done; 1 internal error; 2 usage; 3 bad spec; 4 finished, some trials failed; 5 nothing to rank;
6 budget ended it; 7 the machine lacks something; 130 interrupted, resumable; 143 terminated.
"""

import os
import shlex
import sys
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from sweeper.opening import (
    LACKS,
    USAGE,
    Opened,
    fail,
    files_beside,
    folder,
    load,
    say,
    state_in_words,
    summary,
    sweep_named,
)
from sweeper.options import DEFAULT_URL, AsJson, Database, Files, MaybeName, Name, Overrides, Spec
from sweeper.results_cli import app as results
from sweeper.results_cli import show_board
from sweeper.stages_cli import app as stages

if TYPE_CHECKING:
    from sweeper.spec import SweepSpec

RESUMABLE = ("running", "interrupted")  # states of a sweep that has not come to its end
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
    json: AsJson = False,
) -> None:
    """Run a sweep, or go on with it. Ctrl-C: running trials save and it stops; the same line goes on."""
    given = [*(overrides or []), *([] if as_name is None else [f"name={dumps(as_name)}"])]
    checked = load(spec, given, json)
    _drive(checked, db, folder(files, json) if files else files_beside(db, json), json)


@app.command()
def resume(name: Name, db: Database = DEFAULT_URL, json: AsJson = False) -> None:
    """Go on with a sweep by its name alone."""
    from sweeper.spec import SweepSpec

    with Opened(db, json) as reader:
        sweep = sweep_named(reader, name, json)
    _drive(SweepSpec.from_resolved(sweep.spec, sweep.spec_text), db, Path(sweep.folder), json)


@app.command()
def check(spec: Spec, overrides: Overrides = None, json: AsJson = False) -> None:
    """Check a specification, and say what would run. Starts nothing."""
    from sweeper.console import print_json, print_text
    from sweeper.plan import plan

    checked = load(spec, overrides or [], json)
    would = plan(checked)
    if json:
        print_json({"plan": would._asdict(), "spec": checked.resolved()})
        return
    bound = "at most " if would.at_most else ""
    print_text(
        f"{checked.name}: the specification is sound",
        f"trials      {would.trials} by {checked.search.sampler}, seed {checked.search.seed}",
        *([f"skipped     {would.skipped} points that break a constraint"] if would.skipped else []),
        f"baselines   {would.baselines}",
        *([f"replicates  at most {would.replicates}"] if would.replicates else []),
        *([f"confirmed   at most {would.confirmed} runs"] if would.confirmed else []),
        f"pretrains   {bound}{would.stages}, each run once and shared",
        f"steps       {bound}{would.steps:,}",
    )


@app.command()
def status(name: MaybeName = None, db: Database = DEFAULT_URL, json: AsJson = False) -> None:
    """How far a sweep is."""
    from sweeper.console import moment, print_json, print_text
    from sweeper.savings import savings

    if name is None:
        _list(db, json)
        return
    with Opened(db, json) as reader:
        sweep = sweep_named(reader, name, json)
        document, events = summary(reader, sweep), reader.events(sweep.id, limit=5)
        running = [trial for trial in reader.trials(sweep.id) if trial.state == "running"]
        steps = {trial.id: reader.last_step(trial.id) for trial in running}
        saved = savings(reader, sweep)
    if json:
        last = [event._asdict() for event in events]
        print_json({"sweep": document, "saved": saved and saved._asdict(), "events": last})
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
    if document["driver"] is None and sweep.state in RESUMABLE:
        where = "" if db == DEFAULT_URL or "@" in db else f" --db {db}"
        print_text(f"to go on: python -m sweeper resume {shlex.quote(name)}{where}")
    print_text(*(f"{moment(event.time)}  {event.text}" for event in sorted(events, key=lambda each: each.id)))


@app.command(name="list")
def list_sweeps(db: Database = DEFAULT_URL, json: AsJson = False) -> None:
    """Every sweep in the database."""
    _list(db, json)


@app.command()
def stop(
    name: Name,
    trial: Annotated[int | None, typer.Option(help="This one alone; the whole sweep without.")] = None,
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Ask a running sweep, or one of its trials, to save and stop."""
    from sweeper.console import print_json, print_text
    from sweeper.outlook import LIVE
    from sweeper.store import controls
    from sweeper.store.store import StoreError

    with Opened(db, json) as reader:
        sweep = sweep_named(reader, name, json)
        ahead = summary(reader, sweep)
        if ahead["driver"] is None:
            fail(
                USAGE, f"{name} is not being run, so there is nothing to stop: {state_in_words(ahead)}", json
            )
        record = None if trial is None else reader.trial(trial)
        if record and record.sweep == sweep.id and record.state not in LIVE:
            fail(USAGE, f"trial {trial} of {name} has ended already: {record.state}", json)
    try:
        controls.request(db, sweep.id, "stop", trial)
    except StoreError as error:
        fail(USAGE, str(error), json)
    what = name if trial is None else f"trial {trial} of {name}"
    if json:
        print_json({"asked": {"verb": "stop", "sweep": name, "trial": trial}})
    else:
        print_text(f"asked {what} to stop: it will, when its checkpoint is written")


@app.command()
def extend(
    name: Name,
    trials: Annotated[str, typer.Option(help="+20: so many more; =40: so many in all.")],
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Have a sweep try more configurations: one that runs, or one that has ended."""
    from sweeper.console import print_json, print_text
    from sweeper.extension import NoExtension
    from sweeper.extension import extend as make_longer
    from sweeper.store.store import StoreError

    with Opened(db, json) as reader:
        sweep_named(reader, name, json)
    try:
        total, driven = make_longer(db, name, trials)
    except (NoExtension, StoreError) as error:
        fail(USAGE, str(error), json)
    if json:
        print_json({"extended": {"sweep": name, "trials": total, "running": driven}})
    elif driven:
        print_text(f"asked {name} to try {total} configurations in all; it goes on with them by itself")
    else:
        where = "" if db == DEFAULT_URL or "@" in db else f" --db {shlex.quote(db)}"
        print_text(
            f"{name} is to try {total} configurations in all",
            f"to go on: python -m sweeper resume {shlex.quote(name)}{where}",
        )


@app.command()
def doctor(
    db: Database = DEFAULT_URL,
    files: Files = None,
    start: Annotated[bool, typer.Option("--start", help="Start Ray and import torch, too.")] = False,
    json: AsJson = False,
) -> None:
    """Say what a sweep would lack on this machine, and what to do about it. Changes nothing."""
    from sweeper.console import print_json, print_text
    from sweeper.doctor import examine

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
    app_file = Path(__file__).parent.parent / "dashboard" / "app.py"
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
def _drive(spec: "SweepSpec", url: str, files: Path, json: bool) -> NoReturn:
    from sweeper import console
    from sweeper.runner import run_sweep

    code = run_sweep(spec, spec.text, url, files, progress=console.progress())
    if code in STATED:
        show_board(spec.name, url, json)
    elif json:
        console.print_json({"error": "see stderr", "exit_code": code})
    raise typer.Exit(code)


def _list(db: str, json: bool) -> None:
    from sweeper.console import moment, print_json, print_text

    with Opened(db, json) as reader:
        sweeps = [summary(reader, sweep) for sweep in reader.sweeps()]
    if json:
        print_json({"sweeps": sweeps})
        return
    for each in sweeps:
        counts = ", ".join(f"{count} {state}" for state, count in each["trials"].items())
        cut_off = " (cut off)" if each["state"] == "running" and each["driver"] is None else ""
        print_text(f"{each['name']}  {each['state']}{cut_off}  {moment(each['created'])}  {counts}")
    if not sweeps:
        say("no sweep has been run yet: python -m sweeper run search_spaces/schedules.yaml")
