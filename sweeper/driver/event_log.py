"""What has happened? It is said twice: in the store, for later, and to whoever started the sweep."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sweeper.driver.failures import Again
from sweeper.driver.jobs import Job, ScoringJob, StageJob, TrialJob
from sweeper.driver.lease import HeldSweep
from sweeper.driver.progress import Progress, Status
from sweeper.driver.trials import Trials
from sweeper.results.progress_estimate import (
    Pace,
    Planned,
    Pretrain,
    ended_of,
    of_ended,
    progress_estimate,
)
from sweeper.results.race_plan import UNSCORED
from sweeper.search.proposals import UNFINISHED
from sweeper.store.records import ENDS, RETRIED, TrialRecord
from sweeper.store.writer import Writer

KINDS = {
    "complete": "end",
    "pruned": "prune",
    "stopped": "end",
    "failed": "failure",
    "lost": "failure",
    "paused": "pause",
}
PROGRESS = "progress"


class EventLog:
    """The store knows a trial by its id; who reads, by the number that it is called by."""

    def __init__(self, writer: Writer, progress: Progress, called: Callable[[int], int]):
        self._writer, self._progress, self._called = writer, progress, called

    def started(self, trial: int | None, text: str) -> None:
        self._writer.add_event("start", text, trial)
        self._progress.started(self._name(trial), text)

    def ended(self, trial: int | None, state: str, text: str) -> None:
        """paused: until someone says so."""
        self._writer.add_event(KINDS[state], text, trial)
        self._progress.ended(self._name(trial), state, text)

    def again(self, job: Job, failure: Again) -> None:
        """It is to be run again."""
        trial = job.trial if isinstance(job, TrialJob) else None
        if isinstance(job, ScoringJob):  # it has no checkpoints of its own
            said = f"{failure.said('').partition(';')[0]}; it is begun again"
        else:
            said = failure.said(job.beginning)
        text = f"{job.name} {said}"
        self._writer.add_event(failure.kind, text, trial)
        self._progress.ended(self._name(trial), "queued", text)

    def note(self, kind: str, text: str) -> None:
        self.record(kind, text)
        self._progress.note(text)

    def record(self, kind: str, text: str, trial: int | None = None) -> None:
        """For later alone."""
        self._writer.add_event(kind, text, trial)

    def _name(self, trial: int | None) -> int | None:
        return None if trial is None else self._called(trial)

    # --- in words -----------------------------------------------------------------------------
    def resumed(self, own: Sequence[TrialRecord]) -> None:
        """own: the sweep's trials as the last driver left them, repeats left out."""
        if not own:
            return
        cut_off = [str(trial.called) for trial in own if trial.state == "running"]
        if cut_off:
            self.record("kill", f"the last driver went away while trial {', '.join(cut_off)} ran")
        ended = sum(trial.state not in UNFINISHED for trial in own)
        self.note("resume", f"resumed: {ended} trials have ended, {len(own) - ended} go on")

    def stage_started(self, job: StageJob) -> None:
        steps = job.values["pretrain.steps"]
        behind = f", from the end of a shorter one, step {job.begun}" if job.parent else ""
        self.started(None, f"{job.name} started: attempt {job.attempt}, {steps} steps{behind}")

    def trial_started(self, job: TrialJob, record: TrialRecord, *, goes_on: bool) -> None:
        """goes_on: there is a checkpoint."""
        what = ", ".join(f"{name}={_short(value)}" for name, value in record.params.items()) or "defaults"
        text = f"{job.name} started ({record.role}, seed {record.seed}): {what}"
        if job.attempt > 1 and goes_on:
            text = f"{job.name} goes on from its last checkpoint: attempt {job.attempt}"
        elif job.attempt > 1:
            text = f"{job.name} begins again from {job.beginning}, for it has no checkpoint: "
            text += f"attempt {job.attempt}"
        self.started(job.trial, text)

    def came_further(self, job: TrialJob) -> None:
        self.record(
            PROGRESS, f"{job.name} has come further than ever: what happened before counts no more", job.trial
        )

    def scored(self, job: ScoringJob, nelbo: float) -> None:
        self.note("score", f"{job.name}: {nelbo:.5f} nats per token")

    def unscored(self, job: ScoringJob, error: str) -> None:
        text = f"{job.name} failed: {_last_line(error)}"
        self._writer.add_event(UNSCORED, text, job.trial)
        self._progress.note(text)

    def paused(self, trial: int) -> None:
        self.ended(trial, "paused", f"trial {self._called(trial)} is paused")

    def sweep_paused(self, paused: bool, sweep: str) -> None:
        said = "paused: what runs saves and stops; the driver waits to be told to resume or stop"
        with self._writer.together():
            self._writer.set_sweep_state("paused" if paused else "running")
            self.note("pause", said if paused else f"{sweep} goes on")

    def only_paused_left(self, trials: Sequence[int], sweep: str) -> None:
        """Nothing else is left to do."""
        them = "trial" if len(trials) == 1 else "trials"
        numbers = ", ".join(str(self._called(trial)) for trial in trials)
        self.note("pause", f"only what is paused is left, {them} {numbers}: resume or stop {sweep}, or them")

    def sweep_ended(self, counts: Mapping[str, int], search_over: str | None) -> None:
        """counts: of its trials, by state. search_over: why its search came to no planned end."""
        note = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "no trials"
        self.record("end", f"the sweep has ended: {note}")
        self._writer.set_sweep_state("complete" if counts.get("complete") else "failed", search_over or note)

    def trial_ended(
        self, trial: int, state: str, metric: str, best: float | None, ranked: float | None, why: str
    ) -> None:
        """best: of the metric, if there is one. ranked: what it is ranked by, where that was measured again
        under more masks. why: an error, or the reason."""
        value = f", {metric} {best:.6g}" if best is not None else ""
        if ranked is not None and ranked != best:
            value += (
                f" (ranked by {ranked:.6g}: its best checkpoint under the masks of evaluation.rank_error)"
            )
        self.ended(
            trial, state, f"trial {self._called(trial)} {state}{value}{f': {_last_line(why)}' if why else ''}"
        )

    def handed_back(self, trial: int, why: str) -> None:
        """What was just said of its end is not its end."""
        self.record(RETRIED, f"{why}; it is handed back", trial)

    def stage_ended(self, job: StageJob, state: str, error: str = "") -> None:
        self.ended(None, state, f"{job.name} {state}{f': {_last_line(error)}' if error else ''}")


class Live(NamedTuple):
    jobs: Sequence[Job]
    steps: Mapping[str, int]  # of pretrains, by key: the last that was reported


class Glance:
    """What a driver has come to, for whoever watches it."""

    def __init__(self, held: HeldSweep, trials: Trials, slots: int, clock: Callable[[], float]):
        """To be made when the driver has said in the store that it has begun. clock: seconds, steady."""
        self._spec, self._trials, self._slots = held.spec, trials, slots
        self._clock, self._began = clock, clock()
        ended = sum(trial.state in ENDS for trial in trials.own)
        timed = Pace.of(0.0, held.reader.drivers(held.record.id), trials.own).ended
        self._untimed = ended - timed  # trials that ended when no driver's time was written down

    def status(self, planned: Planned, proposed: int | None, spent: float, live: Live, ended: bool) -> Status:
        """planned, proposed: as in progress_estimate. spent: seconds, of all drivers. live: what workers do.
        ended: the sweep has."""
        runs, seconds = self._trials.runs(), self._clock() - self._began
        pace = Pace(ended_of(runs) - self._untimed, spent)
        estimate = progress_estimate(runs, planned, proposed, pace, seconds)
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
                Pretrain.at(job.key, job.folder, job.values["pretrain.steps"], live.steps.get(job.key))
                for job in live.jobs
                if isinstance(job, StageJob)
            ),
        )

    def _leader(self) -> int | None:
        """The run that is lowest so far; not what was pruned, failed or stopped."""
        states, sign, ranks = self._trials.states, self._trials.sign, {*UNFINISHED, "complete"}
        ranked = [(sign * best, trial) for trial, best in self._trials.best.items() if states[trial] in ranks]
        return min(ranked)[1] if ranked else None


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else ""
