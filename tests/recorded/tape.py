"""A trainer that plays what was recorded; and one that notes what the simulation's trainer says.

What a run says is known by its folder, which its trial's id names."""

import json
import lzma
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from sweeper.spec.load import read_spec
from sweeper.store.queries import Reader
from tests.recorded.specs import BEFORE, SWEEPS
from tests.simulation import trainer
from tests.simulation.world import World
from tests.sweeper.driving import drive, opened, told
from trainer.config.train_config import TrainConfig
from trainer.evaluation.record import Evaluation, Report

KEPT = Path(__file__).parent / "kept"
Said = dict[str, list[dict[str, Any]]]  # by run: its reports


class Recording(NamedTuple):
    said: Said
    events: list[list[Any]]  # kind, text, trial
    tables: dict[str, Any]  # as told() tells them


class Tape:
    """said: what is played; None where it is to be noted."""

    def __init__(self, said: Said | None = None):
        self.played, self.noted = said, Said()

    def run(self, name: str, live: Iterator[Report | None]) -> Iterator[Report | None]:
        if self.played is None:
            for report in live:
                if report is not None:
                    self.noted.setdefault(name, []).append(_as_json(report))
                yield report
            return
        if name not in self.played:
            raise AssertionError(f"{name} was not run when this sweep was recorded")
        yield from map(_from_json, self.played[name])


tape = Tape()  # of the sweep that is driven now


def train(config: TrainConfig, folder: Path, **options: Any) -> Iterator[Report | None]:
    return tape.run(f"trial {folder.name}", trainer.train(config, folder, **options))


def pretrain(config: TrainConfig, folder: Path, **options: Any) -> Iterator[Report | None]:
    """Its reports are nobody's: trained by the simulation's trainer, always."""
    return trainer.pretrain(config, folder, **options)


def score(folder: Path, *, round: int = 0, **options: Any) -> Iterator[Report | None]:
    return tape.run(f"score {folder.name} {round}", trainer.score(folder, round=round, **options))


def driven(name: str, place: Path, recordings: dict[str, Recording] | None = None) -> Recording:
    """The sweep from its beginning to its end, in a folder of its own: as recorded, or to be."""
    global tape
    trainer.world = World(0, place)
    url = f"sqlite:///{place}/sweeps.db"
    for each in (*((BEFORE[name],) if name in BEFORE else ()), name):
        tape = Tape(recordings[each].said if recordings else None)
        spec = read_spec(f"name: {each}\n{SWEEPS[each]}", f"{each}.yaml", each, ())
        with opened(url, spec, place / "files") as driver:
            drive(driver, train="tests.recorded.tape")
    shutil.rmtree(place / "files")
    with closing(Reader(url)) as reader:
        record = reader.sweep(name)
        assert record is not None
        events = [[each.kind, each.text, each.trial] for each in reader.events(record.id, limit=100_000)]
    return Recording(tape.noted, events, json.loads(json.dumps(told(url, name))))


def read(name: str) -> Recording:
    return Recording(**json.loads(lzma.decompress((KEPT / f"{name}.json.xz").read_bytes())))


def write(name: str, recording: Recording) -> None:
    text = json.dumps(recording._asdict(), sort_keys=True, separators=(",", ":"))
    (KEPT / f"{name}.json.xz").write_bytes(lzma.compress(text.encode(), preset=9))


def _as_json(report: Report) -> dict[str, Any]:
    return {**report._asdict(), "evaluations": [each.as_json() for each in report.evaluations]}


def _from_json(said: dict[str, Any]) -> Report:
    return Report(**{**said, "evaluations": tuple(Evaluation(**each) for each in said["evaluations"])})
