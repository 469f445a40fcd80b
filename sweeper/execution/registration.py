"""Is the sweep in the store, and may this specification go on with it? One that is new is written down."""

import subprocess
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from sweeper.driver.extension import ENDED, extended_to, grown, requested, still_settled, with_trials
from sweeper.driver.search import ENDED_EARLY
from sweeper.files.remote import InvalidPlace, Unsaid, is_remote
from sweeper.files.snapshots import try_out
from sweeper.planning.precision import as_it_had, in_one_precision
from sweeper.search.warm_start import foreign_trials
from sweeper.spec.anchored import anchored
from sweeper.spec.spec import RANK_ERROR, SweepSpec, differences
from sweeper.store.engine import sqlite_file
from sweeper.store.queries import Reader
from sweeper.store.records import ENDS, SweepRecord
from sweeper.store.store import Store
from sweeper.store.writer import Writer
from trainer.config.problems import InvalidConfig, Problem
from trainer.evaluation.sizing import RANKING_ERROR

# Sections, between run and resume.
MAY_CHANGE = ("budget", "keep", "reference", "settle", "notify", "describe", "tags")


class AnotherSpec(ValueError):
    """The sweep of this name was made by another specification; the differences, in lines."""

    def __init__(self, name: str, lines: list[str]):
        super().__init__(f"sweep {name} is there already, and its spec was another:")
        self.lines = [
            str(self),
            *(f"  {line}" for line in lines),
            "undo the change to go on with it, or start another sweep with --as NEWNAME",
        ]


class Registered(NamedTuple):
    spec: SweepSpec  # as it is to be run now
    record: SweepRecord
    changed: Mapping[str, Any]  # sections of the spec that are others now
    grows: bool  # the search is to try more than the store says
    ended: bool  # nothing is left to run
    moved: bool = False  # its files are not where the store says

    def write(self, writer: Writer) -> None:
        """What is another now, for who reads the sweep later. At once: one that is to go on has not ended."""
        with writer.together():
            if self.moved:
                writer.move(self.record.folder)
            for section, now in self.changed.items():
                writer.change_spec(section, now)
            if self.grows:
                writer.extend(self.spec.search.trials)
            if self.record.state in ENDED and not self.ended:
                writer.set_sweep_state("interrupted", extended_to(self.spec) if self.grows else "to go on")


def register(
    spec: SweepSpec, files: Path | str | Unsaid, store: Store, reader: Reader, say: Callable[[str], None]
) -> Registered:
    """Creates the sweep, or finds it where the store has it under this name.

    files: where checkpoints go, of a sweep that is new; of one that is there, where they are now. Raises
    AnotherSpec, InvalidConfig or InvalidPlace.
    """
    record = reader.sweep(spec.name)
    before = record and SweepSpec.from_resolved(record.spec)
    text, spec = spec.text, with_ranking_error(in_one_precision(anchored(spec), before), before)
    place = _absolute(files.folder if isinstance(files, Unsaid) else files)
    try_out(record.folder if record else place)
    if record is None:
        if (other := reader.sweep_called(spec.name)) is not None:
            why = f"sweep {other.name} goes by the name {spec.name}; start this one with --as NEWNAME"
            raise InvalidConfig([Problem("name", why)])
        foreign_trials(spec, reader)  # what is wrong with them is said before anything is written
        record = store.create_sweep(
            name=spec.name,
            spec_text=text,
            spec=spec.resolved(),
            code_version=code_version(),
            folder=place,
        )
    stored = SweepSpec.from_resolved(record.spec)
    spec, growth = grown(still_settled(spec, stored), stored)
    then = anchored(stored).resolved()
    if others := differences(then, with_trials(spec, stored.search.trials).resolved()):
        raise AnotherSpec(spec.name, others)
    if growth:
        say(growth)
    grows = spec.search.trials > stored.search.trials
    changed = _changed(spec, stored)
    goes_on = grows or "settle" in changed or bool(requested(reader.controls(record.id)))
    ended = record.state in ENDED and not goes_on and _has_all(spec, record, reader)
    said = None if isinstance(files, Unsaid) else place
    moved = _moved_since(record, said) if ended else _moved(record, said, reader)
    if moved is not None:
        say(
            f"the files of sweep {record.name} are taken to be in {moved} from now on, not in {record.folder}"
        )
        record = record._replace(folder=moved)
    if before is not None:
        spec = as_it_had(spec, reader.precisions(record.id))
    return Registered(spec, record, changed, grows, ended, moved is not None)


def _moved_since(record: SweepRecord, said: str | None) -> str | None:
    """The same of a sweep that has ended: nobody asks for its files, but it may be said.

    Raises InvalidPlace.
    """
    if said is None or _same(said, record.folder):
        return None
    if not is_remote(record.folder) and not is_remote(said) and _holds(said, record):
        return said
    raise InvalidPlace(
        f"sweep {record.name} has ended, and its files are in {record.folder}, as far as the store knows, "
        f"not in {said}: nothing is left to run, and nothing is put there"
    )


def _moved(record: SweepRecord, said: str | None, reader: Reader) -> str | None:
    """Where the files of a sweep are, if it is not where the store says. said: by whoever starts it.

    Raises InvalidPlace: they are where the store says, and not where it is said that they are; or they are
    not there, and nobody says where they are. Else a driver would begin everything again.
    """
    stored = record.folder
    if said is not None and not _same(said, stored):
        if is_remote(stored) or _holds(stored, record):
            raise InvalidPlace(
                f"the files of sweep {record.name} are in {stored}, not in {said}: go on without --files, "
                "or move them there first"
            )
        return said
    if is_remote(stored) or _holds(stored, record) or not _has_begun(record, reader):
        return None
    file = sqlite_file(reader.url)
    beside = "" if file is None else f" nor below {file.absolute().parent}"
    raise InvalidPlace(
        f"the files of sweep {record.name} are not in {stored}, where the store has them,{beside}: put them "
        "back, or say where they are: --files FOLDER (what is not in it is made again)"
    )


def _has_begun(record: SweepRecord, reader: Reader) -> bool:
    """Whether something was trained in its folder: of a trial, or of a pretrain that no trial has had yet."""
    trials = reader.trials(record.id)
    needed = {trial.stage for trial in trials if trial.stage}
    return any(trial.attempt for trial in trials) or any(
        stage.attempt and Path(stage.folder).is_relative_to(record.folder)
        for stage in reader.stages_behind(needed)
    )


def _holds(folder: str, record: SweepRecord) -> bool:
    """Whether a driver of the sweep has been there."""
    return Path(folder, "trials", str(record.id)).is_dir()


def _same(a: str, b: str) -> bool:
    return a == b if is_remote(a) or is_remote(b) else Path(a).resolve() == Path(b).resolve()


def _absolute(files: Path | str) -> str:
    return str(files) if is_remote(files) else str(Path(files).absolute())


def _has_all(spec: SweepSpec, record: SweepRecord, reader: Reader) -> bool:
    """Whether an ended sweep has run what its spec says: an earlier version may have been killed while it
    wrote that more is wanted, and that it goes on."""
    if record.note.startswith(ENDED_EARLY) or spec.search.strategy.lists:
        return True
    own = [trial for trial in reader.trials(record.id) if trial.repeat_of is None]
    proposed = sum(trial.number is not None for trial in own)
    return proposed >= spec.search.trials and all(trial.state in ENDS for trial in own)


def with_ranking_error(spec: SweepSpec, stored: SweepSpec | None) -> SweepSpec:
    """The error of the evaluations that rank, said in the spec: of a sweep that was made without, none."""
    if RANK_ERROR in spec.trainer:
        return spec
    said = RANKING_ERROR if stored is None else stored.trainer.get(RANK_ERROR)
    return spec if said is None else spec.model_copy(update={"trainer": {**spec.trainer, RANK_ERROR: said}})


def _changed(spec: SweepSpec, stored: SweepSpec) -> dict[str, Any]:
    now, before = spec.resolved(), stored.resolved()
    return {each: now[each] for each in MAY_CHANGE if now[each] != before[each]}


def code_version() -> str:
    """git's name for the commit, else the installed package's version."""
    here = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--tags"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
        )
        if described.returncode == 0 and described.stdout.strip():
            return described.stdout.strip()[:80]
    except (OSError, subprocess.SubprocessError):
        pass
    try:
        return version("bd3lm-sweep")
    except PackageNotFoundError:
        return "unknown"
