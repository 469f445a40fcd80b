"""Driver processes for tests: started, watched and ended as a user or a failing machine would."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0  # seconds: a start of Ray takes 5 on an idle machine


class Work(NamedTuple):
    """Where a sweep and its traces are."""

    place: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.place}/sweeps.db"

    @property
    def files(self) -> Path:
        return self.place / "files"

    def start(self, text: str, *overrides: str, seconds: float = 0.0) -> "subprocess.Popen[str]":
        """seconds: of a training step."""
        spec = self.place / "spec.yaml"
        spec.write_text(text)
        return subprocess.Popen(
            [sys.executable, "-m", "tests.sweeper.drive", self.url, str(self.files), str(spec), *overrides],
            cwd=ROOT,
            env={**os.environ, "FAKE_SECONDS": str(seconds), "FAKE_PIDS": str(self.place / "pids")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def spells(self) -> list[tuple[float, int, str, str]]:
        """(time, pid, begin or end, folder's name), as the fake trainer wrote them."""
        file = self.place / "pids"
        lines = file.read_text().splitlines() if file.is_file() else []
        return [(float(t), int(pid), what, name) for t, pid, what, name in map(str.split, lines)]

    def steps(self) -> int:
        """Trained so far, over all trials, repeated ones counted."""
        ledgers = self.files.glob("trials/*/*/ledger.txt")
        return sum(len(ledger.read_text().splitlines()) for ledger in ledgers)


def wait_for(condition: Callable[[], bool], driver: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert driver.poll() is None, f"the driver ended early:\n{driver.communicate()[0]}"
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def end_of(driver: "subprocess.Popen[str]") -> tuple[int, str]:
    """The exit code, and what it printed."""
    try:
        output, _ = driver.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        driver.kill()
        raise
    return driver.returncode, output


def kill(driver: "subprocess.Popen[str]") -> None:
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
