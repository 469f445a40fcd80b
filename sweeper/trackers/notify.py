"""`notify`: who is told that a sweep has ended? A command of the user's, with the facts on its stdin."""

import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from json import dumps
from typing import Any, NamedTuple

from sweeper.results.leaderboard import leaderboard
from sweeper.spec.sections import Notify
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.trackers.base import Say

PATIENCE = 60.0  # seconds
WELL = (0, 6, 130, 143)  # exit codes that are no failure: done, budget spent, interrupted, ended from outside
BAD_SPEC = 3


class Facts(NamedTuple):
    """What is said on stdin. Where nothing could be begun there is no state: the note says why, and what the
    store has of that name belongs to another."""

    sweep: str
    exit_code: int
    state: str | None = None
    note: str = ""
    trials: Mapping[str, int] = {}  # by state
    answered: bool = False
    answer: Mapping[str, Any] = {"text": "", "parts": []}  # in words, and in parts
    first: Mapping[str, Any] | None = None  # row of the board

    def occasions(self) -> set[str]:
        failed = self.exit_code not in WELL or self.trials.get("failed")
        answered = self.answered and self.exit_code == 0
        return {"end", *(["failure"] if failed else []), *(["answer"] if answered else [])}


def notify(asked: Notify, url: str, name: str, code: int, say: Say) -> None:
    """Runs the command where one of its occasions has come. What it does changes no exit code."""
    found = facts(url, name, code)
    come = [each for each in asked.on if each in found.occasions()]
    if come:
        tell(asked.command, {"schema_version": 1, **found._asdict(), "occasions": come}, say)


def facts(url: str, name: str, code: int) -> Facts:
    try:
        with closing(Reader(url)) as reader:
            if code == BAD_SPEC:
                return Facts(name, code, note=f"not begun: {_refused(reader, name)}")
            board = leaderboard(reader, name)
    except StoreError as error:
        return Facts(name, code, note=str(error))
    said = board.to_json()
    return Facts(
        name,
        code,
        board.state,
        board.note,
        board.trials,
        bool(board.answers) and all(each.settled for each in board.answers),
        said["answer"],
        said["rows"][0] if said["rows"] else None,
    )


def _refused(reader: Reader, name: str) -> str:
    if reader.sweep(name):
        return "a sweep of this name is there, and its specification was another"
    if other := reader.sweep_called(name):
        return f"sweep {other.name} goes by this name"
    return "its specification cannot be run"


def tell(command: Sequence[str], document: dict[str, Any], say: Say) -> None:
    text = dumps(document, allow_nan=False)
    try:
        done = subprocess.run(command, input=text, text=True, timeout=PATIENCE)
    except OSError as error:
        say(f"notify: {command[0]} cannot be run: {error.strerror}")
    except ValueError as error:  # words that the system takes for none
        say(f"notify: {command[0]!r} cannot be run: {error}")
    except subprocess.TimeoutExpired:
        say(f"notify: {command[0]} had not ended after {PATIENCE:.0f} s, and was ended")
    else:
        if done.returncode:
            say(f"notify: {command[0]} ended with {done.returncode}")
