"""Sends the chatter of Ray and Optuna to a log file, that of their C++ parts included."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
    handler = logging.FileHandler(file)
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
                handler.close()
                os.close(log)
