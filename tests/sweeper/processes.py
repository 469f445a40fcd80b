"""Driver processes for tests: started, watched and ended as a user or a failing machine would."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from sweeper.driver.lease import LEASE
from sweeper.files.scratch import end_orphans

ROOT = Path(__file__).parents[2]
PATIENCE = 270.0  # seconds: a start of Ray takes 5 on an idle machine, and a minute on a busy one


def launch(*arguments: str, code: str = "", **environment: str) -> "subprocess.Popen[str]":
    """python -m arguments, from the repository's root; what it says is kept together.

    code: run instead of the module that the first argument names.
    """
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments[1:]] if code else [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={"PYTHONFAULTHANDLER": "1", **os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


class Work(NamedTuple):
    """Where a sweep and its traces are."""

    place: Path
    server: str = ""  # the URL of a database that is not a file of the place
    store: str = ""  # the URI of an object store that checkpoints go to

    @property
    def url(self) -> str:
        return self.server or f"sqlite:///{self.place}/sweeps.db"

    @property
    def files(self) -> Path:
        return self.place / "files"

    def start(
        self,
        text: str,
        *overrides: str,
        seconds: float = 0.0,
        lease: float = LEASE,
        address: str = "local",
        code: str = "",
        **environment: str,
    ) -> "subprocess.Popen[str]":
        """seconds: of a training step. lease: of the driver, in seconds. address: of a Ray cluster.

        code: run instead of the driver's module, with its arguments.
        """
        spec = self._write(text)
        pids = str(self.place / "pids")
        fake = ("tests.sweeper.drive", self.url, self.store or str(self.files), spec, *overrides)
        own = {"FAKE_SECONDS": str(seconds), "FAKE_PIDS": pids, "FAKE_LEASE": str(lease)}
        return launch(*fake, code=code, **own, FAKE_ADDRESS=address, **environment)

    def start_real(self, text: str) -> "subprocess.Popen[str]":
        """The command line, and the trainer that trains."""
        spec = self._write(text)
        where = ("--db", self.url, "--files", str(self.files))
        return launch("sweeper", "run", spec, *where, OMP_NUM_THREADS="1")

    def _write(self, text: str) -> str:
        spec = self.place / "spec.yaml"
        spec.write_text(text)
        return str(spec)

    def spells(self) -> list[tuple[float, int, str, str]]:
        """(time, pid, begin or end, folder's name), as the fake trainer wrote them."""
        file = self.place / "pids"
        lines = file.read_text().splitlines() if file.is_file() else []
        return [(float(t), int(pid), what, name) for t, pid, what, name in map(str.split, lines)]

    def steps(self, of: str = "trials/*/*") -> int:
        """Trained so far, over all trials, repeated ones counted."""
        ledgers = self.files.glob(f"{of}/ledger.txt")
        return sum(len(ledger.read_text().splitlines()) for ledger in ledgers)

    def workers(self) -> set[int]:
        """The processes that train here now: those that hold a ledger open. Linux."""
        found = set()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended meanwhile
                files = [link.readlink() for link in (process / "fd").iterdir()]
                if any(file.name == "ledger.txt" and file.is_relative_to(self.files) for file in files):
                    found.add(int(process.name))
        return found

    def lose_rays_files(self) -> None:
        """And its processes, as the next driver under Ray would: one that only begins is no worker yet."""
        for note in self.files.glob("trials/*/ray.folder"):
            end_orphans(Path(note.read_text()))
            shutil.rmtree(note.read_text(), ignore_errors=True)


def wait_for(
    condition: Callable[[], bool], driver: "subprocess.Popen[str]", patience: float = PATIENCE
) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert driver.poll() is None, f"the driver ended early:\n{driver.communicate()[0]}"
        if time.monotonic() > deadline:
            kill(driver)
            raise TimeoutError("waited in vain")
        time.sleep(0.02)


def end_of(driver: "subprocess.Popen[str]", patience: float = PATIENCE) -> tuple[int, str]:
    """The exit code, and what it printed. One that does not end says where it stands, in every thread."""
    try:
        output, _ = driver.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        driver.send_signal(signal.SIGABRT)  # Python's faulthandler prints the stacks
        output, _ = driver.communicate()
        raise AssertionError(f"no end within {patience:.0f} s:\n{output}") from None
    return driver.returncode, output


def kill(driver: "subprocess.Popen[str]") -> None:
    driver.send_signal(signal.SIGKILL)
    driver.communicate()


def pairs(file: Path) -> list[tuple[int, int]]:
    """(attempt, step) of every line of a ledger."""
    return [(int(a), int(s)) for a, s in map(str.split, file.read_text().splitlines())]
