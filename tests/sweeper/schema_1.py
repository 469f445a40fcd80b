"""The tables of schema 1, frozen as that version made them, and a row in each."""

import json
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, make_url, text

from sweeper.store.engine import sqlite_file

TABLES = """
CREATE TABLE meta (
    "key" VARCHAR(40) NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY ("key")
);

CREATE TABLE stages (
    "key" VARCHAR(16) NOT NULL,
    state VARCHAR(20) NOT NULL,
    attempt INTEGER NOT NULL,
    steps INTEGER NOT NULL,
    "values" JSON NOT NULL,
    folder TEXT NOT NULL,
    error TEXT NOT NULL,
    started FLOAT,
    ended FLOAT,
    cpu_seconds FLOAT NOT NULL,
    gpu_seconds FLOAT NOT NULL,
    PRIMARY KEY ("key")
);

CREATE TABLE sweeps (
    id {own} NOT NULL,
    name VARCHAR(200) NOT NULL,
    spec_text TEXT NOT NULL,
    spec JSON NOT NULL,
    code_version VARCHAR(80) NOT NULL,
    folder TEXT NOT NULL,
    state VARCHAR(20) NOT NULL,
    note TEXT NOT NULL,
    created FLOAT NOT NULL,
    ended FLOAT,
    lease_holder VARCHAR(80),
    lease_until FLOAT,
    PRIMARY KEY (id),
    UNIQUE (name)
);

CREATE TABLE configurations (
    id {own} NOT NULL,
    sweep {id} NOT NULL,
    hash VARCHAR(16) NOT NULL,
    "values" JSON NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (sweep, hash),
    FOREIGN KEY(sweep) REFERENCES sweeps (id)
);

CREATE TABLE trials (
    id {own} NOT NULL,
    sweep {id} NOT NULL,
    configuration {id} NOT NULL,
    role VARCHAR(20) NOT NULL,
    number INTEGER,
    seed INTEGER NOT NULL,
    repeat_of {id},
    state VARCHAR(20) NOT NULL,
    attempt INTEGER NOT NULL,
    stage VARCHAR(16),
    steps INTEGER NOT NULL,
    params JSON NOT NULL,
    distributions JSON NOT NULL,
    system_attrs JSON NOT NULL,
    error TEXT NOT NULL,
    reason TEXT NOT NULL,
    worker VARCHAR(200) NOT NULL,
    created FLOAT NOT NULL,
    started FLOAT,
    ended FLOAT,
    cpu_seconds FLOAT NOT NULL,
    gpu_seconds FLOAT NOT NULL,
    tokens BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (sweep, number),
    FOREIGN KEY(sweep) REFERENCES sweeps (id),
    FOREIGN KEY(configuration) REFERENCES configurations (id),
    FOREIGN KEY(repeat_of) REFERENCES trials (id)
);

CREATE INDEX trials_by_state ON trials (sweep, state);

CREATE TABLE controls (
    id {own} NOT NULL,
    time FLOAT NOT NULL,
    sweep {id} NOT NULL,
    trial {id},
    verb VARCHAR(20) NOT NULL,
    done FLOAT,
    PRIMARY KEY (id),
    FOREIGN KEY(sweep) REFERENCES sweeps (id),
    FOREIGN KEY(trial) REFERENCES trials (id)
);

CREATE TABLE evaluations (
    trial {id} NOT NULL,
    split VARCHAR(10) NOT NULL,
    step INTEGER NOT NULL,
    nelbo FLOAT NOT NULL,
    se FLOAT NOT NULL,
    identity JSON NOT NULL,
    provenance JSON NOT NULL,
    nats JSON NOT NULL,
    tokens JSON NOT NULL,
    PRIMARY KEY (trial, split),
    FOREIGN KEY(trial) REFERENCES trials (id)
);

CREATE TABLE events (
    id {own} NOT NULL,
    time FLOAT NOT NULL,
    sweep {id} NOT NULL,
    trial {id},
    kind VARCHAR(40) NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(sweep) REFERENCES sweeps (id),
    FOREIGN KEY(trial) REFERENCES trials (id)
);

CREATE INDEX ix_events_sweep ON events (sweep);

CREATE TABLE latest (
    trial {id} NOT NULL,
    name VARCHAR(60) NOT NULL,
    step INTEGER NOT NULL,
    value FLOAT NOT NULL,
    best FLOAT NOT NULL,
    best_step INTEGER NOT NULL,
    PRIMARY KEY (trial, name),
    FOREIGN KEY(trial) REFERENCES trials (id)
)
 {rowless};

CREATE TABLE metrics (
    trial {id} NOT NULL,
    name VARCHAR(60) NOT NULL,
    step INTEGER NOT NULL,
    value FLOAT NOT NULL,
    PRIMARY KEY (trial, name, step),
    FOREIGN KEY(trial) REFERENCES trials (id)
)
 {rowless};
"""

# Stores that were begun before there was learning from other sweeps had no such table.
FOREIGN_TRIALS = """
CREATE TABLE foreign_trials (
    sweep {id} NOT NULL,
    place INTEGER NOT NULL,
    source VARCHAR(200) NOT NULL,
    trial {id} NOT NULL,
    params JSON NOT NULL,
    "values" JSON NOT NULL,
    PRIMARY KEY (sweep, place),
    FOREIGN KEY(sweep) REFERENCES sweeps (id)
);
"""

NUMBERS = {
    "sqlite": {"own": "INTEGER", "id": "INTEGER", "rowless": "WITHOUT ROWID"},
    "postgresql": {"own": "BIGSERIAL", "id": "BIGINT", "rowless": ""},
}

_TRIAL = {"sweep": 1, "configuration": 1, "attempt": 1, "steps": 20, "params": {"a": 0.5}}
_TRIAL |= {
    "distributions": {"a": "{}"},
    "system_attrs": {"rung": 1.0},
    "error": "",
    "reason": "",
    "worker": "h:1",
}
_TRIAL |= {
    "worker": "h:1",
    "created": 1.5,
    "started": 2.5,
    "cpu_seconds": 3.25,
    "gpu_seconds": 0.5,
    "tokens": 9,
}
_SPEC = {"name": "first", "metric": "val_ppl", "always": [], "search": {"trials": 3}}
ROWS: dict[str, list[dict[str, Any]]] = {
    "meta": [{"key": "schema_version", "value": "1"}],
    "stages": [
        {"key": "5a", "state": "complete", "attempt": 2, "steps": 10, "values": {"seed": 0}, "folder": "s/5a"}
        | {"error": "", "started": 1.0, "ended": 2.0, "cpu_seconds": 1.0, "gpu_seconds": 0.0}
    ],
    "sweeps": [
        {"name": "first", "spec_text": "name: first\n", "spec": _SPEC, "code_version": "1", "folder": "f"}
        | {"state": "interrupted", "note": "by hand", "created": 1.0, "ended": 9.0}
        | {"lease_holder": "host:1", "lease_until": 61.0}
    ],
    "configurations": [{"sweep": 1, "hash": "c0ffee", "values": {"finetune.schedule.mu": 0.25, "deep": [1]}}],
    "trials": [
        {
            **_TRIAL,
            "role": "search",
            "number": 0,
            "seed": 0,
            "state": "complete",
            "stage": "5a",
            "ended": 4.0,
        },
        {**_TRIAL, "role": "search", "number": 1, "seed": 0, "state": "complete", "repeat_of": 1},
        {**_TRIAL, "role": "baseline", "seed": 1, "state": "queued"},
    ],
    "controls": [{"time": 1.0, "sweep": 1, "trial": 1, "verb": "stop", "done": 2.0}],
    "evaluations": [
        {"trial": 1, "split": "valid", "step": 20, "nelbo": 5.25, "se": 0.125, "identity": {"text": "t"}}
        | {"provenance": {"draws": 4}, "nats": [1.5, 2.5], "tokens": [3, 5]}
    ],
    "events": [{"time": 1.0, "sweep": 1, "trial": 1, "kind": "start", "text": "trial 1 started"}],
    "latest": [{"trial": 1, "name": "val_ppl", "step": 20, "value": 9.5, "best": 8.5, "best_step": 10}],
    "metrics": [
        {"trial": 1, "name": "val_ppl", "step": 10, "value": 8.5},
        {"trial": 1, "name": "val_ppl", "step": 20, "value": 9.5},
    ],
}
FOREIGN_ROW = {"sweep": 1, "place": 0, "source": "other", "trial": 7, "params": {"a": 1}, "values": [8.0]}


def make(url: str, *, foreign: bool) -> dict[str, list[dict[str, Any]]]:
    """Writes a store of schema 1; returns its rows. foreign: with the table that came within that version."""
    rows = {**ROWS, "foreign_trials": [FOREIGN_ROW]} if foreign else dict(ROWS)
    if file := sqlite_file(url):
        file.parent.mkdir(exist_ok=True)
    engine = create_engine(make_url(url))
    with engine.begin() as connection:
        tables = (TABLES + FOREIGN_TRIALS if foreign else TABLES).format(**NUMBERS[engine.dialect.name])
        for statement in filter(str.strip, tables.split(";")):
            connection.execute(text(statement))
        for table, values in rows.items():
            for row in values:
                _insert(connection, table, row)
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    engine.dispose()
    return rows


def _insert(connection: Connection, table: str, row: dict[str, Any]) -> None:
    columns, places = ", ".join(f'"{name}"' for name in row), ", ".join(f":{name}" for name in row)
    given = {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in row.items()}
    connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({places})"), given)


def content(engine: Engine, table: str) -> list[dict[str, Any]]:
    """Its rows in the order of their first column, what is not there left out, JSON read."""
    with engine.connect() as connection:
        rows = connection.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2"))
        return [{k: _read(v) for k, v in row._mapping.items() if v is not None and k != "id"} for row in rows]


def _read(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value[:1] in "{[" and value else value
