"""`notify`: who is told that a sweep has ended? A command of the user's, with the facts on its stdin."""

import subprocess
from collections.abc import Sequence
from json import dumps
from typing import Any

from sweeper.results.leaderboard import leaderboard
from sweeper.spec.sections import Notify
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.trackers.base import Say

PATIENCE = 60.0  # seconds
WELL = (0, 6, 130, 143)  # exit codes that are no failure: done, budget spent, interrupted, ended from outside


def notify(asked: Notify, reader: Reader, name: str, code: int, say: Say) -> None:
    """Runs the command where one of its occasions has come. What it does changes no exit code."""
    try:
        document = facts(reader, name, code)
    except StoreError as error:
        say(f"notify: {error}")
        return
    document["occasions"] = occasions = [each for each in asked.on if each in _occasions(document)]
    if occasions:
        tell(asked.command, document, say)


def facts(reader: Reader, name: str, code: int) -> dict[str, Any]:
    """sweep, state, note, exit_code, trials by state, the answer in words and in parts, the first row."""
    board = leaderboard(reader, name)
    said = board.to_json()
    return {
        "schema_version": 1,
        "sweep": name,
        "state": board.state,
        "note": board.note,
        "exit_code": code,
        "trials": board.trials,
        "answered": all(each.settled for each in board.answers),
        "answer": said["answer"],
        "first": said["rows"][0] if said["rows"] else None,
    }


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


def _occasions(document: dict[str, Any]) -> set[str]:
    failed = document["exit_code"] not in WELL or document["trials"].get("failed")
    return {
        "end",
        *(["failure"] if failed else []),
        *(["answer"] if document["answered"] and document["exit_code"] == 0 else []),
    }
