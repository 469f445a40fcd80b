"""What `doctor` says of the store, of where checkpoints go and of the cache. Tried, not guessed."""

import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from sweeper.files.remote import InvalidPlace
from sweeper.files.snapshots import try_out
from sweeper.store.engine import NoStore, StoreError, parse, sqlite_file
from sweeper.store.probe import probe
from sweeper.words import in_bytes
from trainer.disk import cache_root

DISK_LEAST, DISK_SCARCE = 1_000_000_000, 10_000_000_000  # bytes
NETWORK = ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "lustre")


class Finding(NamedTuple):
    level: Literal["ok", "note", "problem"]
    part: str
    text: str
    todo: str = ""


def store(url: str) -> Iterator[Finding]:
    try:
        found = probe(url)
    except NoStore as nothing:
        yield Finding("note", "store", str(nothing), "nothing to do: the first `run` makes it")
    except StoreError as error:
        yield Finding("problem", "store", str(error), "correct it, or give another database by --db")
        return
    else:
        sweeps = f"{found.sweeps} sweep{'s' * (found.sweeps != 1)}"
        text = f"{sweeps}, schema {found.schema}, {found.how}, can be read and written"
        yield Finding("ok", "store", text)
    if parse(url).password and url in " ".join(sys.argv):
        text = "the password stands in this command's arguments, which other users of this machine can read"
        yield Finding("note", "store", text, "give the URL by SWEEPER_DB, or the password by a PGPASSFILE")
    file = sqlite_file(url)
    if file is None:
        return
    yield writable("store", file.parent)
    if (kind := _file_system(file)) in NETWORK:
        todo = "use a local disk, or PostgreSQL: --db postgresql+psycopg://user@host/database"
        yield Finding("problem", "store", f"{file} is on {kind}, where SQLite's WAL does not work", todo)
    if file.exists() and (others := open_to_others(file)):
        yield Finding("note", "store", f"{file} {others}", f"if they should not: chmod 600 {file}")


def beside(url: str) -> Path | None:
    """Where checkpoints go that nobody gave a place; None where the database is on a server."""
    with suppress(StoreError):  # it is said already
        file = sqlite_file(url)
        return file and file.with_suffix(".files")
    return None


def folders(files: Path | None) -> Iterator[Finding]:
    """Where checkpoints and tokenised corpora go."""
    if files is None:
        text = "nobody has said where checkpoints go"
        yield Finding("note", "files", text, "a database on a server needs --files DIR, or SWEEPER_FILES")
    else:
        yield writable("files", files)
        yield room(shutil.disk_usage(_nearest(files)).free)
        if files.is_dir() and (others := open_to_others(files)):
            todo = f"if they should not: chmod 700 {files}, and umask 077 before a sweep is run"
            yield Finding("note", "files", f"{files} {others}", todo)
    yield cache()


def cache() -> Finding:
    return writable("cache", cache_root())


def object_store(uri: str) -> Finding:
    """Tried: a small object is written, seen and deleted."""
    try:
        try_out(uri)
    except InvalidPlace as error:
        return Finding("problem", "files", str(error), "docs/cluster.md says what it may look like")
    return Finding("ok", "files", f"{uri.partition('?')[0]} can be written and read")


def room(free: int) -> Finding:
    """free: bytes."""
    text, todo = f"{in_bytes(free)} free for checkpoints", "free some, or give another place by --files"
    if free < DISK_LEAST:
        return Finding("problem", "files", text, todo)
    return Finding("note", "files", text, todo) if free < DISK_SCARCE else Finding("ok", "files", text)


def writable(part: str, folder: Path) -> Finding:
    """A file is made and removed, in the folder or where it would be made."""
    folder = folder.absolute()
    there = _nearest(folder)
    if not there.is_dir():
        return Finding("problem", part, f"{there} is a file, not a folder", "give another path")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        return Finding("problem", part, f"{there} cannot be written: {error.strerror}", "give another path")
    return Finding("ok", part, f"{folder} can be written" if there == folder else f"{folder} can be made")


def open_to_others(path: Path) -> str:
    """Of its mode alone: a folder above it may be closed."""
    mode = path.stat().st_mode
    if mode & stat.S_IWOTH:
        return "can be written by other users of this machine"
    return "can be read by other users of this machine" if mode & stat.S_IROTH else ""


def _nearest(path: Path) -> Path:
    """The path, or its first parent that is there."""
    path = path.absolute()
    return next(each for each in (path, *path.parents) if each.exists())


def _file_system(path: Path) -> str:
    """'ext4', 'nfs4'; '' where it cannot be told."""
    kinds = {}
    with suppress(OSError):
        for line in Path("/proc/self/mounts").read_text().splitlines():
            _, where, kind, *_ = line.split()
            kinds[Path(where.replace("\\040", " "))] = kind
    there = _nearest(path)
    return next((kinds[each] for each in (there, *there.parents) if each in kinds), "")
