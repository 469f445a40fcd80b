"""MLflow: an experiment of the sweep's name, a run for each trial. What was mirrored the server is asked."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Self

from sweeper.store.records import MetricRow, SweepRecord
from sweeper.trackers.base import Run, Say, Tracker, TrackerError, by_step, moments, text_of
from trainer.errors import lacks

SWEEP, TRIAL = "sweeper.created", "sweeper.trial"  # tags
NOTE = "mlflow.note.content"  # the tag that MLflow shows as a description
STATUS = {
    "complete": "FINISHED",
    "pruned": "FINISHED",
    "stopped": "KILLED",
    "failed": "FAILED",
    "lost": "FAILED",
}
METRICS, PARAMS = 1000, 100  # that a server takes at once
LONGEST = 5000  # characters of a value


class MLflow(Tracker):
    """Values are params, metrics have their steps, facts are tags; the answer is the experiment's note."""

    word: ClassVar[str] = "mlflow"
    place: ClassVar[str] = "URI"

    def __init__(self, client: Any, experiment: str, runs: dict[int, Any]):
        self._client, self._experiment = client, experiment
        self._runs = runs  # by trial

    @classmethod
    def open(cls, place: str, sweep: SweepRecord, say: Say) -> Self:
        try:
            from mlflow import MlflowClient
        except ModuleNotFoundError:
            raise TrackerError(lacks("follow --to mlflow:URI", "mlflow-skinny", "trackers")) from None
        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of the tables that it makes
        with _in_sentences("the server"):
            client = MlflowClient(place)
            whose = repr(sweep.created)
            found = client.get_experiment_by_name(sweep.name)
            if found is None:
                id = client.create_experiment(sweep.name, tags={SWEEP: whose})
            elif found.lifecycle_stage != "active" or found.tags.get(SWEEP) != whose:
                raise TrackerError(f"another experiment is called {sweep.name} there: say another place")
            else:
                id = found.experiment_id
            runs = {int(run.data.tags[TRIAL]): run for run in _all_runs(client, id) if TRIAL in run.data.tags}
        return cls(client, id, runs)

    def mirrored(self, run: Run) -> dict[str, int] | None:
        there = self._runs.get(run.number)
        if there is None:
            return {}
        if self._is_whole(there, run):
            return None
        id = there.info.run_id
        with _in_sentences(id):
            histories = {name: self._client.get_metric_history(id, name) for name in there.data.metrics}
        return {name: max(each.step for each in history) for name, history in histories.items() if history}

    def send(self, run: Run, rows: Sequence[MetricRow]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        steps = by_step(rows)
        when = {step: int(1000 * moment) for step, moment in moments(run, steps).items()}
        metrics = [
            Metric(name, value, when[step], step)
            for step, values in steps.items()
            for name, value in values.items()
        ]
        tags = [RunTag(name, text[:LONGEST]) for name, text in run.facts.items()]
        status = STATUS.get(run.state, "RUNNING")
        with _in_sentences(run.name):
            there = self._runs.get(run.number) or self._create(run)
            id = there.info.run_id
            if not there.data.params:
                params = [Param(name, text_of(value)[:LONGEST]) for name, value in run.values.items()]
                for at in range(0, len(params), PARAMS):
                    self._client.log_batch(id, params=params[at : at + PARAMS])
            for at in range(0, len(metrics), METRICS):
                self._client.log_batch(id, metrics=metrics[at : at + METRICS])
            self._client.log_batch(id, tags=tags)
            if run.has_ended:  # last: what has this status is whole
                self._client.set_terminated(id, status, int(1000 * (run.ended or run.started)))
            elif there.info.status != status:
                self._client.update_run(id, status)
            self._runs[run.number] = self._client.get_run(id)

    def conclude(self, answer: str) -> None:
        with _in_sentences("the experiment"):
            self._client.set_experiment_tag(self._experiment, NOTE, answer[:LONGEST])

    def _create(self, run: Run) -> Any:
        began, tags = int(1000 * run.started), {TRIAL: str(run.number)}
        return self._client.create_run(self._experiment, start_time=began, tags=tags, run_name=run.name)

    @staticmethod
    def _is_whole(there: Any, run: Run) -> bool:
        said = all(there.data.tags.get(name) == text[:LONGEST] for name, text in run.facts.items())
        return said and there.info.status == STATUS.get(run.state)


def _all_runs(client: Any, experiment: str) -> Iterator[Any]:
    token: str | None = None
    while token is None or token:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        yield from page
        token = page.token or ""


@contextmanager
def _in_sentences(what: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        said = str(error).partition("\n")[0]
        if "MLFLOW_ALLOW_FILE_STORE" in said:
            said = "MLflow keeps runs in folders no longer: say a database, mlflow:sqlite:///mlflow.db"
            raise TrackerError(said) from None
        raise TrackerError(f"MLflow, {what}: {said[:500]}") from None
