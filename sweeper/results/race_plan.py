"""Whom does the race want to run next? Asked of the store alone, so that a kill changes no decision.

A round is decided by what was known when it began: while it runs, its own scores do not count.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sweeper.results.race_record import Contest, contests
from sweeper.results.ranking import AFTER_SEARCH, Ranked, entries_of, ranked_by, ranking
from sweeper.store.queries import Reader
from sweeper.store.records import UNFINISHED, ScoreRecord, TrialRecord

if TYPE_CHECKING:  # a board without a race needs none of what checks a specification
    from sweeper.spec.sections import Settle

UNSCORED = "unscored"  # kind of the event that says so of a trial


class Place(NamedTuple):
    """Where a run is wanted."""

    configuration: int
    round: int


class RacePlan(NamedTuple):
    contests: list[Contest]
    running: list[Place]  # of the rounds that run now; none once all contests have ended
    wanted: list[Place]  # those of them that have no score yet
    left: dict[int, TrialRecord]  # configurations that have left the race, by the run that failed


def race_plan(reader: Reader, sweep: int, settle: "Settle") -> RacePlan:
    trials = [trial for trial in reader.trials(sweep) if trial.repeat_of is None]
    searched = [trial for trial in trials if trial.role not in AFTER_SEARCH]
    rows = ranking(entries_of(searched, ranked_by(reader, sweep))).rows
    left = left_race(trials, reader.trials_said(sweep, UNSCORED))
    configuration = {trial.id: trial.configuration for trial in trials}
    scores = [each for each in reader.scores(sweep) if each.round and each.split == "valid"]
    return _planned(rows, scores, configuration, reader.configurations(sweep), settle, left)


def left_race(
    trials: Sequence[TrialRecord], unscored: set[int], ended: bool = False
) -> dict[int, TrialRecord]:
    """Configurations whose run in the race came to nothing. unscored: trials that could not be scored: each
    is run once more, whosever it was, and where that cannot be scored either it is not tried again. ended:
    the sweep has; where nothing was run once more then, as by an earlier version, nothing is to be."""
    runs = Counter((trial.configuration, trial.seed) for trial in trials)
    in_vain = Counter((trial.configuration, trial.seed) for trial in trials if trial.id in unscored)

    def was_last(trial: TrialRecord) -> bool:
        where = trial.configuration, trial.seed
        return trial.id in unscored and (in_vain[where] > 1 or (ended and runs[where] == 1))

    return {
        trial.configuration: trial
        for trial in trials
        if trial.role == "race" and (trial.state not in (*UNFINISHED, "complete") or was_last(trial))
    }


def _planned(
    rows: Sequence[Ranked],
    scores: Sequence[ScoreRecord],
    configuration: Mapping[int, int],
    values: Mapping[int, Mapping[str, Any]],
    settle: "Settle",
    left: dict[int, TrialRecord],
) -> RacePlan:
    now = contests(rows, scores, configuration, values, settle, left)
    have = {Place(configuration[each.trial], each.round) for each in scores}
    begun = {  # the newest round of each contender's contest
        each: max((place.round for place in have if place.configuration in contest.contenders), default=0)
        for contest in now
        for each in contest.contenders
    }
    earlier = [each for each in scores if each.round < begun.get(configuration[each.trial], 0)]
    as_now = len(earlier) == len(scores)
    before = now if as_now else contests(rows, earlier, configuration, values, settle, left)
    running: list[Place] = []
    for then, contest in zip(before, now, strict=True):
        begun_places = [Place(*each) for each in then.wanted(settle)]
        ended = have.issuperset(begun_places)
        running += [Place(*each) for each in contest.wanted(settle)] if ended else begun_places
    return RacePlan(now, running, [place for place in running if place not in have], left)
