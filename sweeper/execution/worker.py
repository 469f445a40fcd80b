"""The warm process that Tune gives jobs to, one after another: one Ray actor, torch imported once."""

import os
import socket
import time
from typing import Any

from ray import tune

from sweeper.driver.failures import BrokenDevice
from sweeper.driver.jobs import Cost, News
from sweeper.execution.shared_process import Elsewhere, SharedTraining
from sweeper.execution.training import Here, Training, memory_given_back


class Worker(tune.Trainable):
    """A step is the trainer's next: until it has reported, or said that it is alive.

    A job that raises is a result like any other, so that the process lives on for the next one.
    """

    def setup(self, config: dict[str, Any]) -> None:
        self._places: dict[bool, Here | Elsewhere] = {}  # by whether it is this process
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._close()
        self._begin(new_config)
        return True

    def cleanup(self) -> None:
        self._close()

    def _begin(self, config: dict[str, Any]) -> None:
        """The job is trained from the first step on: Tune may have an actor made for a trial that another
        actor, which was free sooner, is then given."""
        self._job, self._trainer, self._gpu = config["job"], config["trainer"], config["gpu"]
        self._training: Training | SharedTraining | None = None
        here = self._job.apart or config["fused"] == 1
        if here not in self._places:
            gpu = bool(self._gpu)
            self._places[here] = Here(gpu) if here else Elsewhere(gpu, config["fused"], config["threads"])
        self._place = self._places[here]
        self._name, self._broken = f"{socket.gethostname()}:{os.getpid()}", False
        self._began = time.monotonic()

    def _close(self) -> None:
        """Its memory is given back, too. Once a job."""
        training, self._training = self._training, None
        if training is not None:
            training.close()
            memory_given_back(bool(self._gpu))

    def step(self) -> dict[str, Any]:
        """Where a GPU's context is broken, the next one after that is said ends this process: no other job is
        to be given to it."""
        if self._broken:
            self._place.end()
        if self._training is None:
            device = "auto" if self._gpu else "cpu"
            self._training = self._place.begin(self._job, self._trainer, device)
        heard = self._training.heard()
        if heard.over:
            self._close()
        self._broken = isinstance(heard.failure, BrokenDevice)
        cost = Cost(heard.cpu_seconds, (time.monotonic() - self._began) * self._gpu)
        news = News(heard.reports, cost, heard.over, heard.failure, self._name, heard.usage)
        return {"news": news, "done": heard.over and not self._broken}
