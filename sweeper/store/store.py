"""Writes. Only the holder of a sweep's lease writes its results; `controls` alone is open to anyone."""

from collections.abc import Iterable, Mapping
from typing import Any

from sweeper.store.records import MetricRow, StageRecord, SweepRecord, TrialRecord
from trainer.evaluation.record import Evaluation


class StoreError(Exception):
    """What a user can do something about, as one sentence (never with a password in it)."""


class LeaseLost(StoreError):
    """Another driver holds the sweep now; nothing was written."""


class Store:
    """One database. Every method is one transaction, committed when it returns."""

    def __init__(self, url: str):
        """Opens, creating the tables where there are none; refuses a newer schema in words.

        SQLite: WAL, synchronous FULL, busy timeout 30 s, folders made as needed.
        """
        raise NotImplementedError

    def close(self) -> None: ...

    # --- sweeps and the lease -------------------------------------------------------------
    def create_sweep(self, *, name: str, spec_text: str, spec: Mapping[str, Any], code_version: str, folder: str) -> SweepRecord: ...

    def take_lease(self, sweep: int, holder: str, seconds: float) -> None:
        """Takes or renews. Raises LeaseLost naming the holder where another's has not run out."""

    def release_lease(self, sweep: int, holder: str) -> None: ...

    # Every method below takes `holder` at construction of a Writer:
    def writer(self, sweep: int, holder: str) -> "Writer":
        """The sweep's results, writable as long as `holder` has the lease (checked in every transaction)."""
        raise NotImplementedError


class Writer:
    def set_sweep_state(self, state: str, note: str = "") -> None: ...

    def add_configuration(self, hash: str, values: Mapping[str, Any]) -> int:
        """The configuration's id; the one there is where the sweep has it already."""
        raise NotImplementedError

    def add_trial(
        self,
        *,
        configuration: int,
        role: str,
        seed: int,
        steps: int,
        number: int | None = None,
        repeat_of: int | None = None,
        stage: str | None = None,
        params: Mapping[str, Any],
        distributions: Mapping[str, str],
        system_attrs: Mapping[str, Any],
        state: str = "queued",
    ) -> TrialRecord:
        raise NotImplementedError

    def start_trial(self, trial: int, worker: str = "") -> int:
        """queued or running -> running; returns the new attempt number (1, 2, ...)."""
        raise NotImplementedError

    def add_rows(
        self,
        trial: int,
        attempt: int,
        rows: Iterable[MetricRow],
        evaluations: Iterable[Evaluation] = (),
        *,
        system_attrs: Mapping[str, Any] | None = None,
        state: str | None = None,
        reason: str = "",
    ) -> bool:
        """Rows (insert or ignore), `latest`, the best evaluations, Optuna's attributes and, where the
        pruner decided, the state: one transaction. False, and nothing written, where `attempt` is stale."""
        raise NotImplementedError

    def end_trial(
        self,
        trial: int,
        attempt: int,
        state: str,
        *,
        error: str = "",
        reason: str = "",
        system_attrs: Mapping[str, Any] | None = None,
        cpu_seconds: float = 0.0,
        gpu_seconds: float = 0.0,
        tokens: int = 0,
    ) -> bool:
        """complete, pruned, failed, lost, stopped: an end. queued: handed back, to be run again. Costs add up."""
        raise NotImplementedError

    def add_stage(self, *, key: str, steps: int, values: Mapping[str, Any], folder: str) -> StageRecord:
        """The stage's row; the one there is where another sweep made it."""
        raise NotImplementedError

    def start_stage(self, key: str) -> int: ...

    def end_stage(self, key: str, attempt: int, state: str, *, error: str = "", cpu_seconds: float = 0.0, gpu_seconds: float = 0.0) -> bool: ...

    def add_event(self, kind: str, text: str, trial: int | None = None) -> None: ...

    def finish_control(self, control: int) -> None: ...
