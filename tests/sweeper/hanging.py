"""A driver for tests whose workers hang: python -m tests.sweeper.hanging URL FILES SPEC [key=value ...]

FAKE_HANGS names the method that hangs, `setup` of a fresh worker or `reset_config` of one that has served
another trial, and how often: setup:1. Nobody else is taken to hang, however slow this machine is."""

import math
import os
import signal
import sys
from pathlib import Path
from typing import Any

from sweeper.execution import runner, trial_backend, tuner
from sweeper.execution.trial_backend import TrialBackend
from sweeper.execution.worker import Worker
from tests.sweeper.drive import main


class Hanging(Worker):
    def setup(self, config: dict[str, Any]) -> None:
        hang("setup")
        super().setup(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        hang("reset_config")
        return super().reset_config(new_config)


def hang(method: str) -> None:
    """For good, in a call that answers to no exception: the first times that a process comes here."""
    where, _, times = os.environ["FAKE_HANGS"].partition(":")
    if method != where:
        return
    for number in range(int(times)):
        try:
            Path(f"{os.environ['FAKE_PIDS']}.hangs{number}").open("x").close()
        except FileExistsError:
            continue
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        while True:
            signal.pause()


class Patient(TrialBackend):
    """Looks at who is being made only when one more hangs than it has ended."""

    ended = 0

    def is_unready(self, tune_id: str, actor: int) -> bool:
        if not Path(f"{os.environ['FAKE_PIDS']}.hangs{self.ended}").exists():
            return False
        found = super().is_unready(tune_id, actor)
        self.ended += found
        return found


if __name__ == "__main__":
    trial_backend.READY, trial_backend.CROWDED = 3.0, math.inf
    runner.TrialBackend = Patient  # type: ignore[misc]
    tuner.Worker = Hanging  # type: ignore[misc]
    sys.exit(main())
