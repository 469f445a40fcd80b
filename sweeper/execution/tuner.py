"""How are jobs executed? By one Ray and one Tuner of Ray Tune, which are thrown away afterwards.

Ray Tune is a disposable executor. What it does on its own is switched off: retries (they would defeat
the attempt that fences off a stale worker), restoring, loggers, its Ctrl-C handler, queueing ahead.
"""

import logging
import os
from pathlib import Path
from typing import NamedTuple

from ray import tune

from sweeper.execution.cluster_ray import ClusterRay
from sweeper.execution.local_ray import LocalRay
from sweeper.execution.ray_private import take_lost_workers_for_dead
from sweeper.execution.trial_backend import TrialBackend
from sweeper.execution.tune_adapters import NoProgress, SchedulerAdapter, SearcherAdapter
from sweeper.execution.watchdog import SLOW, Watchdog
from sweeper.execution.worker import Worker
from sweeper.planning.machine import LacksError, Slots, environment

DRIVER_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ROTATION_MAX_BYTES": "10000000",  # of each of Ray's logs; they are all deleted at the end
    "RAY_ROTATION_BACKUP_COUNT": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths in a spec mean what they mean here
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}


STARTS = 3  # of Ray, until it counts as something that the machine cannot do


class Executor(NamedTuple):
    ray: LocalRay | ClusterRay
    slots: Slots
    place: Path  # closed to others, for the files of Ray and Tune
    watchdog: Watchdog

    def run(self, backend: TrialBackend) -> Exception | None:
        """Until the driver has nothing left or someone wants it to end.

        Returns what went wrong in the driver.
        """
        # Read by Ray when it is started, and handed down to its workers. (The same as a runtime environment
        # of Ray's makes the workers that Ray has started ahead useless, and costs seconds: measured 1.6 s
        # and 7 s.)
        os.environ.update(DRIVER_ENVIRONMENT, TUNE_MAX_PENDING_TRIALS_PG=str(self.slots.number))
        os.environ.update(environment(threads=max(1, int(self.slots.cpu))))
        take_lost_workers_for_dead()
        try:
            start(self.ray, self.slots, self.place, self.watchdog)
            self.watchdog.watch()  # again: ray.init puts its own handler on SIGTERM
            self._tuner(backend).fit()
        except Exception as error:
            logging.getLogger("ray").exception("Ray ended the run")
            return backend.failure or error
        finally:
            self.watchdog.beat(SLOW)
            self.ray.stop()
            self.watchdog.rest()
        return backend.failure

    def _tuner(self, backend: TrialBackend) -> tune.Tuner:
        slot = {"CPU": self.slots.cpu, **({"GPU": self.slots.gpu} if self.slots.gpu else {})}
        return tune.Tuner(
            tune.with_resources(Worker, tune.PlacementGroupFactory([slot])),
            tune_config=tune.TuneConfig(
                search_alg=SearcherAdapter(backend),
                scheduler=SchedulerAdapter(backend),
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=_tune_id,
            ),
            run_config=tune.RunConfig(
                name="sweep",
                storage_path=str(self.place / "tune"),
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                callbacks=[NoProgress()],
                verbose=0,
            ),
        )


def start(ray: LocalRay | ClusterRay, slots: Slots, place: Path, watchdog: Watchdog) -> None:
    """Again where it fails: a busy machine may be slower than the 30 s that Ray gives itself.

    Raises LacksError where it does not come about.
    """
    for left in reversed(range(STARTS)):
        watchdog.beat(SLOW)
        try:
            ray.start(slots, place, watchdog.give_up)
            return
        except Exception as error:
            logging.getLogger("ray").exception("Ray did not start")
            ray.stop()
            if not left or watchdog.signal is not None:
                raise LacksError(f"Ray does not start on this machine: {error}") from error


def _tune_id(trial: object) -> str:
    return str(trial)
