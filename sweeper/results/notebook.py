"""A store's results as pandas frames, for notebooks: `from sweeper import open_store`. Reads only."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from trainer.errors import lacks

if TYPE_CHECKING:
    from pandas import DataFrame

    from sweeper.store.queries import Reader
    from sweeper.store.records import SweepRecord


P = ParamSpec("P")
T = TypeVar("T")


def open_store(url: str | None = None) -> Results:
    """The sweeps of a database, to be read; one that runs may be read while it does. Without a URL, that of
    SWEEPER_DB, or sqlite:///sweeps.db, as on the command line.

        with open_store("sqlite:///sweeps.db") as store:
            store.board("schedules")

    Raises ValueError, a sentence, where there is no such store.
    """
    from sweeper.store.queries import Reader

    return Results(Reader(os.environ.get("SWEEPER_DB", "sqlite:///sweeps.db") if url is None else url))


def _frame(method: Callable[P, T]) -> Callable[P, T]:
    """Of a method that makes one: where pandas is not installed it says so."""

    @wraps(method)
    def said(*words: P.args, **named: P.kwargs) -> T:
        try:
            return method(*words, **named)
        except ModuleNotFoundError as error:
            raise ImportError(lacks(f"{method.__name__}()", str(error.name), "dashboard")) from None

    return said


class Results:
    """Every method reads the store anew, and gives a pandas frame, `answer` a text.

    Raises ValueError, a sentence, for a name that is not there, ImportError where pandas is not installed.
    Bounds are nats per token, perplexities upper bounds; times are UTC, costs seconds of a CPU or a GPU.
    """

    def __init__(self, reader: Reader):
        self._reader = reader

    def close(self) -> None:
        self._reader.close()

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @_frame
    def sweeps(self) -> DataFrame:
        """A row for each sweep: name, state, when it was made and ended, how many trials."""
        from pandas import DataFrame, to_datetime

        rows = [
            {
                "name": sweep.name,
                "state": sweep.state,
                "trials": sum(self._reader.trial_states(sweep.id).values()),
                "created": to_datetime(sweep.created, unit="s"),
                "ended": to_datetime(sweep.ended, unit="s"),
                "note": sweep.note,
            }
            for sweep in self._reader.sweeps()
        ]
        return DataFrame(rows, columns=["name", "state", "trials", "created", "ended", "note"])

    @_frame
    def board(self, sweep: str) -> DataFrame:
        """A row for each configuration, as the leaderboard ranks them; a column for each searched value."""
        from pandas import DataFrame

        from sweeper.results.leaderboard import leaderboard

        board = leaderboard(self._reader, sweep)
        rows = []
        for row in board.rows:
            said = row.to_json()
            values = said.pop("values")
            rows.append({**said, **{name: values.get(name) for name in board.searched}})
        return DataFrame(rows)

    def answer(self, sweep: str) -> str:
        """Which row of the board to take, and what that may cost: a sentence, or one for each value of
        `settle.by`."""
        from sweeper.results.leaderboard import leaderboard

        return "\n".join(each.text for each in leaderboard(self._reader, sweep).answers)

    @_frame
    def trials(self, sweep: str) -> DataFrame:
        """A row for each trial, repeats left out: state, costs, the values proposed, the best metrics."""
        from pandas import DataFrame

        found = self._sweep(sweep)
        best: dict[int, dict[str, float]] = {}
        for row in self._reader.latest(found.id):
            best.setdefault(row.trial, {})[row.name] = row.best
        kept = ("role", "number", "seed", "state", "reason", "error", "stage", "steps")
        costs = ("cpu_seconds", "gpu_seconds", "tokens", "started", "ended")
        rows = [
            {
                "trial": trial.id,
                "configuration": trial.configuration,
                **{name: getattr(trial, name) for name in (*kept, *costs)},
                **trial.params,
                **best.get(trial.id, {}),
            }
            for trial in self._reader.trials(found.id)
            if trial.repeat_of is None
        ]
        return DataFrame(rows).set_index("trial") if rows else DataFrame()

    @_frame
    def configurations(self, sweep: str) -> DataFrame:
        """A row for each configuration, a column for every value that a run has."""
        from pandas import DataFrame

        values = self._reader.configurations(self._sweep(sweep).id)
        return DataFrame(list(values.values()), index=list(values))

    @_frame
    def curve(self, sweep: str, metric: str = "val_nelbo", trials: Sequence[int] | None = None) -> DataFrame:
        """A metric by step: a row for each step, a column for each trial; of all trials without `trials`."""
        from pandas import DataFrame, Series

        found = self._sweep(sweep)
        mine = [trial.id for trial in self._reader.trials(found.id) if trial.repeat_of is None]
        if strangers := sorted(set(trials or ()) - set(mine)):
            raise ValueError(f"{sweep} has no trial {strangers[0]}")
        curves = self._reader.curve(mine if trials is None else list(trials), metric, points=1 << 30)
        if not any(curves.values()):
            self._refuse_unless_a_metric(metric, mine)
        columns: dict[int, Any] = {trial: Series(dict(points)) for trial, points in curves.items() if points}
        return DataFrame(columns).rename_axis(index="step", columns="trial").sort_index()

    def _refuse_unless_a_metric(self, metric: str, trials: Sequence[int]) -> None:
        from trainer.metrics import BY_NAME
        from trainer.nearest import did_you_mean, nearest

        there = {*BY_NAME, *(name for trial in trials for name in self._reader.metric_names(trial))}
        if metric not in there:
            raise ValueError(f"there is no metric {metric}{did_you_mean(nearest(metric, sorted(there)))}")

    @_frame
    def events(self, sweep: str) -> DataFrame:
        """What happened, oldest first."""
        from pandas import DataFrame, to_datetime

        events = self._reader.events(self._sweep(sweep).id, limit=1 << 40)
        rows = [[to_datetime(each.time, unit="s"), each.trial, each.kind, each.text] for each in events]
        return DataFrame(rows, columns=["time", "trial", "kind", "text"])

    def _sweep(self, name: str) -> SweepRecord:
        from sweeper.results.leaderboard import sweep_named

        return sweep_named(self._reader, name)
