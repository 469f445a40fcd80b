"""What has a driver come to, at a glance? For whoever watches it run."""

import time
from collections.abc import Sequence

from sweeper.driver.jobs import Job, StageJob
from sweeper.driver.lease import HeldSweep
from sweeper.driver.progress import Status
from sweeper.driver.spending import Spending
from sweeper.driver.trial_source import TrialSource
from sweeper.driver.trials import Trials
from sweeper.results.progress_estimate import Pace, of_ended, progress_estimate
from sweeper.results.stage_progress import Pretrain
from sweeper.store.records import ENDS, UNFINISHED


class Glance:
    def __init__(self, held: HeldSweep, trials: Trials, slots: int):
        """To be made when the driver has said in the store that it has begun."""
        self._spec, self._trials, self._slots = held.spec, trials, slots
        self._began = time.monotonic()
        ended = sum(trial.state in ENDS for trial in trials.own)
        timed = Pace.of(0.0, held.reader.drivers(held.record.id), trials.own).ended
        self._untimed = ended - timed  # trials that ended when no driver's time was written down

    def status(self, source: TrialSource, spending: Spending, live: Sequence[Job], ended: bool) -> Status:
        """live: what workers do. ended: the sweep has."""
        runs, seconds = self._trials.runs(), time.monotonic() - self._began
        pace = Pace(sum(run.state in ENDS for run in runs) - self._untimed, spending.seconds)
        estimate = progress_estimate(runs, source.planned, source.proposed, pace, seconds)
        leader = self._leader()
        return Status(
            self._spec.name,
            self._trials.counts(),
            of_ended(runs, seconds) if ended else estimate,
            self._spec.metric,
            None if leader is None else self._trials.best[leader],
            None if leader is None else self._trials.called(leader),
            self._slots,
            tuple(
                Pretrain.at(job.key, job.folder, job.values["pretrain.steps"])
                for job in live
                if isinstance(job, StageJob)
            ),
        )

    def _leader(self) -> int | None:
        """The run that is lowest so far; not what was pruned, failed or stopped."""
        ranked = [
            (self._trials.sign * best, trial)
            for trial, best in self._trials.best.items()
            if self._trials.states[trial] in (*UNFINISHED, "complete")
        ]
        return min(ranked)[1] if ranked else None
