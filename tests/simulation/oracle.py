"""Is a sweep that has come to its end what it should be? Each check raises a Violation in a sentence."""

import sqlite3
from collections import Counter
from contextlib import closing
from typing import Any

from sweeper.results.ranking import best_of_search
from sweeper.store.queries import Reader
from sweeper.store.records import ENDS, SweepRecord, TrialRecord
from tests.simulation import trainer
from tests.simulation.sweep import Sweep, Violation
from tests.sweeper.driving import told
from trainer.config.train_config import TrainConfig


def check(sweep: Sweep) -> None:
    """Of a sweep that has run."""
    with closing(Reader(sweep.url)) as reader:
        record = reader.sweep("simulated")
        if record is None:
            raise Violation("there is no sweep")
        own = [trial for trial in reader.trials(record.id) if trial.repeat_of is None]
        if sweep.endings[-1] == "ended":
            _every_trial_has_ended(record, own)
            _as_many_as_were_asked_for(sweep, reader, record)
        _none_twice(own)
        for trial in own:
            _its_rows(reader, trial)
            _its_end(sweep, trial)
        _budget(sweep, own)
    _steps(sweep)
    _tables_are_sound(sweep)


def equal(sweep: Sweep, undisturbed: Sweep) -> None:
    """In all that they end with; times, costs and attempts aside."""
    ours, theirs = told(sweep.url, "simulated"), told(undisturbed.url, "simulated")
    ours["scores"], theirs["scores"] = _scores(sweep), _scores(undisturbed)
    for name, value in theirs.items():
        if ours[name] != value:
            raise Violation(
                f"{name} differs from the undisturbed sweep's: {_first_difference(ours[name], value)}"
            )


def _scores(sweep: Sweep) -> list[Any]:
    with closing(sqlite3.connect(sweep.place / "sweeps.db")) as database:
        return sorted(database.execute("SELECT trial, round, nelbo, nats FROM scores"))


def _first_difference(ours: Any, theirs: Any) -> str:
    if isinstance(ours, list) and isinstance(theirs, list):
        for a, b in zip(ours, theirs, strict=False):
            if a != b:
                return f"{a!r} is not {b!r}"
        return f"{len(ours)} and not {len(theirs)}"
    return f"{ours!r} is not {theirs!r}"[:2000]


def _every_trial_has_ended(record: SweepRecord, own: list[TrialRecord]) -> None:
    if record.state not in ("complete", "failed"):
        raise Violation(f"its last driver has ended, and the sweep is {record.state}")
    if left := [trial.id for trial in own if trial.state not in ENDS]:
        raise Violation(f"it has ended, and trials {left} have not")


def _as_many_as_were_asked_for(sweep: Sweep, reader: Reader, record: SweepRecord) -> None:
    trials = reader.trials(record.id)
    wanted = record.spec["search"]["trials"]
    proposed = sum(trial.number is not None and trial.repeat_of is None for trial in trials)
    finite = record.spec["search"]["sampler"] == "grid"
    if proposed > wanted or (proposed < wanted and not finite):
        raise Violation(f"{wanted} trials were asked for, {proposed} were proposed")
    extended = sum(int(verb.split("+")[1]) for verb, _ in sweep.asked_for if verb.startswith("extend"))
    if wanted < sweep.spec.search.trials or wanted > sweep.spec.search.trials + extended:
        raise Violation(
            f"the search was to try {sweep.spec.search.trials} to +{extended}, its spec says {wanted}"
        )
    baselines = {(t.configuration, t.seed) for t in trials if t.role == "baseline"}
    if len(baselines) != len(sweep.spec.always) * sweep.spec.always_seeds * bool(sweep.spec.always):
        raise Violation(f"{len(baselines)} baselines")
    if (confirm := sweep.spec.confirm) is not None and record.state == "complete":
        seeds = Counter(t.configuration for t in trials if t.role == "confirm")
        top = best_of_search(reader, record.id, confirm.top)
        if not extended and any(seeds[each] != confirm.seeds for each in top):
            raise Violation(f"of {top}, confirmed on {confirm.seeds} seeds each, there are {dict(seeds)}")


def _none_twice(own: list[TrialRecord]) -> None:
    twice = [k for k, n in Counter((t.configuration, t.seed) for t in own).items() if n > 1]
    if twice:
        raise Violation(f"one configuration and seed has two trials: {twice}")


def _its_rows(reader: Reader, trial: TrialRecord) -> None:
    """They are what the trainer says, none lost, none doubled, none of another."""
    values = {**reader.configurations(trial.sweep)[trial.configuration], "seed": trial.seed}
    expected = list(trainer.rows_of(TrainConfig.from_dotted(values)).items())
    found = [(int(step), value) for step, value in reader.curve([trial.id], "val_ppl").get(trial.id, [])]
    if found != expected[: len(found)]:
        raise Violation(f"trial {trial.id} has rows {found}, the trainer said {expected}")
    if trial.state == "complete" and len(found) < len(expected):
        raise Violation(f"trial {trial.id} is complete with {len(found)} of {len(expected)} rows")


def _its_end(sweep: Sweep, trial: TrialRecord) -> None:
    if trial.state in ENDS and trial.ended is None:
        raise Violation(f"trial {trial.id} is {trial.state} and has no end")
    stage = f"pretrain {trial.stage}"
    deaths = max(sweep.lost.get(f"trial {trial.id}", 0), sweep.lost.get(stage, 0))
    if trial.state in ("failed", "lost") and deaths < 2:
        raise Violation(f"trial {trial.id} {trial.state} after {deaths} deaths of workers: {trial.error}")
    asked = {trial for verb, trial in sweep.asked_for if verb == "stop"}
    if trial.state == "stopped" and trial.id not in asked:
        raise Violation(f"trial {trial.id} was stopped, and nobody asked")


def _budget(sweep: Sweep, own: list[TrialRecord]) -> None:
    budget = sweep.spec.budget
    begun = sum(trial.attempt > 0 for trial in own)
    if budget is not None and budget.trials is not None and begun > budget.trials:
        # What the stage's failure or a stop has ended was begun as well, and cost nothing.
        began = sum(trial.attempt > 0 and trial.cpu_seconds > 0 for trial in own)
        if began > budget.trials:
            raise Violation(f"{began} trials were begun of a budget of {budget.trials}")


def _steps(sweep: Sweep) -> None:
    """None at or before the last whole checkpoint is trained again."""
    for log in sweep.files.rglob(trainer.LOG):
        saved = 0
        for line in log.read_text().splitlines():
            what, _, step = line.split()
            if what == "save":
                saved = int(step)
            elif int(step) <= saved and log.parent.name not in sweep.damaged:
                raise Violation(f"{log.parent.name}: step {step} was trained again, {saved} was saved")


def _tables_are_sound(sweep: Sweep) -> None:
    with closing(sqlite3.connect(sweep.place / "sweeps.db")) as database:
        if (found := database.execute("PRAGMA integrity_check").fetchone()) != ("ok",):
            raise Violation(f"the database: {found}")
        if wrong := database.execute("PRAGMA foreign_key_check").fetchall():
            raise Violation(f"rows that refer to nothing: {wrong[:3]}")
