"""How is a sweep mirrored? What has changed in the store since the last look is sent, and nothing else.

What was mirrored before, by a process that has ended or was killed, the tracker knows: it is asked of each
run that may have more.
"""

from collections.abc import Callable
from itertools import starmap

from sweeper.results.leaderboard import leaderboard
from sweeper.store.followed import Followed
from sweeper.store.notes import standing
from sweeper.store.queries import Reader
from sweeper.store.records import MetricRow, SweepRecord, TrialRecord
from sweeper.trackers.base import Run, Tracker

ENDED = ("complete", "failed")  # states of a sweep that runs no more


class Mirror:
    """Of one sweep, into one tracker. Methods raise StoreError and TrackerError."""

    def __init__(self, reader: Reader, sweep: SweepRecord, tracker: Tracker):
        self._reader, self._tracker = reader, tracker
        self._followed = Followed(reader, sweep.name)
        self._steps: dict[int, dict[str, int]] = {}  # the last of each metric that is there, by trial
        self._told: dict[int, Run] = {}  # each as it was at the last look
        self._version: int | None = None  # the store's, at the last look

    @property
    def ended(self) -> bool:
        return self._followed.sweep.state in ENDED

    def look(self) -> list[Run]:
        """Sends what is new; the runs that there was something of."""
        if (version := self._reader.version()) == self._version:
            return []
        changed, now = self._followed.refresh(), self._followed
        if changed is None:  # all may be another's: the store was made anew
            self._told, self._steps = {}, {}
        tags, sent = standing(self._reader.notes(now.sweep.id)), []
        for trial in now.trials.values():
            if not _has_run(trial):
                continue
            run = Run.of(trial, now.values[trial.configuration], tags.get(trial.id, ()))
            due = trial.id in (changed or ()) or run != self._told.get(trial.id)
            if due and (run.has_ended or not self._tracker.only_whole):
                sent += [run] if self._send(trial.id, run) else []
                self._told[trial.id] = run
        self._version = version
        return sent

    def conclude(self) -> str:
        """The answer as it is now: the tracker is told, too."""
        board = leaderboard(self._reader, self._followed.name)
        text = "\n".join(each.text for each in board.answers)
        self._tracker.conclude(text)
        return text

    def _send(self, trial: int, run: Run) -> bool:
        there = self._steps.get(trial)
        if there is None or self._tracker.only_whole:
            there = self._tracker.mirrored(run)
        if there is None:
            return False
        stored = starmap(MetricRow, (row[1:] for row in self._reader.metric_rows([trial])))
        rows = [row for row in stored if row.step > there.get(row.name, -1)]
        if not rows and run == self._told.get(trial):
            return False
        self._tracker.send(run, sorted(rows, key=lambda row: row.step))
        self._steps[trial] = {**there, **{row.name: row.step for row in rows}}  # in order of step, by name
        return True


def follow(mirror: Mirror, rest: Callable[[], None], *, once: bool, told: Callable[[list[Run]], None]) -> str:
    """Until the sweep has ended, or once; the answer. rest: waits between two looks. told: what was sent."""
    told(mirror.look())
    while not (once or mirror.ended):
        rest()
        told(mirror.look())
    return mirror.conclude()


def _has_run(trial: TrialRecord) -> bool:
    """A repeat has no run of its own."""
    return trial.repeat_of is None and trial.attempt > 0
