"""What a sweep needs of this machine, one line each: ok, a note, or a problem and what to do about it.

Nothing is changed, and torch is imported only by the worker of a Ray that is started on request.
"""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from sweeper.files.remote import is_remote
from sweeper.files.storage_checks import Finding, beside, cache, folders, object_store, store
from sweeper.planning.machine import Slots, usable_cores, visible_gpus
from sweeper.words import in_bytes
from trainer.data.online import hub_answers

WORKER = 1_000_000_000  # bytes of memory that a worker with torch and a small model takes
SHOWN = ("torch", "ray", "optuna", "sqlalchemy")  # of the packages, all of which are looked at
BF16 = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512"}  # flags of /proc/cpuinfo, the better first
SECONDS = 2.0  # for the hub to answer
RAY_SHARED = 110_000_000  # bytes of /dev/shm: Ray's object store
RAY_LEAST = 1_000_000_000  # bytes of the temporary folder
PROJECT = Path(__file__).parents[2] / "pyproject.toml"  # of a checkout
RAY_FULL = 0.95  # of a disk, from which on Ray refuses to write


def examine(url: str, files: str | None, *, start: bool = False) -> Iterator[Finding]:
    """files: a path or a URI, where checkpoints go; None: beside the database. start: tries Ray, too."""
    with ThreadPoolExecutor(1) as aside:
        answers = aside.submit(hub_answers, SECONDS)
        yield from machine()
        yield from packages()
        yield from gpus()
        yield from rays_room()
        if start:
            yield _started()
        yield from store(url)
        if files and is_remote(files):
            yield object_store(files)
            yield cache()
        else:
            yield from folders(Path(files) if files else beside(url))
        yield _hub(answers.result())
        yield from _browser()


def machine() -> Iterator[Finding]:
    cores, system = usable_cores(), f"{platform.system()} {platform.machine()}"
    text = f"{cores} of {os.cpu_count() or cores} cores usable, {system}{_bf16_of_the_cpu()}"
    yield Finding("ok", "machine", text)
    free = available_memory()
    if free is None:
        return
    text = f"{in_bytes(free)} available"
    if free < WORKER:
        yield Finding("problem", "memory", text, "free some: a worker takes about 1 GB")
    elif free < cores * WORKER:
        todo = f"free some, or set resources.slots to {int(free / WORKER)}"
        yield Finding("note", "memory", f"{text}, little for {cores} workers", todo)
    else:
        yield Finding("ok", "memory", text)


def _bf16_of_the_cpu() -> str:
    with suppress(OSError):
        flags = set(Path("/proc/cpuinfo").read_text().split())
        return next((f", bf16 by {name}" for flag, name in BF16.items() if flag in flags), ", no bf16")
    return ""


def available_memory() -> int | None:
    """Bytes that processes can still get: of the machine, or of the container where it allows less."""
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):  # macOS
        return None
    with suppress(OSError, ValueError):  # no such group, or "max"
        group = Path("/sys/fs/cgroup")
        limit, used = ((group / name).read_text() for name in ("memory.max", "memory.current"))
        free = min(free, int(limit) - int(used))
    return free


def packages() -> Iterator[Finding]:
    supported, required = _requirements()
    version = platform.python_version()
    if version in supported:
        yield Finding("ok", "python", version)
    else:
        todo = f"make an environment with a Python that is {supported}"
        yield Finding("problem", "python", f"{version} is not supported", todo)
    found, wrong = {}, []
    for each in required:
        try:
            found[each.name] = importlib.metadata.version(each.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{each.name} is not installed")
            continue
        if not each.specifier.contains(found[each.name], prereleases=True):
            wrong.append(f"{each.name} is {found[each.name]}, not {each.specifier}")
    if wrong:
        here = (
            "make install, or pip install -e ."
            if PROJECT.is_file()
            else "install the wheel again, with what it needs"
        )
        yield Finding("problem", "packages", "; ".join(wrong), here)
    else:
        yield Finding("ok", "packages", ", ".join(f"{name} {found[name]}" for name in SHOWN))


def _requirements() -> tuple[SpecifierSet, list[Requirement]]:
    """Of Python and of packages: as pyproject.toml says, or the installed package where there is none."""
    if PROJECT.is_file():
        asked = tomllib.loads(PROJECT.read_text())["project"]
        return SpecifierSet(asked["requires-python"]), [Requirement(each) for each in asked["dependencies"]]
    installed = importlib.metadata.metadata("bd3lm-sweep")
    required = map(Requirement, installed.get_all("Requires-Dist") or ())
    return SpecifierSet(installed["Requires-Python"]), [each for each in required if each.marker is None]


def gpus() -> Iterator[Finding]:
    """NVIDIA's, by nvidia-smi; whether torch can use them is read off its version."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        listing = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
    except FileNotFoundError:
        yield Finding("ok", "gpu", "none: trials run on the CPU")
        return
    except (OSError, subprocess.SubprocessError):
        todo = "run it by hand; after an update of the driver the machine must be restarted"
        yield Finding("problem", "gpu", "nvidia-smi is there, but fails", todo)
        return
    each = listing.strip().splitlines()
    yield Finding("ok", "gpu", f"{len(each)}: {'; '.join(sorted(set(each)))}")
    if not visible_gpus():
        yield Finding("note", "gpu", "CUDA_VISIBLE_DEVICES hides all of them", "unset CUDA_VISIBLE_DEVICES")
    with suppress(importlib.metadata.PackageNotFoundError):
        if (torch := importlib.metadata.version("torch")).endswith("+cpu"):
            todo = "install a torch that is built for CUDA"
            yield Finding("problem", "gpu", f"torch {torch} is built for the CPU alone", todo)


def rays_room() -> Iterator[Finding]:
    """Ray keeps its sockets and logs in the temporary folder, and its objects in shared memory."""
    temporary = tempfile.gettempdir()
    disk = shutil.disk_usage(temporary)
    text = f"{in_bytes(disk.free)} free in {temporary}"
    if disk.free < RAY_LEAST or 1 - disk.free / disk.total > RAY_FULL:
        yield Finding("problem", "ray", text, "free some, or set TMPDIR to a short path on another disk")
    else:
        yield Finding("ok", "ray", text)
    shared = Path("/dev/shm")
    if shared.is_dir() and (free := shutil.disk_usage(shared).free) < RAY_SHARED:
        todo = "give the container more: docker run --shm-size=512m"
        yield Finding("note", "ray", f"/dev/shm has {in_bytes(free)} free: Ray's objects go to disk", todo)


def _started() -> Finding:
    from sweeper.execution.local_ray import try_out
    from sweeper.execution.ray_logs import chatter_to
    from trainer.network.hardware import seen_in_words

    began = time.monotonic()
    slots = Slots(1, 1, 1 if visible_gpus() else 0)
    with tempfile.TemporaryDirectory(prefix="sweep-", ignore_cleanup_errors=True) as scratch:
        try:
            with chatter_to(Path(scratch) / "log"):
                sees = try_out(slots, Path(scratch) / "r", seen_in_words)
        except Exception as error:
            text = f"does not start: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            todo = "see that processes here may talk to each other over 127.0.0.1"
            return Finding("problem", "ray", text, todo)
    seconds = time.monotonic() - began
    return Finding("ok", "ray", f"started, and a worker answered, in {seconds:.1f} s: {sees}")


def _hub(answers: bool) -> Finding:
    from huggingface_hub import constants

    if answers:
        return Finding("ok", "hub", f"{constants.ENDPOINT} answers")
    why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{constants.ENDPOINT} does not answer"
    todo = "pydocs, synthetic and files need none; for other corpora set data.path to a copy: docs/corpora.md"
    return Finding("note", "hub", why, todo)


def _browser() -> Iterator[Finding]:
    """For developers: where playwright is installed, its tests want a browser."""
    with suppress(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("playwright")
        names = ("chromium", "chromium-browser", "google-chrome")
        if found := next(filter(None, map(shutil.which, names)), None):
            yield Finding("ok", "browser", found)
        else:
            text = "no Chromium: the dashboard's browser tests are skipped"
            yield Finding("note", "browser", text, "apt-get install chromium")
