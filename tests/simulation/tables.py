"""What is in a simulated sweep's database, looked at past the product."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from sweeper.store.records import RETRIED

OTHERS = ("controls", "asks")  # tables that anyone may write to


def tables(file: Path) -> dict[str, list[Any]]:
    """Every row of every table; what anyone may write to aside."""
    with closing(sqlite3.connect(file)) as database:
        found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        names = [row[0] for row in found if row[0] not in OTHERS]
        return {name: sorted(map(repr, database.execute(f"SELECT * FROM {name}"))) for name in names}


def holders(file: Path) -> list[Any]:
    """Of each sweep's lease."""
    return rows(file, "SELECT lease_holder FROM sweeps")


def rows(file: Path, question: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(file)) as database:
        return database.execute(question, values).fetchall()


def said_to_have_ended_twice(file: Path) -> list[int]:
    """Trials; what was said before one was retried does not count."""
    ended = f"""
        SELECT trial FROM events AS said
        WHERE kind IN ('end', 'prune', 'failure') AND trial IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM events AS later
            WHERE later.trial = said.trial AND later.kind = '{RETRIED}' AND later.id > said.id)
        GROUP BY trial HAVING count(*) > 1"""
    return [trial for (trial,) in rows(file, ended)]


def execute(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(statement)


def copy(file: Path, to: Path) -> None:
    """As it is now, what is in its log included."""
    with closing(sqlite3.connect(file)) as now, closing(sqlite3.connect(to)) as older:
        now.backup(older)
