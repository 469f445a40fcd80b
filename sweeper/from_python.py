"""Sweeps from Python: `from sweeper import run`. Starts one, hands back a handle, and says how it ended.

The driver is a process of its own, in a session of its own: an interrupt of the notebook's kernel stops the
cell that waits and never the sweep, and nothing of Ray is in the notebook's process. It is tied to the
process that began it by a pipe that only this one holds: whenever that ends, also by SIGKILL, the driver
reads the pipe's end, has running trials save and takes its workers along. So nobody is left who holds a GPU
unseen; the same `run` goes on, and what should outlive a notebook is begun in a terminal.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper.exit_reasons import BadSpecification, UsageError, reason

if TYPE_CHECKING:
    from pandas import DataFrame

USUAL = "sqlite:///sweeps.db"
DRIVER = "from sweeper.from_python import driven; driven()"
LOOK = 0.1  # seconds
KEPT = 20  # lines that an error holds


def run(
    spec: Mapping[str, Any] | str | os.PathLike[str],
    *,
    db: str | None = None,
    files: str | os.PathLike[str] | None = None,
    address: str = "local",
    **overrides: Any,
) -> "Sweep":
    """Starts a sweep, or goes on with one, as `python -m sweeper run` does; returns once it is being driven.

        sweep = run("schedules", search__trials=5)
        sweep.wait()

    spec: a YAML file, the name of a shipped specification, or the same as nested dicts (without a `name`:
    sweep). db: the database's URL; by default SWEEPER_DB, else sqlite:///sweeps.db. files: where checkpoints
    go, a folder or a URI. address: of a Ray cluster, HOST:PORT or auto. overrides: over what the spec says,
    `__` for the dot, or as `**{"search.trials": 5}`; name="other" gives the sweep another name.

    Raises SweepEnded, by its class, where the driver ends before it has begun: BadSpecification,
    MachineLacks, ... (docs/python.md). A sweep that has ended already is no error.
    """
    url = db or os.environ.get("SWEEPER_DB") or USUAL
    words = [
        f"{key.replace('__', '.')}={json.dumps(value, default=os.fspath)}" for key, value in overrides.items()
    ]
    words += ["--db", url, "--address", address, *([] if files is None else ["--files", os.fspath(files)])]
    with tempfile.TemporaryDirectory(prefix="sweep-") as scratch:
        file = _file(spec, Path(scratch))
        name = _name(file, words[: len(overrides)])
        sweep = Sweep(name, url, [file, *words])
        try:
            sweep._begun()
        except BaseException:
            sweep.stop()
            raise
    return sweep


class Sweep:
    """A sweep that `run` has started. Reading it reads the store anew, while it runs and afterwards.

    name: the sweep's. db: the database's URL, for `open_store`.
    """

    def __init__(self, name: str, db: str, words: list[str]):
        self.name, self.db = name, db
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # what the driver says; read by place
        self._printed = 0  # bytes of it
        read, self._life = os.pipe()  # not inherited by what is started later
        root = str(Path(__file__).parents[1])  # importable here, so there as well
        path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), root])
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", DRIVER, "run", *words],
                stdin=read,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": path, "NO_COLOR": "1"},
            )
        finally:
            os.close(read)
        threading.Thread(target=self._until_its_end, name=f"sweep-{name}", daemon=True).start()

    @property
    def exit_code(self) -> int | None:
        """As of the command line (docs/python.md); None while it runs."""
        return self._process.poll()

    @property
    def running(self) -> bool:
        return self.exit_code is None

    def wait(self, timeout: float | None = None, *, show: bool = True) -> "Sweep":
        """Until it has ended; prints what happens meanwhile, a line each, unless show is false.

        timeout: seconds. Raises TimeoutError after these, SweepEnded by its class where the exit code is not
        0. An interrupt (Ctrl-C, the kernel's) ends the wait alone: the sweep goes on, and may be waited for
        again.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while self.running:
            if show:
                self._print()
            if until is not None and time.monotonic() > until:
                raise TimeoutError(f"{self!r} after {timeout:g} s")
            time.sleep(LOOK)
        if show:
            self._print()
        self._raise_unless(0)
        return self

    def stop(self) -> None:
        """Has running trials save, and returns once it has ended; `run` goes on from there. Twice: at once.

        As Ctrl-C in a terminal. Of one that has ended already, nothing.
        """
        if self.running:
            self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def board(self) -> "DataFrame":
        """A row for each configuration, as the leaderboard ranks them; a column for each searched value.

        val_ppl: an upper bound on perplexity; nelbo and differences: nats per token; seconds: of a CPU or
        GPU. Raises ImportError where pandas is not installed."""
        from sweeper.results.notebook import open_store

        with open_store(self.db) as store:
            return store.board(self.name)

    def answer(self) -> str:
        """Which row to take, and what that may cost at most: a sentence, or one for each value of
        settle.by."""
        from sweeper.results.notebook import open_store

        with open_store(self.db) as store:
            return store.answer(self.name)

    def status(self) -> dict[str, Any]:
        """As `status --json` says it: state, trials by state, `ended` of `expected`, `seconds_left`,
        driver."""
        from sweeper.cli.opening import summary
        from sweeper.store.queries import Reader

        with closing(Reader(self.db)) as reader:
            found = reader.sweep(self.name)
            if found is None:
                raise ValueError(f"there is no sweep {self.name} in this database")
            return summary(reader, found)

    def lines(self) -> list[str]:
        """All that the driver has said so far."""
        return self._said(0).decode(errors="replace").splitlines()

    def __repr__(self) -> str:
        from sweeper.cli.opening import state_in_words

        try:
            said = state_in_words(self.status())
        except ValueError:  # the store says what it lacks, or that nothing is there yet
            said = "not begun"
        return f"Sweep({self.name!r}: {said})"

    # --- the process --------------------------------------------------------------------------------
    def _begun(self) -> None:
        """Waits until the store says that this process drives the sweep. Raises SweepEnded."""
        from sweeper.store.queries import Reader

        mine = str(self._process.pid)
        while self.running:
            with suppress(ValueError), closing(Reader(self.db)) as reader:  # there may be no store yet
                found = reader.sweep(self.name)
                driver = None if found is None else found.driver(time.time())
                if driver is not None and driver.rpartition(":")[2] == mine:
                    return
            time.sleep(LOOK)
        self._raise_unless(0)

    def _until_its_end(self) -> None:
        """Holds the pipe, whoever lets go of the handle: by its end the driver hears of ours."""
        self._process.wait()
        os.close(self._life)

    def _raise_unless(self, done: int) -> None:
        code = self._process.wait()
        if code != done:
            raise reason(code, self.name, self.lines()[-KEPT:])

    def _said(self, since: int) -> bytes:
        file = self._log.fileno()
        return os.pread(file, max(0, os.fstat(file).st_size - since), since)

    def _print(self) -> None:
        whole = self._said(self._printed)
        whole = whole[: whole.rfind(b"\n") + 1] if self.running else whole
        if whole:
            self._printed += len(whole)
            print(whole.decode(errors="replace"), end="", flush=True)


def _file(spec: Mapping[str, Any] | str | os.PathLike[str], scratch: Path) -> str:
    """What the command line is to read. A mapping becomes a file, a line for each of its keys."""
    if not isinstance(spec, Mapping):
        return os.fspath(spec)
    said = dict(spec)
    if isinstance(other := said.get("extends"), str):
        said["extends"] = str(Path(other).absolute())
    file = scratch / "sweep.yaml"
    lines = (f"{key}: {json.dumps(value, default=os.fspath)}\n" for key, value in said.items())
    file.write_text("".join(lines), encoding="utf-8")
    return str(file)


def _name(file: str, overrides: list[str]) -> str:
    """The sweep's. Whether its text and tokenizer are there is looked at by the driver. Raises SweepEnded."""
    from sweeper.shipped import find
    from sweeper.spec.inputs import Inputs
    from sweeper.spec.load import load_spec
    from sweeper.spec.yaml_source import InvalidSpec

    found, name = find(Path(file)), Path(file).stem
    if found is None:
        raise UsageError(2, name, [f"there is no file {file}, and no specification of that name that ships"])
    try:
        return load_spec(found, overrides, Inputs(offline=True)).name
    except InvalidSpec as error:
        raise BadSpecification(3, name, str(error).splitlines()) from None
    except OSError as error:
        raise UsageError(2, name, [f"{file}: {error.strerror}"]) from None


def driven() -> None:
    """The driver's process: `python -m sweeper`, and SIGTERM once nobody holds the other end of its stdin."""
    from sweeper.__main__ import main

    threading.Thread(target=_terminate_at_its_end, args=(os.dup(0),), name="parent", daemon=True).start()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)  # workers inherit no pipe
    os.close(null)
    main()


def _terminate_at_its_end(pipe: int) -> None:
    while os.read(pipe, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
