"""What may a visitor ask of the sweep that is shown? To stop, pause, go on, try more, be settled, try again.

In the sidebar of every page: each is a command that can be copied; where the dashboard was started with
--actions it is a button, too, which asks once more and then appends to `controls`, and does nothing else. The
sweep's driver carries it out, and says so among the events, with whose wish it was."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import streamlit as st
from pydantic import ValidationError

from dashboard import data, doors
from sweeper.spec.sections import Settle
from sweeper.store import controls
from sweeper.store.engine import StoreError
from sweeper.store.notes import by
from sweeper.store.queries import trial_called
from sweeper.store.records import MAY_BE_RETRIED, UNFINISHED, SweepRecord, TrialRecord
from sweeper.words import command

MOST = 10_000  # trials that are added at a time
PROBLEM = "act-problem"  # in the session: why the last thing could not be asked
OPEN = "act-open"  # in the session: a dialog is open, and nothing has been asked by it yet


class Asked(NamedTuple):
    """verb: as it stands in `controls`. options: of the command that asks the same."""

    verb: str
    options: tuple[str, ...] = ()
    problem: str = ""  # why it cannot be asked


class Act(NamedTuple):
    """fields: draws what there is to say with it, and gives what is asked."""

    name: str
    says: str  # what comes of it
    fields: Callable[[], Asked]
    states: tuple[str, ...] = ()  # of a trial in which it means something
    waits: bool = True  # what is asked of a sweep that nobody drives is done by the next driver


def _extend() -> Asked:
    more = st.number_input("Configurations more", min_value=1, max_value=MOST, value=10, step=1)
    return Asked(f"extend +{more}", ("--trials", f"+{more}"))


def _settle() -> Asked:
    within = st.text_input("Loss of perplexity that does not matter", "1%").strip()
    seeds = st.number_input("Fresh seeds at most", min_value=2, max_value=64, value=8, step=1)
    try:
        Settle.model_validate({"within": within, "seeds": seeds})
    except ValidationError as error:
        first = error.errors()[0]
        return Asked("settle", (), f"{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}")
    said = {"within": within.replace(" ", ""), "seeds": str(seeds)}
    words = " ".join(f"{key}={value}" for key, value in said.items())
    return Asked(
        f"settle {words}", tuple(word for key, value in said.items() for word in (f"--{key}", value))
    )


def _plain(verb: str) -> Callable[[], Asked]:
    return lambda: Asked(verb)


OF_A_SWEEP = (
    Act("Stop", "Everything that runs saves, and the driver ends.", _plain("stop"), waits=False),
    Act(
        "Pause", "Everything that runs saves and frees its slot, until Resume.", _plain("pause"), waits=False
    ),
    Act("Resume", "It goes on.", _plain("resume"), waits=False),
    Act("Extend", "It tries more configurations.", _extend),
    Act("Settle", "Its best are raced on fresh seeds until there is an answer.", _settle),
    Act("Retry", "All that failed or was lost runs again, from the last checkpoints.", _plain("retry")),
)
OF_A_TRIAL = (
    Act("Stop", "It saves and is stopped, for good.", _plain("stop"), UNFINISHED),
    Act("Pause", "It saves and frees its slot, until Resume.", _plain("pause"), ("queued", "running")),
    Act("Resume", "It goes on from its checkpoint.", _plain("resume"), ("paused",)),
    Act("Retry", "It runs again, from its last checkpoint.", _plain("retry"), MAY_BE_RETRIED),
)


def panel() -> None:
    """In the sidebar. A store that cannot be read now has no panel; the page says why."""
    allowed = doors.actions_allowed(st.context.cookies)
    try:
        if allowed:
            with st.expander("Actions"):
                _draw(allowed)
            return
        # Drawn when it is opened: the first line of code on a page costs a browser nearly a second.
        with st.expander("Commands", key="commands", on_change="rerun") as panel:
            if panel.open:
                _draw(allowed)
    except StoreError as error:
        st.text(f"The store cannot be read now: {error}.")


def _draw(allowed: bool) -> None:
    sweep = data.reader().sweep(st.session_state["sweep-name"])
    if sweep is None:
        st.text("This sweep is not there any more.")
        return
    number = st.number_input("Trial", min_value=1, value=None, step=1, placeholder="the whole sweep")
    trial = None if number is None else trial_called(data.reader(), sweep.id, int(number))
    if number is not None and trial is None:
        st.text(f"{sweep.name} has no trial {number}.")
        return
    acts = OF_A_SWEEP if trial is None else tuple(each for each in OF_A_TRIAL if trial.state in each.states)
    if trial is not None and not acts:
        st.text(f"Trial {trial.called} is {trial.state}: there is nothing to ask of it.")
    with st.container(horizontal=allowed):
        for act in acts:
            if not allowed:
                st.code(_line(act, _usual(act), sweep, trial), language=None, wrap_lines=True)
            elif st.button(act.name, key=f"act-{act.name}", help=act.says):
                st.session_state[OPEN] = True
                st.dialog(f"{act.name}?")(_confirm)(act, sweep, trial)
    undone = bool(data.reader().controls(sweep.id))
    goes_on = trial is not None and trial.state in UNFINISHED
    st.fragment(_waiting, run_every=2 if undone or goes_on else None)(sweep, trial)


def _waiting(sweep: SweepRecord, trial: TrialRecord | None) -> None:
    """What was asked and is not done yet; looked at again while there is something, or the trial goes on.

    A trial that is not as it was drawn may be asked something else. A dialog is not closed for that."""
    try:
        undone = data.reader().controls(sweep.id)
        now = None if trial is None else trial_called(data.reader(), sweep.id, trial.called)
    except StoreError:
        return  # the page says so
    if trial is not None and now is not None and now.state != trial.state and not st.session_state.get(OPEN):
        st.rerun()
    for each in undone[-5:]:
        said = f"{datetime.fromtimestamp(each.time):%H:%M:%S}  asked to {each.verb}{each.by}"
        st.text(f"{said}; not done yet")


def _confirm(act: Act, sweep: SweepRecord, trial: TrialRecord | None) -> None:
    """The dialog. What is asked is asked of the sweep as it is now, not as it was drawn."""
    st.text(f"{sweep.name if trial is None else f'Trial {trial.called} of {sweep.name}'}: {act.says}")
    asked = act.fields()
    try:
        now = data.reader().sweep(sweep.name)
        driver = now.driver(time.time()) if now else None
    except StoreError as error:
        st.text(f"The store cannot be read now: {error}.")
        return
    if asked.problem:
        st.text(asked.problem)
        return
    if driver is None:
        resume = command("resume", sweep.name, data.db())
        if trial is None and not act.waits:
            nothing = f"Nobody drives {sweep.name}, so there is nobody to ask."
            st.text(nothing + (" This line has it go on:" if act.name == "Resume" else ""))
            if act.name == "Resume":
                st.code(resume, language=None, wrap_lines=True)
            return
        st.text(f"Nobody drives {sweep.name} now. What is asked waits, and this line carries it out:")
        st.code(resume, language=None, wrap_lines=True)
    st.text("The same in a terminal:")
    st.code(_line(act, asked, sweep, trial), language=None, wrap_lines=True)
    sure = (sweep, asked.verb, trial, act.waits or trial is not None)
    if st.button(f"{act.name} it", key="act-sure", type="primary", on_click=_ask, args=sure):
        if not (problem := st.session_state[PROBLEM]):
            st.rerun()
        st.text(problem)


def _ask(sweep: SweepRecord, verb: str, trial: TrialRecord | None, waits: bool) -> None:
    """Nothing is asked by a page whose visitor does not bring the token, however it came to this line.

    Once for each dialog: a run that another one cuts off (pages redraw themselves) leaves its click to it,
    and a sweep must not be extended twice for it. waits: for the next driver, where there is none.
    """
    if not st.session_state.pop(OPEN, False):
        return
    st.session_state[PROBLEM] = ""
    if not doors.actions_allowed(st.context.cookies):
        st.session_state[PROBLEM] = doors.NO_TOKEN
        return
    try:
        ask = controls.request if waits else controls.request_of_driver
        who, id = f"dashboard of {by(None)}", None if trial is None else trial.id
        if not ask(data.url(), sweep.id, verb, id, who=who) and not waits:
            st.session_state[PROBLEM] = f"Nobody drives {sweep.name} any more, so there is nobody to ask."
    except StoreError as error:
        st.session_state[PROBLEM] = f"It could not be asked: {error}."
        st.session_state[OPEN] = True


def _usual(act: Act) -> Asked:
    """Of a command that is only shown."""
    usual = {
        "Extend": Asked("extend +10", ("--trials", "+10")),
        "Settle": Asked("settle within=1%", ("--within", "1%")),
    }
    return usual.get(act.name) or act.fields()


def _line(act: Act, asked: Asked, sweep: SweepRecord, trial: TrialRecord | None) -> str:
    """The command that asks the same: `retry` takes a trial as a word, the others as an option."""
    verb = act.name.lower()
    words: tuple[Any, ...] = () if trial is None else (trial.called,)
    if trial is not None and verb != "retry":
        words = ("--trial", trial.called)
    return command(verb, sweep.name, data.db(), *words, *asked.options)
