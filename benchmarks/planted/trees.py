"""Copies of the tree; and Python in one, with what it said and what it cost."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.test_architecture import ROOT


class Tree(NamedTuple):
    root: Path
    files: tuple[str, ...]  # those that belong to it; tests leave others behind

    def copy(self, to: Path) -> "Tree":
        for name in self.files:
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.root / name, to / name)
        return Tree(to, self.files)


def this_tree() -> Tree:
    """What git tracks."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return Tree(ROOT, tuple(listed.stdout.split("\0")[:-1]))


class Ran(NamedTuple):
    code: int
    said: str
    cpu_seconds: float  # the process's, and those of the processes that it waited for
    cut: bool  # it was given no more time


def python(words: Sequence[str], tree: Tree, seconds: float) -> Ran:
    """`python WORDS` in the tree: one thread, a cache of its own, and so many seconds at most."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {
        "PYTHONPATH": str(tree.root),
        "TRAINER_CACHE": str(tree.root / ".cache"),
        "OMP_NUM_THREADS": "1",
    }
    late = threading.Event()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(
            [sys.executable, *words], cwd=tree.root, env=environment, stdout=out, stderr=subprocess.STDOUT
        )

        def cut() -> None:
            late.set()
            os.kill(process.pid, signal.SIGKILL)

        timer = threading.Timer(max(0.0, seconds), cut)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)  # of this one alone: others run beside it
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        return Ran(process.returncode, out.read(), usage.ru_utime + usage.ru_stime, late.is_set())
