"""The commands that say how far a sweep is, and which ones there are."""

import typer

from sweeper.cli.opening import NO_SWEEP, opened, opened_sweep, say, state_in_words, summary, to_go_on
from sweeper.cli.options import DEFAULT_URL, AsJson, Database, MaybeName

DRIVEN = ("running", "paused")  # states that a driver leaves behind only if it was killed
RESUMABLE = (*DRIVEN, "interrupted")  # states of a sweep that has not come to its end

app = typer.Typer()


@app.command()
def status(name: MaybeName = None, db: Database = DEFAULT_URL, json: AsJson = False) -> None:
    """How far a sweep is.

    Example: python -m sweeper status schedules
    """
    from sweeper.cli.notes import said_of_sweep
    from sweeper.files.disk import use
    from sweeper.results.progress_estimate import RunningTrial, pretrains, running_stages
    from sweeper.results.savings import savings, spent_in_words
    from sweeper.terminal.console import moment, print_json, print_text

    if name is None:
        _list(db, json)
        return
    with opened_sweep(db, name, json) as (reader, sweep):
        own = reader.trials(sweep.id)  # once: a sweep may have thousands
        document, events = summary(reader, sweep, own), reader.events(sweep.id, limit=5)
        running = [trial for trial in own if trial.state == "running"]
        trials = [RunningTrial.of(trial, reader.last_step(trial.id)) for trial in running]
        stages = pretrains(running_stages(reader, sweep, own)) if document["driver"] else []
        saved, disk = savings(reader, sweep, own), use(reader, sweep, db)
        spent, said = spent_in_words(reader, sweep, own), said_of_sweep(sweep, reader.notes(sweep.id))
    if json:
        last, saving = [event._asdict() for event in events], saved and saved._asdict()
        running_now = [stage._asdict() for stage in stages]
        document = {"sweep": document, "pretrains": running_now, "saved": saving, "disk": disk._asdict()}
        print_json({**document, "events": last})
        return
    counts = ", ".join(f"{count} {state}" for state, count in document["trials"].items()) or "none yet"
    print_text(f"{sweep.called}: {state_in_words(document)}", f"trials: {counts}")
    if sweep.note and sweep.note != counts:
        print_text(f"note: {sweep.note}")
    if document["precision"]:
        print_text(f"precision: {document['precision']}")
    print_text(*said, *(stage.words() for stage in stages), *(trial.words() for trial in trials))
    if saved:
        print_text(f"shared pretrains {saved.words()}")
    if spent:
        print_text(f"budget: {spent}")
    print_text(f"disk: {disk.words()}")
    if document["driver"] is None and sweep.state in RESUMABLE:
        print_text(to_go_on(sweep.called, db))
    print_text(*(f"{moment(event.time)}  {event.text}" for event in sorted(events, key=lambda each: each.id)))


@app.command(name="list")
def list_sweeps(db: Database = DEFAULT_URL, json: AsJson = False) -> None:
    """Every sweep in the database.

    Example: python -m sweeper list --json
    """
    _list(db, json)


def _list(db: str, json: bool) -> None:
    from sweeper.terminal.console import moment, print_json, print_text

    with opened(db, json) as reader:
        sweeps = [summary(reader, sweep) for sweep in reader.sweeps()]
    if json:
        print_json({"sweeps": sweeps})
        return
    for each in sweeps:
        counts = ", ".join(f"{count} {state}" for state, count in each["trials"].items())
        cut_off = " (cut off)" if each["state"] in DRIVEN and each["driver"] is None else ""
        tags = f"  [{', '.join(each['tags'])}]" if each["tags"] else ""
        described = "".join(f"  {line}" for line in each["describe"].splitlines()[:1])
        called = f"{each['display_name']}  {each['state']}{cut_off}"
        print_text(f"{called}  {moment(each['created'])}  {counts}{tags}{described}")
    if not sweeps:
        say(NO_SWEEP)
