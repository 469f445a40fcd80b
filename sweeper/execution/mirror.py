"""A job whose folder is in an object store: trained in a folder here, copied there before it is reported.

An outage of the store is waited out; what is trained meanwhile is kept here.
"""

import secrets
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout
from pyarrow import fs

from sweeper.driver.jobs import Job, Reports, ScoringJob, StageJob, TrialJob
from sweeper.files.remote import is_remote, name_of
from sweeper.files.snapshots import Damaged, Snapshots, Superseded
from sweeper.files.stage_cache import LAST
from trainer.disk import cache_root
from trainer.errors import CheckpointError, DamagedBranch

T = TypeVar("T")
OUTAGE = 600.0  # seconds that the store may be away
BEAT, SILENT = 5.0, 30.0  # seconds: of one who makes a stage; after which it is taken for dead
LOOK = 1.0  # seconds between looks


def mirrored(job: Job, trainer: str, device: str) -> Reports:
    """Job.run, of a job whose folder is a URI."""
    with _folder() as here:
        if isinstance(job, StageJob):
            yield from _stage(job, trainer, device, here)
        elif isinstance(job, ScoringJob):  # it writes nothing
            yield from patiently(lambda: Snapshots(job.folder).fetch(here))
            yield from job._replace(folder=str(here)).run(trainer, device)
        else:
            yield from _trial(job, trainer, device, here)


def _trial(job: TrialJob, trainer: str, device: str, here: Path) -> Reports:
    copies = Snapshots(job.folder)
    if job.pretrained:
        branch = yield from _fetched(job.pretrained)
        job = job._replace(pretrained=str(branch))
    yield from _copied(job, trainer, device, here, copies, lambda: None)


def _stage(job: StageJob, trainer: str, device: str, here: Path) -> Reports:
    """Who makes it already is waited for; who was taken for dead goes on with what the other has made."""
    turn = Turn(job.folder)
    try:
        if job.parent is not None and is_remote(job.parent):
            job = job._replace(parent=(yield from _fetched_if_whole(job.parent)))
        while True:
            yield from turn.wait()
            try:
                yield from _copied(job, trainer, device, here, Snapshots(job.folder), turn.beat)
                return
            except Superseded:
                yield None
    finally:
        turn.give_back()


def _copied(
    job: Job, trainer: str, device: str, here: Path, copies: Snapshots, beat: Callable[[], None]
) -> Reports:
    try:
        yield from patiently(lambda: copies.fetch(here))
    except Damaged:
        copies.clear()  # the next attempt begins again
        raise
    run = job._replace(folder=str(here)).run(trainer, device)
    copied = _checkpoint(here)
    try:
        for report in run:
            beat()
            if report is not None or _checkpoint(here) != copied:
                copied = _checkpoint(here)
                yield from patiently(lambda: copies.push(here))
            yield report
    except BaseException:
        run.close()  # it saves
        with suppress(OSError, Superseded):
            copies.push(here)
        raise
    yield from patiently(lambda: copies.push(here))


def _fetched(uri: str) -> Generator[None, None, Path]:
    """A stage, in this machine's cache of them; checked against its checksums every time."""
    here = cache_root() / "stages" / name_of(uri)
    here.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(here.with_suffix(".lock"))
    while True:
        try:
            lock.acquire(blocking=False)
            break
        except Timeout:  # another trial fetches it
            yield None
            time.sleep(LOOK / 5)
    try:
        if (yield from patiently(lambda: Snapshots(uri).fetch(here))) is None:
            raise DamagedBranch(f"the pretrain {uri.partition('?')[0]} is gone")
    except Damaged as error:
        raise DamagedBranch(str(error)) from None
    finally:
        lock.release()
    return here


def _fetched_if_whole(uri: str) -> Generator[None, None, str | None]:
    """Nothing depends on a stage from whose end another goes on: without it, that begins at its first
    step."""
    try:
        return str((yield from _fetched(uri)))
    except DamagedBranch:
        return None


def patiently(action: Callable[[], T]) -> Generator[None, None, T]:
    """Its value, as soon as the store answers; a sign of life until then."""
    until = time.monotonic() + OUTAGE
    while True:
        try:
            return action()
        except OSError as error:
            if error.errno is not None and not isinstance(error, FileNotFoundError):
                raise  # of this machine's own disk
            if time.monotonic() > until:
                said = " ".join(str(error).split())[:300]
                raise CheckpointError(
                    f"the object store has not answered for {OUTAGE:.0f} s: {said}"
                ) from error
        yield None
        time.sleep(LOOK)


class Turn:
    """One worker at a time makes a stage: an object that it writes anew as long as it lives.

    That saves work, and nothing depends on it: two that make a stage at once make the same, in copies of
    their own. Whether another lives is told by this machine's clock alone.
    """

    def __init__(self, uri: str):
        self._fs, root = fs.FileSystem.from_uri(uri)
        self._root, self._file = root, f"{root}/turn"
        self._me, self._beats, self._next = secrets.token_hex(8), 0, 0.0

    def wait(self) -> Reports:
        seen, since = "", time.monotonic()
        while True:
            now = yield from patiently(self._read)
            if not now or now.startswith(self._me):
                break
            if now != seen:
                seen, since = now, time.monotonic()
            if time.monotonic() - since > SILENT:
                break
            yield None
            time.sleep(LOOK)
        self.beat()

    def beat(self) -> None:
        if time.monotonic() < self._next:
            return
        self._beats, self._next = self._beats + 1, time.monotonic() + BEAT
        with suppress(OSError):
            self._fs.create_dir(self._root, recursive=True)
            with self._fs.open_output_stream(self._file) as out:
                out.write(f"{self._me} {self._beats}\n".encode())

    def give_back(self) -> None:
        with suppress(OSError):
            if self._read().startswith(self._me):
                self._fs.delete_file(self._file)

    def _read(self) -> str:
        try:
            with self._fs.open_input_stream(self._file) as stream:
                return str(stream.read().decode("utf-8", "replace"))
        except FileNotFoundError:
            return ""


@contextmanager
def copied_here(uri: str) -> Iterator[Path]:
    """What the store has of a folder, for a while. Raises CheckpointError where it does not answer."""
    with _folder() as here:
        try:
            Snapshots(uri).fetch(here)
        except OSError as error:
            said = " ".join(str(error).split())[:300]
            raise CheckpointError(f"the object store does not answer: {said}") from error
        yield here


@contextmanager
def _folder() -> Iterator[Path]:
    """A new one, gone at the end; those of workers that were killed are gone before."""
    root = cache_root() / "scratch"
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in root.glob("*.lock"):
        with suppress(Timeout), FileLock(left, timeout=0):
            shutil.rmtree(left.with_suffix(""), ignore_errors=True)
            left.unlink(missing_ok=True)
    here = root / secrets.token_hex(8)
    lock = here.with_suffix(".lock")
    with FileLock(lock):
        here.mkdir()
        try:
            yield here
        finally:
            shutil.rmtree(here, ignore_errors=True)
            lock.unlink(missing_ok=True)


def _checkpoint(folder: Path) -> tuple[int, int] | None:
    with suppress(FileNotFoundError):
        stat = (folder / LAST).stat()
        return stat.st_mtime_ns, stat.st_size
    return None
