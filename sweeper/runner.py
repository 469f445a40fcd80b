"""Runs a sweep, or goes on with it: the same thing. The driver process, from the store to the exit code.

Ray Tune is a disposable executor. What it does on its own is switched off: retries (they would defeat
the attempt that fences off a stale worker), restoring, loggers, its Ctrl-C handler, queueing ahead.
"""

import logging
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ray import tune

from sweeper import local_ray
from sweeper.book import LEASE, Book
from sweeper.extension import asked, grown, with_trials
from sweeper.machine import LacksError, Slots, slots_for
from sweeper.progress import Progress
from sweeper.quiet import chatter_to
from sweeper.searcher import Desk, FromBook, ToBook
from sweeper.spec import SweepSpec, differences
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord
from sweeper.store.store import Store, StoreError
from sweeper.warm_start import foreign_trials
from sweeper.watchdog import Watchdog
from sweeper.worker import Worker, environment
from trainer.config import InvalidConfig

INTERNAL, BAD_SPEC, LACKS, STOPPED = 1, 3, 7, 130
DRIVER_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths in a spec mean what they mean here
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}


def run_sweep(
    spec: SweepSpec,
    spec_text: str,
    url: str,
    files: Path,
    *,
    progress: Progress,
    train: str = "trainer.train",
) -> int:
    """Creates the sweep, or resumes it where the store has it under this name; returns the exit code.

    files: where checkpoints go, of a sweep that is new. train: the module with `train` and `pretrain`.
    """
    try:
        with closing(Store(url)) as store, closing(Reader(url)) as reader:
            sweep = reader.sweep(spec.name)
            if sweep is None:
                foreign_trials(spec, reader)  # what is wrong with them is said before anything is written
                sweep = store.create_sweep(
                    name=spec.name,
                    spec_text=spec_text,
                    spec=spec.resolved(),
                    code_version=code_version(),
                    folder=str(files.absolute()),
                )
            stored = SweepSpec.from_resolved(sweep.spec)
            spec, growth = grown(spec, stored)
            if changes := differences(sweep.spec, with_trials(spec, stored.search.trials).resolved()):
                progress.note(f"sweep {spec.name} is there already, and its spec was another:")
                for change in changes:
                    progress.note(f"  {change}")
                progress.note("undo the change to go on with it, or start another sweep with --as NEWNAME")
                return BAD_SPEC
            if growth:
                progress.note(growth)
            more = spec.search.trials > stored.search.trials or asked(reader.controls(sweep.id))
            if sweep.state in ("complete", "failed") and not more:
                progress.note(f"sweep {spec.name} has ended already: nothing is left to run")
                return exit_code(reader.trial_states(sweep.id))
            with _lease(store, sweep) as holder:
                if spec.search.trials > stored.search.trials:
                    store.writer(sweep.id, holder).extend(spec.search.trials)
                return _drive(
                    spec, sweep, store, reader, holder, progress, train, _resume_line(spec.name, url)
                )
    except (StoreError, LacksError) as error:
        progress.note(str(error))
        return LACKS
    except InvalidConfig as error:
        progress.note(str(error))
        return BAD_SPEC
    finally:
        progress.close()


def _drive(
    spec: SweepSpec,
    sweep: SweepRecord,
    store: Store,
    reader: Reader,
    holder: str,
    progress: Progress,
    train: str,
    resume: str,
) -> int:
    folder = Path(sweep.folder) / "trials" / str(sweep.id)
    log = folder / "ray.log"
    slots = slots_for(spec.resources)
    watchdog = Watchdog(resume)
    watchdog.watch()
    with chatter_to(log), _scratch(folder) as scratch:
        try:
            book = Book(spec, sweep, store, reader, holder=holder, progress=progress, slots=slots.number)
            if book.over():  # a driver was killed between the last trial's end and the sweep's
                book.end()
                return exit_code(book.states())
            failure, asked_to_stop = _execute(book, slots, train, watchdog, scratch)
            if isinstance(failure, StoreError):
                raise failure
            if failure is not None:
                book.interrupt(f"internal error: {failure!r}")
                progress.note(f"internal error: {failure!r}; the whole story is in {log}; to go on: {resume}")
                return INTERNAL
            if watchdog.signal is not None:
                name = signal.Signals(watchdog.signal).name
                book.interrupt(f"interrupted by {name}")
                progress.note(f"interrupted by {name}; to go on: {resume}")
                return 128 + watchdog.signal
            if asked_to_stop:
                book.interrupt("stopped on request")
                progress.note(f"stopped on request; to go on: {resume}")
                return STOPPED
            book.end()
            return exit_code(book.states())
        finally:
            watchdog.release()


def _execute(
    book: Book, slots: Slots, train: str, watchdog: Watchdog, scratch: Path
) -> tuple[Exception | None, bool]:
    """One Ray, one Tuner, until the Book has nothing left or someone wants it to end.

    Returns what went wrong in the driver, and whether the sweep was asked to stop.
    """
    # Read by Ray when it is started, and handed down to its workers. (The same as a runtime environment of
    # Ray's makes the workers that Ray has started ahead useless, and costs seconds: measured 1.6 s and 7 s.)
    os.environ.update(DRIVER_ENVIRONMENT, TUNE_MAX_PENDING_TRIALS_PG=str(slots.number))
    os.environ.update(environment(threads=max(1, int(slots.cpu))))
    desk = Desk(book, slots, train, watchdog)
    resources = {"CPU": slots.cpu, **({"GPU": slots.gpu} if slots.gpu else {})}
    try:
        local_ray.start(slots, scratch / "r")
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
                storage_path=str(scratch / "tune"),
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=0,
            ),
        )
        tuner.fit()
    except Exception as error:
        logging.getLogger("ray").exception("Ray ended the run")
        return desk.failure or error, desk.asked_to_stop
    finally:
        watchdog.rest()
        local_ray.stop()
    return desk.failure, desk.asked_to_stop


def exit_code(states: Mapping[str, int]) -> int:
    """Of a sweep that has ended: 0 done; 4 some trials failed; 5 nothing to rank."""
    if not states.get("complete"):
        return 5
    return 4 if states.get("failed") or states.get("lost") else 0


def _tune_id(trial: object) -> str:
    return str(trial)


@contextmanager
def _lease(store: Store, sweep: SweepRecord) -> Iterator[str]:
    """The sweep is this process's while it lives. A driver of this host that is dead holds nothing."""
    host = socket.gethostname()
    holder = f"{host}:{os.getpid()}"
    other = sweep.lease_holder
    if other is not None and other.rpartition(":")[0] == host and not _alive(int(other.rpartition(":")[2])):
        store.release_lease(sweep.id, other)
    store.take_lease(sweep.id, holder, LEASE)
    try:
        yield holder
    finally:
        with suppress(StoreError):  # of a database that is gone: why this run ends is said already
            store.release_lease(sweep.id, holder)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with suppress(OSError):  # Linux: dead, but never waited for, as in a container without an init
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Ray's own files: on a short path (its sockets' names are limited), closed to others, gone at the end.

    A driver that was killed leaves them behind; its name for them is noted, so that the next one clears up.
    """
    note = folder / "ray.folder"
    folder.mkdir(parents=True, exist_ok=True)
    if note.is_file():
        _end_orphans(Path(note.read_text()))
        shutil.rmtree(note.read_text(), ignore_errors=True)
    usual = tempfile.gettempdir()
    scratch = Path(tempfile.mkdtemp(prefix="sweep-", dir=usual if len(usual) < 25 else "/tmp"))
    note.write_text(str(scratch))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        note.unlink(missing_ok=True)


def _end_orphans(scratch: Path) -> None:
    """Ray's processes that outlived a driver: those with a file open in its folder. Linux alone."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile, or is another user's
            rays = (process / "cmdline").read_bytes().startswith(b"ray::")
            if rays and any(file.readlink().is_relative_to(scratch) for file in (process / "fd").iterdir()):
                os.kill(int(process.name), signal.SIGKILL)


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


def _resume_line(name: str, url: str) -> str:
    """The command that goes on. A URL that may hold a password is not repeated."""
    database = "" if url == "sqlite:///sweeps.db" or "@" in url else f" --db {shlex.quote(url)}"
    return f"python -m sweeper resume {shlex.quote(name)}{database}"
