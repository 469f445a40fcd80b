"""Runs a sweep, or goes on with it: the same thing. The driver process, from the store to the exit code.

Ray Tune is a disposable executor. What it does on its own is switched off: retries (they would defeat
the attempt that fences off a stale worker), restoring, loggers, its Ctrl-C handler, queueing ahead.
"""

import logging
import os
import shlex
import subprocess
from collections.abc import Mapping
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from ray import tune

from sweeper.driver.driver import Book
from sweeper.driver.extension import asked, grown, with_trials
from sweeper.driver.lease import LEASE, lease
from sweeper.driver.progress import Progress
from sweeper.driver.stop_reason import by_signal
from sweeper.driver.warm_start import foreign_trials
from sweeper.execution.cluster_ray import ClusterRay
from sweeper.execution.local_ray import LocalRay
from sweeper.execution.ray_logs import chatter_to
from sweeper.execution.scratch import scratch
from sweeper.execution.tune_adapters import Desk, FromBook, ToBook
from sweeper.execution.watchdog import Watchdog
from sweeper.execution.worker import Worker, environment
from sweeper.files.remote import InvalidPlace, is_remote, logs_of
from sweeper.files.snapshots import try_out
from sweeper.planning.calibration import Probe
from sweeper.planning.machine import LacksError, Slots
from sweeper.planning.packing import Survey, survey
from sweeper.planning.precision import in_one_precision
from sweeper.spec.anchored import anchored
from sweeper.spec.spec import SweepSpec, differences
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord
from sweeper.store.store import Store, StoreError
from trainer.config.problems import InvalidConfig

INTERNAL, BAD_SPEC, LACKS = 1, 3, 7
LOCAL = "local"
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


class Means(NamedTuple):
    """With what a sweep is run, as run_sweep was told."""

    ray: LocalRay | ClusterRay
    train: str
    lease_seconds: float
    probe: Probe | None
    gpu_memory: int | None
    resume: str  # the command that goes on with it


def run_sweep(
    spec: SweepSpec,
    spec_text: str,
    url: str,
    files: Path | str,
    *,
    progress: Progress,
    train: str = "trainer.training.train",
    address: str = LOCAL,
    lease_seconds: float = LEASE,
    probe: Probe | None = None,
    gpu_memory: int | None = None,
) -> int:
    """Creates the sweep, or resumes it where the store has it under this name; returns the exit code.

    files: where checkpoints go, of a sweep that is new. train: the module with `train` and `pretrain`.
    address: of a Ray cluster that runs; local: a Ray of its own. probe, gpu_memory: what measures a trial,
    and the bytes of a GPU, where the machine itself is not to be asked.
    """
    try:
        with closing(Store(url)) as store, closing(Reader(url)) as reader:
            if store.migrated:
                progress.note(store.migrated.words())
            sweep = reader.sweep(spec.name)
            spec = in_one_precision(anchored(spec), sweep and SweepSpec.from_resolved(sweep.spec))
            try_out(sweep.folder if sweep else str(files))
            if sweep is None:
                foreign_trials(spec, reader)  # what is wrong with them is said before anything is written
                sweep = store.create_sweep(
                    name=spec.name,
                    spec_text=spec_text,
                    spec=spec.resolved(),
                    code_version=code_version(),
                    folder=str(files) if is_remote(files) else str(Path(files).absolute()),
                )
            stored = SweepSpec.from_resolved(sweep.spec)
            spec, growth = grown(spec, stored)
            then = anchored(stored).resolved()
            if others := differences(then, with_trials(spec, stored.search.trials).resolved()):
                progress.note(f"sweep {spec.name} is there already, and its spec was another:")
                for other in others:
                    progress.note(f"  {other}")
                progress.note("undo the change to go on with it, or start another sweep with --as NEWNAME")
                return BAD_SPEC
            if growth:
                progress.note(growth)
            more = spec.search.trials > stored.search.trials or asked(reader.controls(sweep.id))
            changes = _changes(spec, stored)
            ended = sweep.state in ("complete", "failed") and not more
            if ended and not changes:
                return _nothing_left(sweep, reader, progress)
            with lease(store, sweep, lease_seconds) as holder:
                for section, now in changes.items():
                    store.writer(sweep.id, holder).change_spec(section, now)
                if ended:
                    return _nothing_left(sweep, reader, progress)
                if spec.search.trials > stored.search.trials:
                    store.writer(sweep.id, holder).extend(spec.search.trials)
                means = Means(
                    ray=LocalRay() if address == LOCAL else ClusterRay(address),
                    train=train,
                    lease_seconds=lease_seconds,
                    probe=probe,
                    gpu_memory=gpu_memory,
                    resume=_resume_line(spec.name, url, address),
                )
                return _drive(spec, sweep, store, reader, holder, progress, means)
    except (StoreError, LacksError, InvalidPlace) as error:
        progress.note(str(error))
        return LACKS
    except InvalidConfig as error:
        progress.note(str(error))
        return BAD_SPEC
    finally:
        progress.close()


def _changes(spec: SweepSpec, stored: SweepSpec) -> dict[str, Any]:
    """Sections that may change between run and resume, as they are now, where they have."""
    now, before = spec.resolved(), stored.resolved()
    return {each: now[each] for each in ("budget", "keep", "reference") if now[each] != before[each]}


def _nothing_left(sweep: SweepRecord, reader: Reader, progress: Progress) -> int:
    progress.note(f"sweep {sweep.name} has ended already: nothing is left to run")
    return exit_code(reader.trial_states(sweep.id))


def _drive(
    spec: SweepSpec,
    sweep: SweepRecord,
    store: Store,
    reader: Reader,
    holder: str,
    progress: Progress,
    means: Means,
) -> int:
    ray, resume = means.ray, means.resume
    folder = logs_of(sweep.folder) / "trials" / str(sweep.id)
    log = folder / "ray.log"
    watchdog = Watchdog(resume)
    watchdog.watch()
    with chatter_to(log), scratch(folder) as place:
        try:
            found = Survey(spec.resources, {})
            if isinstance(ray, LocalRay):  # a cluster's GPUs are not this machine's
                found = survey(spec, progress.note, probe=means.probe, gpu_memory=means.gpu_memory)
            slots = ray.slots(found.resources, sweep.folder)
            book = Book(
                spec,
                sweep,
                store,
                reader,
                holder=holder,
                progress=progress,
                slots=slots.number,
                lease=means.lease_seconds,
                gpu=slots.gpu,
                measured=found.measured,
            )
            if book.over():  # a driver was killed between the last trial's end and the sweep's
                book.end()
                return exit_code(book.states())
            failure = None
            if book.poll():  # else the budget is spent, and Ray need not be started
                failure = _execute(book, means, slots, watchdog, place, spec.resources.time_limit)
            if isinstance(failure, StoreError):
                raise failure
            if failure is not None:
                book.interrupt(f"internal error: {failure!r}")
                progress.note(f"internal error: {failure!r}; the whole story is in {log}; to go on: {resume}")
                return INTERNAL
            if watchdog.signal is not None:  # it may have come when nobody looked any more
                book.stop(by_signal(watchdog.signal))
            if book.ending is not None:
                book.interrupt(book.ending.reason)
                progress.note(f"{book.ending.reason}; to go on: {resume}{book.ending.more}")
                return book.ending.code
            book.end()
            return exit_code(book.states())
        except (LacksError, InvalidConfig) as error:  # nothing has begun: nobody is to think that it runs
            store.writer(sweep.id, holder).set_sweep_state("interrupted", str(error))
            raise
        finally:
            ray.stop()
            watchdog.release()


def _execute(
    book: Book,
    means: Means,
    slots: Slots,
    watchdog: Watchdog,
    place: Path,
    time_limit: float,
) -> Exception | None:
    """One Ray, one Tuner, until the Book has nothing left or someone wants it to end.

    Returns what went wrong in the driver.
    """
    # Read by Ray when it is started, and handed down to its workers. (The same as a runtime environment of
    # Ray's makes the workers that Ray has started ahead useless, and costs seconds: measured 1.6 s and 7 s.)
    os.environ.update(DRIVER_ENVIRONMENT, TUNE_MAX_PENDING_TRIALS_PG=str(slots.number))
    os.environ.update(environment(threads=max(1, int(slots.cpu))))
    desk = Desk(book, slots, means.train, watchdog, time_limit)
    resources = {"CPU": slots.cpu, **({"GPU": slots.gpu} if slots.gpu else {})}
    try:
        means.ray.start(slots, place, watchdog.give_up)
        watchdog.watch()  # again: ray.init puts its own handler on SIGTERM
        tuner = tune.Tuner(
            tune.with_resources(Worker, tune.PlacementGroupFactory([resources])),
            tune_config=tune.TuneConfig(
                search_alg=FromBook(desk),
                scheduler=ToBook(desk),
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=_tune_id,
            ),
            run_config=tune.RunConfig(
                name="sweep",
                storage_path=str(place / "tune"),
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=0,
            ),
        )
        tuner.fit()
    except Exception as error:
        logging.getLogger("ray").exception("Ray ended the run")
        return desk.failure or error
    finally:
        watchdog.rest()
        means.ray.stop()
    return desk.failure


def exit_code(states: Mapping[str, int]) -> int:
    """Of a sweep that has ended: 0 done; 4 some trials failed; 5 nothing to rank."""
    if not states.get("complete"):
        return 5
    return 4 if states.get("failed") or states.get("lost") else 0


def _tune_id(trial: object) -> str:
    return str(trial)


def code_version() -> str:
    """git's name for the commit, else the installed package's version."""
    here = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--tags"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
        )
        if described.returncode == 0 and described.stdout.strip():
            return described.stdout.strip()[:80]
    except (OSError, subprocess.SubprocessError):
        pass
    try:
        return version("bd3lm-sweep")
    except PackageNotFoundError:
        return "unknown"


def _resume_line(name: str, url: str, address: str) -> str:
    """The command that goes on. A URL that may hold a password is not repeated."""
    database = "" if url == "sqlite:///sweeps.db" or "@" in url else f" --db {shlex.quote(url)}"
    where = "" if address == LOCAL else f" --address {shlex.quote(address)}"
    return f"python -m sweeper resume {shlex.quote(name)}{database}{where}"
