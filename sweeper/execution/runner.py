"""Runs a sweep, or goes on with it: the same thing. The driver process, from the store to the exit code."""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from sweeper.driver.driver import Driver, DriverSettings
from sweeper.driver.extension import requested
from sweeper.driver.failures import in_words, is_of_the_environment
from sweeper.driver.lease import LEASE, HeldSweep, lease
from sweeper.driver.progress import Progress
from sweeper.driver.spending import Allowance
from sweeper.driver.stop_reason import StopReason, by_signal
from sweeper.execution.cluster_ray import ClusterRay
from sweeper.execution.local_ray import LocalRay
from sweeper.execution.patience import Patience
from sweeper.execution.ray_logs import chatter_to
from sweeper.execution.registration import AnotherSpec, Registered, register
from sweeper.execution.trial_backend import TrialBackend
from sweeper.execution.tuner import Executor
from sweeper.execution.watchdog import Watchdog
from sweeper.files.remote import InvalidPlace, Unsaid, logs_of
from sweeper.files.scratch import scratch
from sweeper.planning.calibration import Probe
from sweeper.planning.machine import LacksError
from sweeper.planning.packing import Packing, pack
from sweeper.spec.spec import SweepSpec
from sweeper.store.clock import MACHINE, Clock
from sweeper.store.engine import LeaseLost, StoreError
from sweeper.store.queries import Reader
from sweeper.store.records import MAY_BE_RETRIED
from sweeper.store.store import Store
from sweeper.store.writer import Writer
from trainer.config.problems import InvalidConfig, MissingFiles

INTERNAL, BAD_SPEC, LACKS = 1, 3, 7
LOCAL = "local"


class Means(NamedTuple):
    """With what a sweep is run."""

    train: str = "trainer.training.train"  # the module with `train` and `pretrain`
    address: str = LOCAL  # of a Ray cluster that runs; local: a Ray of its own
    lease_seconds: float = LEASE
    # What measures a trial, and the bytes of a GPU, where the machine itself is not to be asked.
    probe: Probe | None = None
    gpu_memory: int | None = None
    clock: Clock = MACHINE


USUAL = Means()


def run_sweep(
    spec: SweepSpec, url: str, files: Path | str | Unsaid, progress: Progress, means: Means = USUAL
) -> int:
    """Creates the sweep, or resumes it where the store has it under this name; returns the exit code.

    files: where checkpoints go, of a sweep that is new; of one that is there, where they are now.
    """
    patience = Patience(progress.note)
    try:
        with closing(Store(url, means.clock, waiting=patience)) as store, closing(Reader(url)) as reader:
            if store.migrated:
                progress.note(store.migrated.words())
            sweep = register(spec, files, store, reader, progress.note)
            if sweep.ended and not sweep.changed and not sweep.moved:
                return _nothing_left(sweep, reader, progress)
            with lease(store, sweep.record, means.lease_seconds) as holder:
                held = HeldSweep(sweep.spec, sweep.record, reader, store.writer(sweep.record.id, holder))
                with held.writer.together():
                    sweep.write(held.writer)
                    # Somebody may have asked for more since: whom the lease says to be its driver.
                    ended = sweep.ended and not requested(reader.controls(sweep.record.id))
                    if ended:
                        held.writer.give_up_lease()
                if ended:
                    return _nothing_left(sweep, reader, progress)
                store.checkpoint()
                return _drive(held, progress, means, patience)
    except (StoreError, LacksError, InvalidPlace, MissingFiles) as error:
        progress.note(str(error))
        return LACKS
    except AnotherSpec as error:
        for line in error.lines:
            progress.note(line)
        return BAD_SPEC
    except InvalidConfig as error:
        progress.note(str(error))
        return BAD_SPEC
    finally:
        progress.close()


def _nothing_left(sweep: Registered, reader: Reader, progress: Progress) -> int:
    states, name = reader.trial_states(sweep.record.id), sweep.record.name
    failed = sum(states.get(each, 0) for each in MAY_BE_RETRIED)
    more = f"; `retry {shlex.quote(name)}` has the {failed} that failed run again" if failed else ""
    progress.note(f"sweep {name} has ended already: nothing is left to run{more}")
    return exit_code(states)


def _drive(held: HeldSweep, progress: Progress, means: Means, patience: Patience) -> int:
    """From what the machine has to the end of the sweep, or of this driver; returns the exit code."""
    ray = LocalRay() if means.address == LOCAL else ClusterRay(means.address)
    folder = logs_of(held.record.folder) / "trials" / str(held.record.id)
    log, resume = folder / "ray.log", _resume_line(held, means.address)
    watchdog = Watchdog(resume)
    watchdog.watch()
    patience.alive = watchdog.alive
    try:
        with _said_in_the_store(held.writer), chatter_to(log), scratch(folder) as place:
            return _execute(held, progress, means, Execution(ray, watchdog, place, log, resume))
    except LeaseLost:  # another driver goes on
        raise
    except StoreError as error:
        raise StoreError(f"{error}; to go on: {resume}") from None
    except OSError as error:  # its folder cannot be made, or written
        progress.note(f"{in_words(error)}; to go on: {resume}")
        return LACKS
    finally:
        ray.stop()
        watchdog.release()


@contextmanager
def _said_in_the_store(writer: Writer) -> Iterator[None]:
    """Why nothing has begun, or could go on: nobody is to think that the sweep runs."""
    try:
        yield
    except (LacksError, InvalidConfig, OSError) as error:
        said = in_words(error) if isinstance(error, OSError) else str(error)
        with suppress(LeaseLost):  # its end, or why it was interrupted, is written
            writer.set_sweep_state("interrupted", said)
        raise


class Execution(NamedTuple):
    ray: LocalRay | ClusterRay
    watchdog: Watchdog
    place: Path  # closed to others, for the files of Ray and Tune
    log: Path
    resume: str  # the command that goes on


def _execute(held: HeldSweep, progress: Progress, means: Means, at: Execution) -> int:
    packing = _packing(held.spec, at.ray, means, progress)
    slots = at.ray.slots(packing.resources, held.record.folder)
    if slots.not_fused:
        progress.note(f"resources.fused: no trials are trained as one: {slots.not_fused}")
    driver = Driver(
        held,
        progress,
        DriverSettings(slots.number, means.lease_seconds, clock=means.clock),
        Allowance(held.spec.budget, slots.gpu, packing.measured),
    )
    executor, limit = Executor(at.ray, slots, at.place, at.watchdog), held.spec.resources.time_limit
    # A driver may have been killed between its last trial and the sweep's end; and somebody may ask for more
    # while the workers end.
    while not driver.end():
        failure = None
        if driver.poll():  # else the budget is spent, and Ray need not be started
            keep = held.writer.add_usage
            backend = TrialBackend(driver, slots, means.train, at.watchdog, limit, keep)
            failure = executor.run(backend)
        if (code := _cut_off(driver, failure, progress, at)) is not None:
            return code
    return exit_code(driver.states())


def _cut_off(driver: Driver, failure: Exception | None, progress: Progress, at: Execution) -> int | None:
    """The exit code of a driver that stops before the sweep has ended; None: it does not.

    failure: of the driver's own code, or of Ray.
    """
    if isinstance(failure, StoreError):
        raise failure
    if failure is not None and (isinstance(failure, LacksError) or is_of_the_environment(failure)):
        driver.stop(StopReason(in_words(failure), LACKS))
    elif failure is not None:
        driver.interrupt(f"internal error: {failure!r}")
        progress.note(f"internal error: {failure!r}; the whole story is in {at.log}; to go on: {at.resume}")
        return INTERNAL
    if at.watchdog.signal is not None:  # it may have come when nobody looked any more
        driver.stop(by_signal(at.watchdog.signal))
    if stopped := driver.stop_reason:
        driver.interrupt(stopped.reason)
        progress.note(f"{stopped.reason}; to go on: {at.resume}{stopped.more}")
        return stopped.code
    return None


def _packing(spec: SweepSpec, ray: LocalRay | ClusterRay, means: Means, progress: Progress) -> Packing:
    if isinstance(ray, ClusterRay):  # its GPUs are not this machine's
        return Packing(spec.resources, {})
    return pack(spec, progress.note, probe=means.probe, gpu_memory=means.gpu_memory)


def exit_code(states: Mapping[str, int]) -> int:
    """Of a sweep that has ended: 0 done; 4 some trials failed; 5 nothing to rank."""
    if not states.get("complete"):
        return 5
    return 4 if states.get("failed") or states.get("lost") else 0


def _resume_line(held: HeldSweep, address: str) -> str:
    """The command that goes on. A URL that may hold a password is not repeated."""
    url = held.reader.url
    database = "" if url == "sqlite:///sweeps.db" or "@" in url else f" --db {shlex.quote(url)}"
    where = "" if address == LOCAL else f" --address {shlex.quote(address)}"
    return f"python -m sweeper resume {shlex.quote(held.record.name)}{database}{where}"
