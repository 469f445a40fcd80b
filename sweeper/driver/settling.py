"""The race after the search: runs on fresh seeds, whose best checkpoints are scored under each round's masks.

Who runs is asked of the store alone (sweeper/results/race_plan.py); what is held here is a copy. A run that
is there already on a round's seed, a baseline's or a confirmation's, is scored and not trained again.
"""

from collections.abc import Sequence

from sweeper.driver.event_log import EventLog
from sweeper.driver.jobs import ScoringJob
from sweeper.driver.lease import HeldSweep
from sweeper.driver.trials import Trials
from sweeper.files.remote import within
from sweeper.results.race_plan import UNSCORED, Place, RacePlan, race_plan
from sweeper.results.race_record import Contest
from sweeper.spec.sections import Settle
from sweeper.spec.spec import RANK_ERROR, SweepSpec
from sweeper.store.records import UNFINISHED, TrialRecord
from trainer.evaluation.sizing import RANKING_ERROR

KIND = "settle"  # of the events that tell of it


class Settling:
    def __init__(self, held: HeldSweep, trials: Trials, events: EventLog):
        self._held, self._trials, self._events = held, trials, events
        self._wanted: list[Place] = []  # of the round that runs: what has not been handed out to be scored
        self._runs: dict[tuple[int, int], list[TrialRecord]] = {}  # by configuration and seed

    def due(self, spec: SweepSpec) -> list[int]:
        """To be asked for when nothing else is left to run: the trials to be queued, which are added.

        What they come to, and what is there already, `scorings` has scored.
        """
        self._wanted = []
        if spec.settle is None:
            return []
        plan = race_plan(self._held.reader, self._held.record.id, spec.settle)
        self._say_who_left(plan)
        if not plan.wanted:
            self._say_how_it_ended(plan, spec.settle)
            return []
        stored = [each for each in self._held.reader.trials(self._held.record.id) if each.repeat_of is None]
        runs = self._runs_of(stored)
        missing = [place for place in plan.wanted if not runs.get(_key(place, spec))]
        self._say_who_runs(plan, spec)
        params = {trial.configuration: trial.params for trial in reversed(stored)}
        added = self._trials.add_outside(
            "race",
            [
                (params[place.configuration], spec.train_config(params[place.configuration], seed))
                for place in missing
                for seed in [spec.race_seed(place.round)]
            ],
        )
        more = [each for each in self._held.reader.trials(self._held.record.id) if each.id in set(added)]
        self._runs = self._runs_of([*stored, *more])
        self._wanted = plan.wanted
        return added

    def _runs_of(self, trials: Sequence[TrialRecord]) -> dict[tuple[int, int], list[TrialRecord]]:
        """Those that can be scored, or may be one day."""
        unscored = self._held.reader.trials_said(self._held.record.id, UNSCORED)
        found: dict[tuple[int, int], list[TrialRecord]] = {}
        for trial in trials:
            if trial.id not in unscored and self._trials.states[trial.id] in (*UNFINISHED, "complete"):
                found.setdefault((trial.configuration, trial.seed), []).append(trial)
        return found

    def scorings(self, spec: SweepSpec) -> list[ScoringJob]:
        """Of the runs of this round that are complete by now, each once."""
        ready = []
        for place in list(self._wanted):
            complete = [
                run
                for run in self._runs.get(_key(place, spec), [])
                if self._trials.states[run.id] == "complete"
            ]
            if complete:
                self._wanted.remove(place)
                ready.append(self._scoring(complete[0].id, place.round, spec))
        return ready

    def _scoring(self, trial: int, round: int, spec: SweepSpec) -> ScoringJob:
        folder = within(self._held.record.folder, "trials", str(self._held.record.id), str(trial))
        return ScoringJob(
            trial, round, folder, spec.trainer.get(RANK_ERROR, RANKING_ERROR), self._trials.called(trial)
        )

    # --- in words -----------------------------------------------------------------------------
    def _say_who_left(self, plan: RacePlan) -> None:
        for configuration, trial in plan.left.items():
            what = "could not be scored" if trial.state == "complete" else f"is {trial.state}"
            self._say_once(
                f"configuration {configuration} leaves the race: its run with seed {trial.seed}, "
                f"trial {trial.called}, {what}"
            )

    def _say_who_runs(self, plan: RacePlan, spec: SweepSpec) -> None:
        for round in sorted({place.round for place in plan.running}):
            them = [place for place in plan.running if place.round == round]
            self._say_once(
                f"round {round} of the race, seed {spec.race_seed(round)}: {len(them)} configurations"
            )

    def _say_how_it_ended(self, plan: RacePlan, settle: Settle) -> None:
        for contest in plan.contests:
            if contest.race is not None:
                self._say_once(_ending(contest, settle))

    def _say_once(self, text: str) -> None:
        """A driver that was killed may have said it."""
        said = self._held.reader.events(self._held.record.id, limit=1000)
        if not any(event.kind == KIND and event.text == text for event in said):
            self._events.note(KIND, text)


def _key(place: Place, spec: SweepSpec) -> tuple[int, int]:
    return place.configuration, spec.race_seed(place.round)


def _ending(contest: Contest, settle: Settle) -> str:
    where = ""
    if settle.by is not None:
        where = f" without {settle.by}" if contest.value is None else f" of {settle.by} = {contest.value}"
    what = {
        "answer": f"taking its first loses no more than {settle.within:.2%}",
        "winner": "it has a winner",
        "chance": f"its first is likely within {settle.within:.2%} of the best",
        "cap": f"not settled to {settle.within:.2%} by {settle.seeds} seeds",
    }
    return f"the race{where} has ended after {max(contest.rounds)} rounds: {what[contest.ended(settle)]}"
