"""TensorBoard: a folder of event files for each trial. What was mirrored is read back from these files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from sweeper.store.records import MetricRow, SweepRecord
from sweeper.trackers.base import Run, Say, Tracker, TrackerError, by_step, moments, text_of
from trainer.disk import written_whole
from trainer.errors import lacks

WHOSE = "sweep.json"  # in the sweep's folder: whose it is
ANSWER = "answer"
GOOD = ("complete", "pruned")  # states of a trial that nothing went wrong with


class TensorBoard(Tracker):
    """DIR/SWEEP/trial-7/: the metrics by step, the values as hyperparameters, what may change as text.

    DIR/SWEEP/answer/: the answer. A process that goes on begins a new file beside the last one.
    """

    word: ClassVar[str] = "tensorboard"
    place: ClassVar[str] = "DIR"

    def __init__(self, folder: Path):
        self._folder = folder
        self._files: dict[str, Any] = {}  # that are open, by run
        self._there: dict[str, _There] = {}

    @classmethod
    def open(cls, place: str, sweep: SweepRecord, say: Say) -> Self:
        try:
            import tensorboard  # noqa: F401
        except ModuleNotFoundError:
            raise TrackerError(lacks("follow --to tensorboard:DIR", "tensorboard", "trackers")) from None
        folder = Path(place, sweep.name)
        mine = {"name": sweep.name, "created": sweep.created}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if (whose := folder / WHOSE).exists():
                if json.loads(whose.read_text(encoding="utf-8")) != mine:
                    raise TrackerError(f"{folder} is another sweep's of that name: say another folder")
            elif any(folder.iterdir()):
                raise TrackerError(
                    f"{folder} is there, and no sweep was mirrored into it: say another folder"
                )
            else:
                with written_whole(whose) as new:
                    new.write_text(json.dumps(mine), encoding="utf-8")
        except (OSError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or error
            raise TrackerError(f"{folder} cannot be used: {why}") from None
        return cls(folder)

    def mirrored(self, run: Run) -> dict[str, int] | None:
        there = self._of(run.name)
        return None if run.has_ended and there.texts == run.facts else there.steps

    def send(self, run: Run, rows: Sequence[MetricRow]) -> None:
        there, steps = self._of(run.name), by_step(rows)
        when = moments(run, steps)
        if not there.begun:
            self._write(run.name, run.started, [_begin(run)])
            there.begun = True
        for step, values in steps.items():
            scalars = [_scalar(name, value) for name, value in values.items()]
            self._write(run.name, when[step], scalars, step)
        facts = {**dict.fromkeys(there.texts, ""), **run.facts}  # what is so no longer is nothing
        new = {name: text for name, text in facts.items() if there.texts.get(name) != text}
        last = max([0, *there.steps.values(), *steps])
        now = run.ended or max(when.values(), default=run.started)
        self._write(run.name, now, [_text(name, text) for name, text in new.items()], last)
        if "state" in new and run.has_ended:
            self._write(run.name, now, [_end(run, now)])
        there.texts = dict(run.facts)
        for row in rows:
            there.steps[row.name] = max(row.step, there.steps.get(row.name, row.step))
        self._flush(run.name)
        if run.has_ended and run.name in self._files:
            self._files.pop(run.name).close()

    def conclude(self, answer: str) -> None:
        there = self._of(ANSWER)
        if there.texts.get(ANSWER) != answer:
            self._write(ANSWER, 0.0, [_text(ANSWER, answer)])
            self._flush(ANSWER)
            there.texts[ANSWER] = answer

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _of(self, run: str) -> "_There":
        if run not in self._there:
            self._there[run] = _read(self._folder / run)
        return self._there[run]

    def _write(self, run: str, time: float, values: list[Any], step: int = 0) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        if not values:
            return
        try:
            if run not in self._files:
                self._files[run] = EventFileWriter(str(self._folder / run))
            self._files[run].add_event(Event(wall_time=time, step=step, summary=Summary(value=values)))
        except OSError as error:
            raise TrackerError(f"{self._folder / run} cannot be written: {error.strerror}") from None

    def _flush(self, run: str) -> None:
        try:
            if run in self._files:
                self._files[run].flush()
        except OSError as error:
            raise TrackerError(f"{self._folder / run} cannot be written: {error.strerror}") from None


class _There:
    """What a run's files hold."""

    def __init__(self) -> None:
        self.begun = False  # its values are there
        self.steps: dict[str, int] = {}  # the last, by metric
        self.texts: dict[str, str] = {}  # the last, by name


def _read(folder: Path) -> _There:
    """Up to where the last process that wrote was cut off."""
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG

    there = _There()
    for file in sorted(folder.glob("events.out.tfevents.*"), key=lambda each: each.stat().st_mtime_ns):
        for record in RawEventFileLoader(str(file)).Load():
            event = Event.FromString(record)
            for value in event.summary.value:
                if value.tag == SESSION_START_INFO_TAG:
                    there.begun = True
                elif value.HasField("simple_value"):
                    there.steps[value.tag] = max(event.step, there.steps.get(value.tag, event.step))
                elif value.tensor.string_val:
                    there.texts[value.tag] = value.tensor.string_val[0].decode()
    there.texts = {name: text for name, text in there.texts.items() if text}
    return there


def _scalar(name: str, value: float) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary.Value(tag=name, simple_value=value)


def _text(name: str, text: str) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING
    from tensorboard.plugins.text.metadata import create_summary_metadata

    tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()])
    return Summary.Value(tag=name, tensor=tensor, metadata=create_summary_metadata(name, ""))


def _begin(run: Run) -> Any:
    """Its values, as hyperparameters."""
    from tensorboard.plugins.hparams import plugin_data_pb2 as protos
    from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG

    info = protos.SessionStartInfo(group_name=run.name, start_time_secs=int(run.started))
    for name, value in run.values.items():
        if isinstance(value, bool):
            info.hparams[name].bool_value = value
        elif isinstance(value, int | float):
            info.hparams[name].number_value = value
        else:
            info.hparams[name].string_value = text_of(value)
    return _hparams(SESSION_START_INFO_TAG, protos.HParamsPluginData(session_start_info=info))


def _end(run: Run, now: float) -> Any:
    from tensorboard.plugins.hparams import api_pb2
    from tensorboard.plugins.hparams import plugin_data_pb2 as protos
    from tensorboard.plugins.hparams.metadata import SESSION_END_INFO_TAG

    status = api_pb2.STATUS_SUCCESS if run.state in GOOD else api_pb2.STATUS_FAILURE
    info = protos.SessionEndInfo(status=status, end_time_secs=int(now))
    return _hparams(SESSION_END_INFO_TAG, protos.HParamsPluginData(session_end_info=info))


def _hparams(tag: str, data: Any) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams.metadata import NULL_TENSOR, create_summary_metadata

    return Summary.Value(tag=tag, metadata=create_summary_metadata(data), tensor=NULL_TENSOR)
