"""Whole copies of a folder in an object store: what is read there is never a part of what was written.

ROOT/objects/W-...      the bytes of one file, under a name that its content gives; W is of the writer
ROOT/manifests/G-N-W    which objects make up the folder: the writer's N-th copy; written last
A writer's generation G is one above the newest that it found. So a worker that was cut off, and that goes on
while another one has taken its place, writes copies that nobody reads, and is told so at the next.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pyarrow import fs

from sweeper.files.remote import InvalidPlace, check, is_remote, within
from sweeper.files.stage_cache import LAST, sha256_of
from trainer.errors import CheckpointError, DamagedCheckpoint

BLOCK = 8 << 20  # bytes
UNWANTED = (".new", ".tmp", ".lock", ".part", ".damaged")


class Damaged(DamagedCheckpoint):
    """What is stored is not what was written."""


class Superseded(CheckpointError):
    """Another worker goes on with it, from a copy of ours."""


class File(NamedTuple):
    object: str
    sha256: str
    bytes: int


class Manifest(NamedTuple):
    name: str
    files: dict[str, File]

    @property
    def generation(self) -> int:
        return int(self.name.partition("-")[0])


def try_out(files: str) -> None:
    """Raises InvalidPlace in a sentence where nothing can be written, or read again. Of a path, nothing."""
    if not is_remote(files):
        return
    check(files)
    try:
        with probe(files) as seen:
            there = sees(seen)
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())[:300]
        raise InvalidPlace(f"{files.partition('?')[0]} cannot be written: {why}") from error
    if not there:
        raise InvalidPlace(f"{files.partition('?')[0]} does not show what was written to it")


@contextmanager
def probe(files: str) -> Iterator[str]:
    """A file that is there for a while. files: a path or a URI."""
    name = within(files, f"seen-{secrets.token_hex(8)}")
    if not is_remote(files):
        Path(files).mkdir(parents=True, exist_ok=True)
        Path(name).touch()
        try:
            yield name
        finally:
            Path(name).unlink()
        return
    system, path = fs.FileSystem.from_uri(name)
    system.create_dir(path.rpartition("/")[0], recursive=True)
    with system.open_output_stream(path) as out:
        out.write(b"seen\n")
    try:
        yield name
    finally:
        system.delete_file(path)


def sees(name: str) -> bool:
    """Whether this machine does."""
    if not is_remote(name):
        return Path(name).exists()
    system, path = fs.FileSystem.from_uri(name)
    return bool(system.get_file_info(path).type == fs.FileType.File)


def has_checkpoint(folder: str) -> bool:
    """A path or a URI. An object store that does not answer is taken to have one: who fetches it waits."""
    if not is_remote(folder):
        return Path(folder, LAST).is_file()
    try:
        newest = Snapshots(folder).newest()
    except OSError:
        return True
    return newest is not None and LAST in newest.files


class Snapshots:
    """Of the folder that `uri` stands for, for one writer. A method raises OSError where nobody answers."""

    def __init__(self, uri: str):
        self._uri = uri
        self._fs, root = fs.FileSystem.from_uri(uri)
        self._objects, self._manifests = f"{root}/objects", f"{root}/manifests"
        self._writer = secrets.token_hex(4)
        self._generation: int | None = None  # known once something was fetched
        self._last: Manifest | None = None  # our own
        self._pushed: dict[str, tuple[int, ...]] = {}  # the signature of each file of it
        self._uploaded: dict[str, tuple[tuple[int, ...], File]] = {}  # by name: as it then was

    def newest(self) -> Manifest | None:
        """The newest copy that is whole; one that was cut off while it was written does not count."""
        return next(self._all(), None)

    def fetch(self, folder: Path) -> Manifest | None:
        """Makes the folder equal to the newest copy; files that are equal already stay as they are.

        Raises Damaged. None: there is no copy, and the folder is left alone.
        """
        for _ in range(3):  # a writer may replace the copy while it is being read
            manifest = self.newest()
            self._generation = manifest.generation + 1 if manifest else 1
            if manifest is None:
                return None
            try:
                self._fetch(manifest, folder)
                return manifest
            except FileNotFoundError:
                continue
        raise Damaged(f"a part of the newest copy of {self._shown()} is gone")

    def push(self, folder: Path) -> bool:
        """A copy of the folder as it is; false where it equals the last. Raises Superseded."""
        if self._generation is None:
            self._generation = max((each.generation for each in self._all()), default=0) + 1
        number = int(self._last.name.split("-")[1]) + 1 if self._last else 1
        now = {file.name: _signature(file) for file in files_of(folder)}
        if now == self._pushed:
            return False
        if any(int(name.partition("-")[0]) > self._generation for name in self._names()):
            raise Superseded(f"another worker goes on with {self._shown()}")
        files = {name: self._put(folder / name, signature) for name, signature in now.items()}
        manifest = Manifest(f"{self._generation:06d}-{number:08d}-{self._writer}", files)
        self._write(f"{self._manifests}/{manifest.name}", _encoded(manifest.files))
        self._last, self._pushed = manifest, now
        self._forget_others(manifest)
        return True

    def size(self) -> int:
        """All that lies there, of whichever writer."""
        return sum(info.size or 0 for info in self._list(self._objects))

    def fault(self) -> str:
        """'' where the newest copy is there in full; else what is wrong, as the end of a sentence."""
        manifest = self.newest()
        if manifest is None:
            return "its checkpoint is gone"
        sizes = {info.base_name: info.size for info in self._list(self._objects)}
        if any(sizes.get(file.object) != file.bytes for file in manifest.files.values()):
            return "its checkpoint is damaged: a part of it is gone"
        return ""

    def clear(self) -> None:
        """Deletes everything: the manifests first, so that nothing is read in between."""
        for folder in (self._manifests, self._objects):
            for info in self._list(folder):
                self._fs.delete_file(info.path)

    def drop(self, names: Collection[str]) -> int:
        """A copy without these files takes the place of the newest; the bytes that this frees. Whoever is at
        work in the folder all the same is superseded."""
        newest = self.newest()
        if newest is None or not (gone := [name for name in names if name in newest.files]):
            return 0
        left = {name: file for name, file in newest.files.items() if name not in gone}
        now = Manifest(f"{newest.generation + 1:06d}-{1:08d}-{self._writer}", left)
        self._write(f"{self._manifests}/{now.name}", _encoded(left))
        self._forget_others(now)
        return sum(newest.files[name].bytes for name in gone)

    # --- reading --------------------------------------------------------------------------------
    def _all(self) -> Iterator[Manifest]:
        """Newest first."""
        for name in self._names():
            try:
                with self._fs.open_input_stream(f"{self._manifests}/{name}") as stream:
                    files = _decoded(stream.read())
            except FileNotFoundError:  # replaced meanwhile
                continue
            if files is not None:
                yield Manifest(name, files)

    def _names(self) -> list[str]:
        return sorted((info.base_name for info in self._list(self._manifests)), reverse=True)

    def _list(self, folder: str) -> list[Any]:
        found = self._fs.get_file_info(fs.FileSelector(folder, allow_not_found=True))
        return [info for info in found if info.type == fs.FileType.File]

    def _fetch(self, manifest: Manifest, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, file in manifest.files.items():
            if not (folder / name).is_file() or sha256_of(folder / name) != file.sha256:
                self._get(file, folder / name)
        for file_here in files_of(folder):
            if file_here.name not in manifest.files:
                file_here.unlink()

    def _get(self, file: File, target: Path) -> None:
        part, digest = target.with_name(f"{target.name}.part"), hashlib.sha256()
        with self._fs.open_input_stream(f"{self._objects}/{file.object}") as stream, open(part, "wb") as out:
            while block := stream.read(BLOCK):
                digest.update(block)
                out.write(block)
        if digest.hexdigest() != file.sha256:
            part.unlink()
            raise Damaged(f"{target.name} in {self._shown()} does not have the checksum it was written with")
        os.replace(part, target)

    # --- writing --------------------------------------------------------------------------------
    def _put(self, file: Path, signature: tuple[int, ...]) -> File:
        before = self._uploaded.get(file.name)
        if before is not None and before[0] == signature:
            return before[1]
        digest = sha256_of(file)
        put = File(f"{self._writer}-{digest}", digest, file.stat().st_size)
        if before is None or before[1] != put:
            self._write(f"{self._objects}/{put.object}", file)
        self._uploaded[file.name] = signature, put  # at once: after an outage it is not sent again
        return put

    def _write(self, path: str, content: Path | bytes) -> None:
        if self._last is None:
            self._fs.create_dir(path.rpartition("/")[0], recursive=True)
        with self._fs.open_output_stream(path) as out:
            if isinstance(content, bytes):
                out.write(content)
                return
            with open(content, "rb") as file:
                while block := file.read(BLOCK):
                    out.write(block)

    def _forget_others(self, now: Manifest) -> None:
        """Our copies before this, and those of generations before ours: each manifest before its objects."""
        kept = {file.object for file in now.files.values()}
        for manifest in self._all():
            ours = manifest.name.endswith(self._writer)
            if manifest.name == now.name or not (ours or manifest.generation < now.generation):
                continue
            self._delete(f"{self._manifests}/{manifest.name}")
            for name in {file.object for file in manifest.files.values()} - kept:
                self._delete(f"{self._objects}/{name}")

    def _delete(self, path: str) -> None:
        try:
            self._fs.delete_file(path)
        except FileNotFoundError:
            return

    def _shown(self) -> str:
        return self._uri.partition("?")[0]


def files_of(folder: Path) -> list[Path]:
    """What a copy is made of: no folders, no locks, nothing half written."""
    found = [file for file in folder.iterdir() if file.is_file() and not file.name.startswith(".")]
    return sorted(file for file in found if not file.name.endswith(UNWANTED))


def _signature(file: Path) -> tuple[int, ...]:
    stat = file.stat()
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _encoded(files: dict[str, File]) -> bytes:
    text = json.dumps({name: list(file) for name, file in files.items()})
    return f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}\n".encode()


def _decoded(content: bytes) -> dict[str, File] | None:
    """None where it was cut off."""
    digest, _, text = content.decode("utf-8", "replace").partition("\n")
    if hashlib.sha256(text.removesuffix("\n").encode()).hexdigest() != digest:
        return None
    files = {name: File(*entry) for name, entry in json.loads(text).items()}
    if any("/" in name or name.startswith(".") or "/" in file.object for name, file in files.items()):
        return None  # not ours
    return files
