"""The commands that ask something of a sweep: stop, pause, extend, retry. Its driver does it, or the next."""

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from sweeper.cli.opening import (
    USAGE,
    fail,
    failing,
    opened_sweep,
    reading,
    state_in_words,
    summary,
    to_go_on,
)
from sweeper.cli.options import DEFAULT_URL, AsJson, Database, Name, OneTrial

if TYPE_CHECKING:
    from sweeper.store.queries import Reader
    from sweeper.store.records import SweepRecord, TrialRecord

SOON = {
    "stop": "it will, when its checkpoint is written",
    "pause": "it will, when its checkpoint is written; `resume` has it go on",
    "resume": "it goes on when there is a slot",
}

app = typer.Typer()


@app.command()
def stop(name: Name, trial: OneTrial = None, db: Database = DEFAULT_URL, json: AsJson = False) -> None:
    """Ask a running sweep to save and stop, to be resumed one day; or one of its trials, for good.

    Example: python -m sweeper stop schedules --trial 7
    """
    with opened_sweep(db, name, json, changes=True) as (reader, sweep):
        _must_be_driven(reader, sweep, "stop", json)
        record = _at_work(reader, sweep, trial, json)
    if not _asked(db, sweep, "stop", record, json):
        _not_driven(db, sweep.name, "stop", json)


@app.command()
def pause(name: Name, trial: OneTrial = None, db: Database = DEFAULT_URL, json: AsJson = False) -> None:
    """Ask a running sweep, or one of its trials, to save and free its slots until `resume`.

    Example: python -m sweeper pause schedules
    """
    with opened_sweep(db, name, json, changes=True) as (reader, sweep):
        _must_be_driven(reader, sweep, "pause", json)
        record = _at_work(reader, sweep, trial, json)
        if trial is None and sweep.state == "paused":
            fail(
                USAGE,
                f"{sweep.called} is paused already: `resume {shlex.quote(sweep.called)}` has it go on",
                json,
            )
    if not _asked(db, sweep, "pause", record, json):
        _not_driven(db, sweep.name, "pause", json)


@app.command()
def extend(
    name: Name,
    trials: Annotated[str, typer.Option(help="+20: so many more; =40: so many in all.")],
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Have a sweep try more configurations: one that runs, or one that has ended.

    Example: python -m sweeper extend schedules --trials +20
    """
    from sweeper.driver.extension import NoExtension
    from sweeper.driver.extension import extend as make_longer
    from sweeper.store.engine import StoreError
    from sweeper.terminal.console import print_json, print_text

    with opened_sweep(db, name, json, changes=True) as (_, sweep):
        pass
    with reading(db, json), failing((NoExtension, StoreError), USAGE, json):
        total, driven = make_longer(db, sweep.name, trials)
    if json:
        print_json({"extended": {"sweep": sweep.name, "trials": total, "running": driven}})
    elif driven:
        print_text(
            f"asked {sweep.called} to try {total} configurations in all; it goes on with them by itself"
        )
    else:
        print_text(f"{sweep.called} is to try {total} configurations in all", to_go_on(sweep.called, db))


@app.command()
def retry(
    name: Name,
    trials: Annotated[
        list[int] | None, typer.Argument(help="Numbers on the board; without, all that failed or were lost.")
    ] = None,
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Have failed and lost trials run again, from their last checkpoints; one that has ended is re-opened.

    Example: python -m sweeper retry schedules 7 9
    """
    from sweeper.driver.extension import NothingToRetry
    from sweeper.driver.extension import retry as run_again
    from sweeper.store.engine import StoreError
    from sweeper.terminal.console import print_json, print_text

    with opened_sweep(db, name, json, changes=True) as (_, sweep):
        pass
    with reading(db, json), failing((NothingToRetry, StoreError), USAGE, json):
        again, driven = run_again(db, sweep.name, trials or [])
    if json:
        them = [{"trial": each.id, "trial_number": each.trial_number} for each in again]
        print_json({"retry": {"sweep": sweep.name, "trials": them, "running": driven}})
        return
    what = f"trial{'' if len(again) == 1 else 's'} {', '.join(str(each.called) for each in again)}"
    what = f"{what} of {sweep.called}"
    if driven:
        print_text(f"asked for {what} to be run again: it will be when there is a slot")
    else:
        print_text(f"{what} {'is' if len(again) == 1 else 'are'} to be run again", to_go_on(sweep.called, db))


def goes_on_by_itself(reader: "Reader", sweep: "SweepRecord", trial: int | None, db: str, json: bool) -> bool:
    """Whether `resume` was a request to the driver, this one or the next; else it is to drive."""
    from sweeper.store.controls import request
    from sweeper.store.engine import StoreError
    from sweeper.store.queries import trial_called
    from sweeper.store.records import MAY_BE_RETRIED

    if trial is None:
        if sweep.state != "paused":
            return False
        return _asked(db, sweep, "resume", None, json)
    record = trial_called(reader, sweep.id, trial)
    if record is None or record.state != "paused":
        state = record.state if record else "not there"
        again = f"; `retry {shlex.quote(sweep.called)} {trial}` has it run again"
        more = again if state in MAY_BE_RETRIED else ""
        fail(USAGE, f"trial {trial} of {sweep.called} is not paused: it is {state}{more}", json)
    with failing(StoreError, USAGE, json):
        driven = request(db, sweep.id, "resume", record.id)
    _say(sweep, "resume", record, json, "" if driven else to_go_on(sweep.called, db))
    return True


def _asked(db: str, sweep: "SweepRecord", verb: str, trial: "TrialRecord | None", json: bool) -> bool:
    """Appends to the store's controls, and says so. False: nobody drives the sweep."""
    from sweeper.store.controls import request_of_driver
    from sweeper.store.engine import StoreError

    with failing(StoreError, USAGE, json):
        driven = request_of_driver(db, sweep.id, verb, None if trial is None else trial.id)
    if driven:
        _say(sweep, verb, trial, json)
    return driven


def _say(sweep: "SweepRecord", verb: str, trial: "TrialRecord | None", json: bool, more: str = "") -> None:
    """That it was asked."""
    from sweeper.terminal.console import print_json, print_text

    id, number = (None, None) if trial is None else (trial.id, trial.trial_number)
    what = sweep.called if trial is None else f"trial {trial.called} of {sweep.called}"
    if json:
        print_json({"asked": {"verb": verb, "sweep": sweep.name, "trial": id, "trial_number": number}})
    else:
        print_text(f"asked {what} to {verb}: {more or SOON[verb]}")


def _must_be_driven(reader: "Reader", sweep: "SweepRecord", verb: str, json: bool) -> None:
    ahead = summary(reader, sweep)
    if ahead["driver"] is None:
        _fail_undriven(ahead, verb, json)


def _not_driven(db: str, name: str, verb: str, json: bool) -> NoReturn:
    """Its driver has ended meanwhile."""
    with opened_sweep(db, name, json) as (reader, sweep):
        _fail_undriven({**summary(reader, sweep), "driver": None}, verb, json)


def _fail_undriven(ahead: Mapping[str, Any], verb: str, json: bool) -> NoReturn:
    why = f"{ahead['display_name']} is not being run, so there is nothing to {verb}: {state_in_words(ahead)}"
    fail(USAGE, why, json)


def _at_work(reader: "Reader", sweep: "SweepRecord", trial: int | None, json: bool) -> "TrialRecord | None":
    """Of the number that people call it by; None: the whole sweep."""
    from sweeper.store.queries import trial_called
    from sweeper.store.records import UNFINISHED

    if trial is None:
        return None
    record = trial_called(reader, sweep.id, trial)
    if record is None:
        fail(USAGE, f"there is no trial {trial} in this sweep", json)
    if record.state not in UNFINISHED:
        fail(USAGE, f"trial {trial} of {sweep.called} has ended already: {record.state}", json)
    return record
