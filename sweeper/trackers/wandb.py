"""Weights & Biases: a run for each trial, in a group of the sweep's name.

Where there is no network, or no key, runs are written to ./wandb, and `wandb sync` sends them. Such a run is
written whole, when its trial has ended: whoever is killed meanwhile leaves one without a mark, which goes.
With a network a run grows while its trial does, and the server is asked how far it is.
"""

import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from sweeper.store.records import MetricRow, SweepRecord
from sweeper.trackers.base import Run, Say, Tracker, TrackerError, by_step
from trainer.disk import written_whole
from trainer.errors import lacks
from trainer.metrics import BY_NAME

MARK = "mirrored.json"  # in the folder of a run that is whole
HERE = "https://api.wandb.ai"
PATIENCE = 3.0  # seconds
GOOD = ("complete", "pruned")  # states of a trial that nothing went wrong with


class Wandb(Tracker):
    word: ClassVar[str] = "wandb"
    place: ClassVar[str] = "PROJECT"

    def __init__(self, project: str, sweep: SweepRecord, offline: bool):
        self._project, self._group = project, sweep.name
        # The same for this sweep alone, wherever and whenever it is mirrored.
        self._id = hashlib.sha256(f"{sweep.name} {sweep.created!r}".encode()).hexdigest()[:10]
        self._folder = Path(os.environ.get("WANDB_DIR", ".")).absolute()
        self.only_whole = offline
        self._open: dict[str, Any] = {}  # runs that grow, by id

    @classmethod
    def open(cls, place: str, sweep: SweepRecord, say: Say) -> Self:
        os.environ.setdefault("WANDB_SILENT", "true")
        try:
            import wandb  # noqa: F401
        except ModuleNotFoundError:
            raise TrackerError(lacks("follow --to wandb:PROJECT", "wandb", "trackers")) from None
        if why := offline():
            say(f"{why}: each trial is written to {os.environ.get('WANDB_DIR', '.')}/wandb when it has ended")
        return cls(place, sweep, bool(why))

    def mirrored(self, run: Run) -> dict[str, int] | None:
        if not self.only_whole:
            next_step = self._begun(run).step  # 0 of a run that is new; the server drops what is below
            return dict.fromkeys(BY_NAME, next_step - 1) if next_step else {}
        return None if self._there(self._id_of(run.name)) == _mark(run) else {}

    def send(self, run: Run, rows: Sequence[MetricRow]) -> None:
        with in_sentences(run.name):
            growing = self._begun(run)
            for step, values in by_step(rows).items():
                growing.log(values, step=step)
            growing.summary.update(run.facts)
            if run.has_ended:
                self._finish(run.name, 0 if run.state in GOOD else 1, _mark(run))

    def conclude(self, answer: str) -> None:
        id, mark = self._id_of("answer"), {"answer": answer}
        if self._there(id) == mark:
            return
        with in_sentences("the answer"):
            self._clear(id)
            self._init("answer", {}, []).summary["answer"] = answer
            self._finish("answer", 0, mark)

    def close(self) -> None:
        for name in list(self._open):
            self._open.pop(name).finish()

    def _begun(self, run: Run) -> Any:
        if run.name not in self._open:
            with in_sentences(run.name):
                self._clear(self._id_of(run.name))
                tags = [each for each in run.facts.get("tags", "").split(", ") if each]
                self._init(run.name, dict(run.values), tags)
        return self._open[run.name]

    def _init(self, name: str, values: dict[str, Any], tags: list[str]) -> Any:
        import wandb

        quiet = wandb.Settings(
            console="off",
            disable_git=True,
            save_code=False,
            silent=True,
            x_disable_stats=True,
            x_disable_meta=True,
        )
        self._open[name] = wandb.init(
            project=self._project,
            group=self._group,
            id=self._id_of(name),
            name=name,
            config=values,
            tags=tags,
            dir=str(self._folder),
            mode="offline" if self.only_whole else "online",
            resume=None if self.only_whole else "allow",
            reinit="create_new",
            settings=quiet,
        )
        return self._open[name]

    def _finish(self, name: str, code: int, mark: dict[str, Any]) -> None:
        self._open.pop(name).finish(exit_code=code)
        for folder in self._folders(self._id_of(name)):
            with written_whole(folder / MARK) as new:
                new.write_text(json.dumps(mark), encoding="utf-8")

    def _id_of(self, name: str) -> str:
        return f"{self._id}-{name}"

    def _folders(self, id: str) -> list[Path]:
        """Of runs that were written here."""
        return sorted((self._folder / "wandb").glob(f"offline-run-*-{id}")) if self.only_whole else []

    def _there(self, id: str) -> dict[str, Any] | None:
        """The mark of a run that is whole."""
        for folder in self._folders(id):
            try:
                return dict(json.loads((folder / MARK).read_text(encoding="utf-8")))
            except (OSError, ValueError):
                continue
        return None

    def _clear(self, id: str) -> None:
        """What was cut off, or is not so any more."""
        for folder in self._folders(id):
            shutil.rmtree(folder)


def _mark(run: Run) -> dict[str, Any]:
    return dict(run.facts)


def offline() -> str:
    """Why nothing can be sent to the server; '' where it can."""
    for name in ("WANDB_MODE", "WANDB_BASE_URL", "WANDB_DIR"):
        if os.environ.get(name) == "":  # to the library an empty one is a mistake
            del os.environ[name]
    if (mode := os.environ.get("WANDB_MODE")) is not None:
        return "" if mode == "online" else f"WANDB_MODE is {mode}"
    server = urlsplit(os.environ.get("WANDB_BASE_URL", HERE))
    try:
        port = server.port or (443 if server.scheme == "https" else 80)
        socket.create_connection((server.hostname or "", port), PATIENCE).close()
    except OSError:
        return f"{server.hostname} cannot be reached"
    import wandb

    return "" if wandb.login(prompt=False) else "Weights & Biases has no key here"


@contextmanager
def in_sentences(what: str) -> Iterator[None]:
    try:
        yield
    except TrackerError:  # has its sentence
        raise
    except Exception as error:  # its service's errors have no class in common
        raise TrackerError(f"Weights & Biases, {what}: {str(error).partition(chr(10))[0]}") from error
