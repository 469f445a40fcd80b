"""Stores for tests: what is put into one, what is in it, and many who come at once."""

import itertools
import threading
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

from sweeper.store.records import ForeignTrial, MetricRow, NewTrial, SweepRecord, TrialRecord, Usage
from sweeper.store.store import Store
from sweeper.store.writer import Writer
from trainer.evaluation.record import Evaluation

FEW = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
numbers = itertools.count()


def new_sweep(store: Store, name: str) -> SweepRecord:
    return store.create_sweep(
        name=name, spec_text="a: 1\n", spec={"a": [1, 2.5, None]}, code_version="1", folder="f"
    )


def new_trial(writer: Writer, **more: Any) -> TrialRecord:
    configuration = writer.add_configuration("c0ffee", {"finetune.schedule.mu": 0.25, "model.size": "nano"})
    given = {"role": "search", "seed": 0, "steps": 100, "params": {"finetune.schedule.mu": 0.25}}
    given |= {"configuration": configuration, "distributions": {}, "system_attrs": {}}
    return writer.add_trial(**{**given, **more})


def an_evaluation(nelbo: float, step: int, split: str = "valid") -> Evaluation:
    return Evaluation(split, step, nelbo, 0.1, {"text": "t"}, {"draws": 4}, [nelbo * 3, nelbo * 5], [3, 5])


def failed_and_retried(writer: Writer, trial: int) -> None:
    writer.end_trial(trial, writer.start_trial(trial), "failed", error="a bug")
    assert writer.retry([trial], "asked for") == [trial]


def two_events(writer: Writer) -> None:
    with writer.together():
        writer.add_event("kind", "one")
        writer.add_event("kind", "two")


# Everything that the holder of a lease may do, by its name: to a writer and one of its trials.
WRITES: dict[str, Callable[[Writer, int], Any]] = {
    "set_sweep_state": lambda w, t: w.set_sweep_state("failed"),
    "add_configuration": lambda w, t: w.add_configuration("new", {}),
    "extend": lambda w, t: w.extend(40, 1),
    "add_trial": lambda w, t: new_trial(w),
    "add_trials": lambda w, t: w.add_trials([NewTrial(1, "confirm", 5, 100, {}, {}, {})]),
    "start_trial": lambda w, t: w.start_trial(t),
    "add_rows": lambda w, t: w.add_rows(
        t, 1, [MetricRow("lr", 9, 1.0)], [an_evaluation(1.0, 9)], state="pruned"
    ),
    "add_scores": lambda w, t: w.add_scores(t, 1, [an_evaluation(1.0, 9)]),
    "add_usage": lambda w, t: w.add_usage("host:1", t, Usage(1.0, 2**20, None, None)),
    "end_trial": lambda w, t: w.end_trial(t, 1, "complete"),
    "add_foreign_trials": lambda w, t: w.add_foreign_trials([ForeignTrial("other", 1, {}, [1.0])]),
    "change_spec": lambda w, t: w.change_spec("keep", {"best": 3}),
    "add_stage": lambda w, t: w.add_stage(key="new", steps=1, values={}, folder=""),
    "start_stage": lambda w, t: w.start_stage("5a"),
    "charge_stage": lambda w, t: w.charge_stage("5a", 1, cpu_seconds=1.0, gpu_seconds=0.0),
    "end_stage": lambda w, t: w.end_stage("5a", 1, "complete"),
    "add_event": lambda w, t: w.add_event("kind", "text"),
    "retry": lambda w, t: failed_and_retried(w, t + 1),
    "move": lambda w, t: w.move("/elsewhere"),
    "together": lambda w, t: two_events(w),
    "finish_control": lambda w, t: w.finish_control(1),
    "hold": lambda w, t: w.hold(t + 1, True),
    "renew_lease": lambda w, t: w.renew_lease(7200),
    "add_driver": lambda w, t: w.add_driver(),
    "spend": lambda w, t: w.spend(1, seconds=1.0, gpu_seconds=2.0, tokens=3),
    "give_up_lease": lambda w, t: w.give_up_lease(),
}


def contents(store: Store) -> dict[str, list[Any]]:
    """Every row of every table."""
    tables = [
        "sweeps",
        "configurations",
        "trials",
        "stages",
        "metrics",
        "latest",
        "evaluations",
        "scores",
        "events",
        "controls",
        "asks",
        "foreign_trials",
        "notes",
        "usage",
        "drivers",
    ]
    with store._engine.connect() as connection:
        return {
            table: sorted(map(str, connection.exec_driver_sql(f"SELECT * FROM {table}").all()))
            for table in tables
        }


def in_threads(jobs: list[Callable[[], None]]) -> None:
    """Runs them at once; raises what any of them raised."""
    errors: list[BaseException] = []

    def run(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
