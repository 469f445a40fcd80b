"""Sends the chatter of Ray and Optuna to a log file, that of their C++ parts included.

The file stays short however long the run is: at `MOST` bytes it becomes FILE.1, in the place of the last.
"""

import logging
import os
import shutil
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MOST = 10_000_000  # bytes
LOOK = 5.0  # seconds between two looks at its size
LOGGERS = ("ray", "optuna", "py.warnings", "filelock")


@contextmanager
def chatter_to(file: Path) -> Iterator[None]:
    """File descriptors 1 and 2 are the log's, while sys.stdout and sys.stderr stay where they were."""
    file.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    before = sys.stdout, sys.stderr
    ends = os.dup(1), os.dup(2)
    log = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    over = threading.Event()
    threading.Thread(target=_keep_short, args=(file, over), name="log", daemon=True).start()
    handler = Log(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    with open(ends[0], "w", buffering=1) as stdout, open(ends[1], "w", buffering=1) as stderr:
        if before[0] is sys.__stdout__:  # else it goes elsewhere already, and not through a descriptor
            sys.stdout = stdout
        if before[1] is sys.__stderr__:
            sys.stderr = stderr
        os.dup2(log, 1)
        os.dup2(log, 2)
        logging.captureWarnings(True)
        root = logging.getLogger()
        kept, root.handlers = root.handlers, [handler]
        for name in LOGGERS:  # ray.init empties Ray's own handlers: the root's is what it leaves alone
            logging.getLogger(name).handlers, logging.getLogger(name).propagate = [], True
        with warnings.catch_warnings():
            try:
                yield
            finally:
                os.dup2(stdout.fileno(), 1)
                os.dup2(stderr.fileno(), 2)
                sys.stdout, sys.stderr = before
                logging.captureWarnings(False)
                root.handlers = kept
                over.set()
                handler.close()
                os.close(log)


class Log(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """A line that cannot be written is lost: the run goes on without."""


def _keep_short(file: Path, over: threading.Event) -> None:
    while not over.wait(LOOK):
        trim(file)


def trim(file: Path, most: int = MOST) -> None:
    """Whoever appends to it goes on doing so; a line that comes just then may be lost."""
    with suppress(OSError):  # it, or the room for a copy, is gone: the run goes on without
        if file.stat().st_size > most:
            shutil.copyfile(file, file.with_name(f"{file.name}.1"))
            os.truncate(file, 0)
