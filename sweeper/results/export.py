"""A sweep's results as files: one table each, in Parquet or CSV; and as a study in a database of Optuna's.

A file is written under another name, and renamed when it is whole; what is there and no file is written to.
An export of a sweep that runs is of the moment at which each table is read."""

import json
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv, parquet

from sweeper.store.queries import Reader
from sweeper.store.records import EventRecord, StageRecord, SweepRecord, TrialRecord
from trainer.disk import written_whole

BATCH = 100  # trials whose metric rows are in memory at a time
ALL = 1 << 40  # events
COLUMNS: dict[Any, pa.DataType] = {int: pa.int64(), float: pa.float64(), str: pa.string()}
METRICS = pa.schema(
    [("trial", pa.int64()), ("name", pa.string()), ("step", pa.int64()), ("value", pa.float64())]
)
WRITERS: dict[str, Any] = {"parquet": parquet.ParquetWriter, "csv": csv.CSVWriter}


def export(reader: Reader, sweep: SweepRecord, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Writes trials, configurations, metrics, events and stages; returns the files.

    formats: of WRITERS. A file of an earlier export is replaced. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trials = reader.trials(sweep.id)
    stages = reader.stages_behind({trial.stage for trial in trials if trial.stage})
    tables = {
        "trials": iter([_records(TrialRecord, trials)]),
        "configurations": iter([_configurations(reader.configurations(sweep.id))]),
        "metrics": _metrics(reader, [trial.id for trial in trials]),
        "events": iter([_records(EventRecord, reader.events(sweep.id, limit=ALL))]),
        "stages": iter([_records(StageRecord, stages)]),
    }
    files: list[Path] = []
    for name, parts in tables.items():
        paths = {format: folder / f"{name}.{format}" for format in formats}
        _write(paths, parts)
        files += paths.values()
    return files


def _write(paths: Mapping[str, Path], parts: Iterator[pa.Table]) -> None:
    """The parts, which have one schema, one after another into each file."""
    first = next(parts)
    with ExitStack() as opened:
        files = {format: opened.enter_context(written_whole(path)) for format, path in paths.items()}
        writers = [
            opened.enter_context(WRITERS[format](str(file), first.schema)) for format, file in files.items()
        ]
        for part in chain([first], parts):
            for writer in writers:
                writer.write_table(part)


def _records(kind: type[Any], records: Sequence[Any]) -> pa.Table:
    """A column for each field; what is neither number nor text is written as JSON."""
    columns, schema = [], []
    for name, hint in typing.get_type_hints(kind).items():
        values = [getattr(record, name) for record in records]
        if (column := COLUMNS.get(_plain(hint))) is None:
            column, values = pa.string(), [json.dumps(value, sort_keys=True) for value in values]
        schema.append((name, column))
        columns.append(pa.array(values, column))
    return pa.table(columns, schema=pa.schema(schema))


def _plain(hint: Any) -> Any:
    """float of `float | None`."""
    if isinstance(hint, types.UnionType):
        return next(each for each in typing.get_args(hint) if each is not type(None))
    return hint


def _configurations(values: Mapping[int, Mapping[str, Any]]) -> pa.Table:
    """A column for each dotted name. One whose values are of several kinds is written as JSON."""
    names = sorted({name for each in values.values() for name in each})
    columns = [pa.array(list(values), pa.int64())]
    columns += [_column([each.get(name) for each in values.values()]) for name in names]
    return pa.table(columns, names=["configuration", *names])


def _column(values: Sequence[Any]) -> pa.Array:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool} or kinds <= {str}:
        return pa.array(values, pa.bool_() if kinds == {bool} else pa.string())
    if kinds <= {int, float}:
        return pa.array(values, pa.int64() if kinds == {int} else pa.float64())
    return pa.array([None if value is None else json.dumps(value) for value in values], pa.string())


def _metrics(reader: Reader, trials: Sequence[int]) -> Iterator[pa.Table]:
    for start in range(0, max(1, len(trials)), BATCH):
        rows = reader.metric_rows(trials[start : start + BATCH])
        columns = list(zip(*rows, strict=True)) or [()] * len(METRICS)
        yield pa.table([pa.array(c, f.type) for c, f in zip(columns, METRICS, strict=True)], schema=METRICS)
