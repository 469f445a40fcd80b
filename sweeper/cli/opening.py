"""What commands begin with: a specification, a store, a sweep; or a sentence on stderr and an exit code.

Imported by the command line before anything else, so everything heavy is imported inside.
"""

import gc
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from sweeper.cli.options import DEFAULT_URL, LOUDNESS
from sweeper.words import PRECISION, clock, command, in_precisions

if TYPE_CHECKING:
    from sweeper.spec.environment import Environment
    from sweeper.spec.inputs import Inputs
    from sweeper.spec.spec import SweepSpec
    from sweeper.store.queries import Reader
    from sweeper.store.records import SweepRecord, TrialRecord

NO_SWEEP = "no sweep has been run yet: python -m sweeper run schedules"
USAGE, BAD_SPEC, NOTHING_TO_RANK, LACKS, INTERRUPTED = 2, 3, 5, 7, 130


def tell(text: str) -> None:
    """What must be read, whatever -q says."""
    print(text, file=sys.stderr, flush=True)


def say(text: str) -> None:
    if not LOUDNESS.quiet:
        tell(text)


def fail(code: int, sentence: str, json: bool, **more: Any) -> NoReturn:
    """One sentence and an exit code; never a traceback."""
    from sweeper.terminal.console import print_json

    tell(sentence)
    if json:
        print_json({"error": sentence, "exit_code": code, **more})
    raise typer.Exit(code)


def load(
    path: Path,
    overrides: list[str],
    json: bool,
    inputs: "Inputs | None" = None,
    environment: "Environment | None" = None,
) -> "SweepSpec":
    """As sweeper/spec/load.py's load_spec."""
    from sweeper.spec.load import load_spec
    from sweeper.spec.yaml_source import InvalidSpec

    for override in overrides:
        if "=" not in override.lstrip("="):
            fail(USAGE, f"{override!r} is no override: key=value, as in search.trials=5", json)
    try:
        return load_spec(path, overrides, inputs, environment)
    except InvalidSpec as error:
        problems = [
            {**each.mark._asdict(), "key": each.key, "sentence": each.sentence} for each in error.problems
        ]
        fail(BAD_SPEC, str(error), json, problems=problems)
    except OSError as error:
        fail(USAGE, f"{path}: {error.strerror}", json)


def changed(spec: "SweepSpec", overrides: list[str], json: bool) -> "SweepSpec":
    """With another budget, other resources, or other checkpoints kept: all else would be another sweep."""
    from pydantic import ValidationError

    from sweeper.spec.spec import FREE, SweepSpec
    from sweeper.spec.yaml_source import parse

    document = parse("{}", "the command line")
    for number, override in enumerate(overrides, start=1):
        document.override(override, number)
    if document.problems:
        fail(USAGE, document.problems[0].sentence, json)
    resolved = spec.resolved()
    for key, value in document.values.items():
        if not f"{key}.".startswith(FREE):
            may = ", ".join(each.rstrip(".") for each in FREE)
            fail(USAGE, f"{key} makes it another sweep; what may change is {may}", json)
        section, _, field = key.partition(".")
        resolved[section] = {**(resolved[section] or {}), field: value} if field else value
    try:
        return SweepSpec.from_resolved(resolved, spec.text)
    except ValidationError as error:
        first = error.errors()[0]
        fail(BAD_SPEC, f"{'.'.join(map(str, first['loc']))}: {first['msg']}", json)


def look_at_inputs(configurations: Mapping[int, Mapping[str, Any]], json: bool) -> None:
    """What a sweep's runs read must still be there; or a sentence, before anything is started."""
    from sweeper.spec.inputs import Inputs

    if problems := Inputs().problems_of_stored(configurations.values()):
        fail(LACKS, "; ".join(f"{each.key}: {each.sentence}" for each in problems), json)


@contextmanager
def failing(kind: type[Exception] | tuple[type[Exception], ...], code: int, json: bool) -> Iterator[None]:
    """Such an error ends the command, with its sentence and this exit code."""
    try:
        yield
    except kind as error:
        fail(code, str(error), json)


@contextmanager
def uncollected() -> Iterator[None]:
    """Without a look for garbage, nor a later one at these: of hundreds of thousands of objects all stay, or
    go as soon as nobody needs them."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def reading(url: str, json: bool) -> Iterator[None]:
    """A store that cannot be read, or is damaged, ends the command with a sentence."""
    from sweeper.store.engine import StoreError

    with failing(StoreError, LACKS, json):
        try:
            yield
        except StoreError:
            raise
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            from sweeper.store.probe import damage

            if wrong := damage(url):  # no mistake of the program's: what it has read was never written
                raise StoreError(wrong) from error
            raise


@contextmanager
def opened(url: str, json: bool) -> Iterator["Reader"]:
    from sweeper.store.queries import Reader

    with reading(url, json), closing(Reader(url)) as reader:
        yield reader


@contextmanager
def opened_sweep(
    url: str, name: str | None, json: bool, *, changes: bool = False
) -> Iterator[tuple["Reader", "SweepRecord"]]:
    """name: None where the command names none. changes: whether it changes something of the sweep: then of
    several none is guessed."""
    with opened(url, json) as reader:
        yield reader, _unnamed(reader, json, changes) if name is None else sweep_named(reader, name, json)


def sweep_named(reader: "Reader", name: str, json: bool) -> "SweepRecord":
    from trainer.nearest import did_you_mean, nearest

    sweep = reader.sweep_called(name)
    if sweep is None:
        meant = did_you_mean(nearest(name, [each.called for each in reader.sweeps()]))
        fail(USAGE, f"there is no sweep {name or repr(name)} in this database{meant}", json)
    return sweep


def _unnamed(reader: "Reader", json: bool, changes: bool) -> "SweepRecord":
    """The only sweep; of several the newest, for who only reads; and a line says which."""
    sweeps = reader.sweeps()
    if not sweeps:
        fail(USAGE, NO_SWEEP, json)
    if changes and len(sweeps) > 1:
        names = [each.called for each in sweeps]
        fail(USAGE, f"which sweep? say its name: {', '.join(names)}", json, sweeps=names)
    newest = sweeps[-1]
    say(f"{newest.called}, the {'only sweep' if len(sweeps) == 1 else f'newest of {len(sweeps)} sweeps'}")
    return newest


def trial_of(reader: "Reader", sweep: "SweepRecord", trial: int, json: bool) -> "TrialRecord":
    """trial: as people call it (TrialRecord.called)."""
    from sweeper.store.queries import trial_called

    record = trial_called(reader, sweep.id, trial)
    if record is None:
        fail(USAGE, f"{sweep.name} has no trial {trial}", json)
    return record


def summary(
    reader: "Reader", sweep: "SweepRecord", trials: "Sequence[TrialRecord] | None" = None
) -> dict[str, Any]:
    """A sweep as a JSON object: what it is, its trials by state, who drives it and how far it is.

    trials: its own, where they have been read."""
    from time import time

    from sweeper.results.progress_estimate import stored_progress
    from sweeper.store.notes import tags_of_sweep

    said = sweep._asdict()
    kept = ("id", "name", "state", "note", "created", "ended", "folder", "code_version")
    so_far = stored_progress(reader, sweep, now := time(), trials)
    precision = (sweep.spec.get("trainer") or {}).get(PRECISION)
    return {
        **{key: said[key] for key in kept},
        "display_name": sweep.called,
        "trials": reader.trial_states(sweep.id),
        "precision": precision or in_precisions(reader.precisions(sweep.id)) or None,
        "driver": sweep.driver(now),
        "describe": sweep.spec.get("describe", ""),
        "tags": tags_of_sweep(sweep.spec, reader.notes(sweep.id)),
        "ended": so_far.ended,
        "expected": so_far.total,
        "seconds_left": so_far.seconds_left,
    }


def state_in_words(document: Mapping[str, Any]) -> str:
    """'running on host:17, 3 of 12 ended, about 1:20 to go'. document: as summary makes it."""
    done = f"{document['ended']} of {document['expected']} trials ended"
    left = document["seconds_left"]
    if document["state"] in ("running", "paused") and document["driver"] is None:
        return f"cut off: its driver is gone, {done}"
    if document["state"] == "paused":
        return f"paused, its driver {document['driver']} waits; {done}"
    if document["state"] == "running":
        to_go = "" if left is None else f", about {clock(left)} to go"
        return f"running on {document['driver']}, {done}{to_go}"
    return f"{document['state']}, {done}"


def to_go_on(name: str, db: str) -> str:
    return f"to go on: {command('resume', name, '' if db == DEFAULT_URL else db)}"


@contextmanager
def folder(files: str, json: bool) -> Iterator[str]:
    """Made where it is not there yet, before a sweep is tied to it; gone again where nothing came into it. A
    URI is tried out by the driver."""
    from sweeper.files.remote import InvalidPlace, check, is_remote

    made: list[Path] = []
    try:
        check(files)
        if not is_remote(files):
            path = Path(files).absolute()
            made = [each for each in (path, *path.parents) if not each.exists()]
            path.mkdir(parents=True, exist_ok=True)
    except InvalidPlace as error:
        fail(USAGE, str(error), json)
    except OSError as error:
        fail(LACKS, f"cannot make the folder {files}: {error.strerror}", json)
    try:
        yield files
    finally:
        for each in made:
            with suppress(OSError):
                each.rmdir()


def files_beside(url: str, json: bool) -> str:
    from sweeper.store.engine import StoreError, sqlite_file

    try:
        file = sqlite_file(url)
    except StoreError as error:
        fail(USAGE, str(error), json)
    if file is None:
        fail(
            USAGE,
            "say where checkpoints go, where all workers see them: --files PATH or URI, or SWEEPER_FILES",
            json,
        )
    return str(file.with_suffix(".files"))
