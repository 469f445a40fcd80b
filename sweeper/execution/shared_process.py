"""One process in which the jobs of several workers are trained, their steps taken as one
(trainer/training/together.py).

Each worker stays Tune's own: it is given a job, says what that says, and ends it; only the training is
elsewhere. A trial is reported, pruned, stopped and fails by itself. A worker that dies takes no other with
it; the process that they share does, and each of their jobs goes on from its last checkpoint.
"""

import os
import threading
import time
from contextlib import suppress
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweeper.driver.jobs import Job
from sweeper.execution.training import Heard, Training, end_process, keep_imports, memory_given_back
from sweeper.execution.usage import Sampler
from sweeper.planning.machine import usable_cores

LOOK = 1.0  # seconds between two looks at who is still there
PATIENCE = 20.0  # seconds in which the job of a worker that has died is to end
UNMET = 60.0  # seconds in which somebody is to come: who made this process may have died meanwhile
TRIES = 10  # to be admitted, where processes end meanwhile


class SharedProcess:
    """A Ray actor. Whom it admits is known by a process id of this machine."""

    def __init__(self, places: int, threads: int, gpus: str | None):
        """gpus: as CUDA_VISIBLE_DEVICES has them; None: none is used. threads: if there are so many cores."""
        threads = min(threads, usable_cores())
        if gpus is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = gpus
        os.environ.update(OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
        from trainer.training.together import together  # torch reads its environment when it is imported

        keep_imports()
        self._meeting = together()
        self._meeting.__enter__()  # for as long as this process lives
        self._places, self._gpu = places, gpus is not None
        self._lock = threading.Lock()
        self._samplers: dict[int, Sampler] = {}  # of all whom it admits
        self._trainings: dict[int, Training] = {}  # of those who have a job
        self._shares = Shares()
        self._made = time.monotonic()
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def admits(self, worker: int) -> bool:
        with self._lock:
            if worker not in self._samplers and len(self._samplers) < self._places:
                self._samplers[worker] = Sampler(self._gpu)
            return worker in self._samplers

    def begin(self, worker: int, job: Job, trainer: str, device: str) -> None:
        with self._lock:
            self._shares.begin(worker)
            self._trainings[worker] = Training(job, trainer, device, self._samplers[worker])

    def heard(self, worker: int) -> Heard:
        """As Training.heard; costs and usage in equal shares."""
        heard = self._trainings[worker].heard()
        with self._lock:
            number, usage = len(self._trainings), heard.usage
            if usage is not None:
                usage = usage._replace(cpu=usage.cpu / number, memory=usage.memory // number)
            return heard._replace(cpu_seconds=self._shares.of(worker), usage=usage)

    def close(self, worker: int) -> None:
        training = self._trainings.get(worker)
        if training is not None:
            training.close()
            with self._lock:
                self._shares.end(worker)
                self._trainings.pop(worker, None)
            memory_given_back(self._gpu)

    def _watch(self) -> None:
        """Ends the job of a worker that has died, else nobody else might train in its folder; and this
        process where that does not end, or nobody is left."""
        while True:
            time.sleep(LOOK)
            gone = [worker for worker in list(self._samplers) if not lives(worker)]
            for worker in gone:
                ending = threading.Thread(target=self.close, args=(worker,), daemon=True)
                ending.start()
                ending.join(PATIENCE)
                if ending.is_alive():
                    end_process()
                with self._lock:
                    del self._samplers[worker]
            unmet = time.monotonic() - self._made > UNMET
            if (gone or unmet) and not self._samplers:
                return end_process()


class Shares:
    """The CPU seconds of a process, in equal parts of all whose jobs are trained in it meanwhile."""

    def __init__(self) -> None:
        self._spent: dict[int, float] = {}
        self._at = time.process_time()

    def begin(self, worker: int) -> None:
        self._share_out()
        self._spent[worker] = 0.0

    def of(self, worker: int) -> float:
        self._share_out()
        return self._spent[worker]

    def end(self, worker: int) -> None:
        self._share_out()
        self._spent.pop(worker, None)

    def _share_out(self) -> None:
        now = time.process_time()
        for worker in self._spent:
            self._spent[worker] += (now - self._at) / len(self._spent)
        self._at = now


def lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


class Elsewhere:
    """Jobs of this worker are trained in a process that it shares with others of its machine and GPU."""

    def __init__(self, gpu: bool, places: int, threads: int):
        self._gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "") if gpu else None
        self._places, self._threads = places, threads
        self._process: Any = None

    def begin(self, job: Job, trainer: str, device: str) -> "SharedTraining":
        for left in reversed(range(TRIES)):
            try:
                self._process = self._process or self._admitting()
                ray.get(self._process.begin.remote(os.getpid(), job, trainer, device))
                break
            except ray.exceptions.RayActorError:  # it ended just now
                self._process = None
                if not left:
                    raise
                time.sleep(LOOK)
        return SharedTraining(self._process)

    def end(self) -> None:
        """As Here.end: the process that they share is what holds the device."""
        ray.kill(self._process)
        end_process()

    def _admitting(self) -> Any:
        """The first of this machine, for these GPUs, that has a place; it is made where there is none."""
        here = ray.get_runtime_context().get_node_id()
        number = 0
        while True:
            actor: Any = ray.remote(SharedProcess)
            process = actor.options(
                name=f"trained together {here} {self._gpus} {number}",
                get_if_exists=True,
                lifetime="detached",  # not its maker's: it ends when nobody is left
                num_cpus=0,
                max_concurrency=2 * self._places,
                max_restarts=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False),
            ).remote(self._places, self._threads, self._gpus)
            if ray.get(process.admits.remote(os.getpid())):
                return process
            number += 1


class SharedTraining:
    """As Training, of a job that is trained elsewhere. Where that process is lost, this worker is, too: Ray's
    error is Tune's."""

    def __init__(self, process: Any):
        self._process = process

    def heard(self) -> Heard:
        heard: Heard = ray.get(self._process.heard.remote(os.getpid()))
        return heard

    def close(self) -> None:
        with suppress(ray.exceptions.RayActorError):  # it has ended, with all that it trained
            ray.get(self._process.close.remote(os.getpid()))
