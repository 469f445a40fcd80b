"""What commands begin with: a specification, a store, a sweep; or a sentence on stderr and an exit code.

Imported by the command line before anything else, so everything heavy is imported inside.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from sweeper.spec import SweepSpec
    from sweeper.store.queries import Reader
    from sweeper.store.records import SweepRecord

USAGE, BAD_SPEC, LACKS = 2, 3, 7


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def fail(code: int, sentence: str, json: bool, **more: Any) -> NoReturn:
    """One sentence and an exit code; never a traceback."""
    from sweeper.console import print_json

    say(sentence)
    if json:
        print_json({"error": sentence, "exit_code": code, **more})
    raise typer.Exit(code)


def load(path: Path, overrides: list[str], json: bool) -> "SweepSpec":
    from sweeper.spec import load_spec
    from sweeper.yaml_source import InvalidSpec

    for override in overrides:
        if "=" not in override.lstrip("="):
            fail(USAGE, f"{override!r} is no override: key=value, as in search.trials=5", json)
    try:
        return load_spec(path, overrides)
    except InvalidSpec as error:
        problems = [
            {**each.mark._asdict(), "key": each.key, "sentence": each.sentence} for each in error.problems
        ]
        fail(BAD_SPEC, str(error), json, problems=problems)
    except OSError as error:
        fail(USAGE, f"{path}: {error.strerror}", json)


class Opened:
    """A Reader for a `with` block; a store that cannot be read ends the command with a sentence."""

    def __init__(self, url: str, json: bool):
        self._url = url
        self._json = json

    def __enter__(self) -> "Reader":
        from sweeper.store.queries import Reader
        from sweeper.store.store import StoreError

        try:
            self._reader = Reader(self._url)
        except StoreError as error:
            fail(LACKS, str(error), self._json)
        return self._reader

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from sweeper.store.store import StoreError

        self._reader.close()
        if isinstance(error, StoreError):
            fail(LACKS, str(error), self._json)


def sweep_named(reader: "Reader", name: str, json: bool) -> "SweepRecord":
    from sweeper.names import did_you_mean, nearest

    sweep = reader.sweep(name)
    if sweep is None:
        meant = did_you_mean(nearest(name, [each.name for each in reader.sweeps()]))
        fail(USAGE, f"there is no sweep {name} in this database{meant}", json)
    return sweep


def summary(reader: "Reader", sweep: "SweepRecord") -> dict[str, Any]:
    said = sweep._asdict()
    kept = ("id", "name", "state", "note", "created", "ended", "folder", "code_version")
    return {**{key: said[key] for key in kept}, "trials": reader.trial_states(sweep.id)}


def files_beside(url: str, json: bool) -> Path:
    from sweeper.store.engine import StoreError, sqlite_file

    try:
        file = sqlite_file(url)
    except StoreError as error:
        fail(USAGE, str(error), json)
    if file is None:
        fail(
            USAGE,
            "say where checkpoints go, on a disk that all workers see: --files PATH, or SWEEPER_FILES",
            json,
        )
    return file.with_suffix(".files")
