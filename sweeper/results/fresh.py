"""What was measured after the search, on seeds that had no part in it: by `confirm`, or by the race of
`settle`?

Once there is such, it alone decides. The search's own numbers flatter its best: they were picked for them.
"""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from sweeper.results.estimates import estimates, gaps
from sweeper.results.race_plan import left_race
from sweeper.results.race_record import Contest, contests
from sweeper.results.ranking import Ranked, Ranking, as_evaluation, entries_of, ranking
from sweeper.results.row import Estimate
from sweeper.statistics.field import Run, field_of
from sweeper.statistics.standings import Standing, standings
from sweeper.statistics.values import values
from sweeper.store.followed import Followed, Latest
from sweeper.store.records import SWEEP_ENDS, EvaluationRecord, ScoreRecord, TrialRecord

if TYPE_CHECKING:  # a board without a race needs none of what checks a specification
    from sweeper.spec.sections import Settle


class Fresh(NamedTuple):
    standings: list[Standing]  # by nelbo, best first
    winner: int | None  # configuration
    effective_documents: float
    estimates: Mapping[int, Mapping[str, Estimate]]  # of other metrics, by configuration
    contests: list[Contest]  # of a race: one, or one for each value of a dimension
    settle: "Settle | None"  # what the race was run by; None: runs confirmed
    gaps: Mapping[int, float] = MappingProxyType({})  # valid less test, by configuration
    ranked: Sequence[Sequence[Ranked]] = ()  # rows of each contest, its first before all others

    def compared(self, configuration: int) -> int:
        """Rows that it was held against on fresh seeds, itself among them."""
        known = {each.configuration for each in self.standings}
        mine = (each.contenders for each in self.contests if configuration in each.contenders)
        return len(known.intersection(next(mine, known)))


def fresh(
    now: Followed,
    trials: Sequence[TrialRecord],
    evaluations: Mapping[int, EvaluationRecord],
    searched: Ranking,
    unscored: set[int],
) -> Fresh | None:
    """trials: no repeats. evaluations: those that rank, by trial. searched: the ranking by the search's own
    numbers. unscored: trials that could not be scored."""
    test = now.evaluations["test"]
    if (section := now.sweep.spec.get("settle")) is not None:
        from sweeper.spec.sections import Settle

        scores = [each for each in now.all_scores() if each.round > 0 and each.split == "valid"]
        left = left_race(trials, unscored, now.sweep.state in SWEEP_ENDS)
        raced = _raced(scores, trials, searched, now.values, Settle.model_validate(section), left)
        if raced is not None:
            ranked = _ranked_by_race(raced, scores, trials, now.all_latest)
            return raced._replace(
                estimates={c: also for each in ranked for c, also in estimates(each, test).items()},
                gaps={c: gap for each in ranked for c, gap in gaps([r.entry for r in each], test).items()},
                ranked=ranked,
            )
    confirming = [trial for trial in trials if trial.role == "confirm"]
    found = ranking(entries_of(confirming, evaluations, now.all_latest))
    if not found.rows:
        return None
    return Fresh(
        [each.standing for each in found.rows],
        found.winner,
        found.effective_documents,
        estimates(found.rows, test),
        [],
        None,
        gaps([each.entry for each in found.rows], test),
        [found.rows],
    )


def _raced(
    scores: Sequence[ScoreRecord],
    trials: Sequence[TrialRecord],
    searched: Ranking,
    values: Mapping[int, dict[str, Any]],
    settle: "Settle",
    left: Collection[int],
) -> Fresh | None:
    """scores: of rounds. left: configurations that have left the race. None before there are two rounds."""
    configuration = {trial.id: trial.configuration for trial in trials}
    found = contests(searched.rows, scores, configuration, values, settle, left)
    rows: list[Standing] = []
    for contest in found:
        rows += _standings_of(
            contest, [s for s in scores if configuration[s.trial] in contest.contenders], configuration
        )
    if not rows:
        return None
    rows.sort(key=lambda each: each.nelbo)
    winners = [contest.first for contest in found if contest.race is not None and contest.race.winner]
    return Fresh(
        rows,
        winners[0] if len(found) == 1 and winners else None,
        searched.effective_documents,
        {},
        found,
        settle,
    )


def _ranked_by_race(
    raced: Fresh,
    scores: Sequence[ScoreRecord],
    trials: Sequence[TrialRecord],
    latest: Mapping[int, Latest],
) -> list[list[Ranked]]:
    """Of each contest the rows, its first before all others, with the runs of the race alone, as it scored
    them."""
    evaluations = {each.trial: as_evaluation(each) for each in scores}
    mine = [trial for trial in trials if trial.id in evaluations]
    by_id = {each.configuration: each for each in entries_of(mine, evaluations, latest)}
    standing = {each.configuration: each for each in raced.standings}
    return [
        [
            Ranked(by_id[c], standing[c], 1)
            for c in sorted(contest.contenders, key=lambda c: (c != contest.first, c))
            if c in by_id and c in standing
        ]
        for contest in raced.contests
    ]


def _standings_of(
    contest: Contest, scores: Sequence[Any], configuration: Mapping[int, int]
) -> list[Standing]:
    """One look's standings, with what the race says over all its looks in the place of what one look would
    say."""
    race, chances = contest.race, contest.chances
    if race is None or chances is None:
        return []
    ran = dict(zip(contest.contenders, contest.rounds, strict=True))
    runs = [
        Run(configuration[each.trial], each.round, each.nats)
        for each in scores
        if each.round <= ran[configuration[each.trial]]
    ]
    place = {configuration: i for i, configuration in enumerate(contest.contenders)}
    found = []
    configurations, field = field_of(runs, scores[0].tokens)
    to_first = values(field, configurations.index(contest.first))
    for each in standings(runs, scores[0].tokens).rows:
        i, c = place[each.configuration], configurations.index(each.configuration)
        may_be = bool(race.may_be_best_K[i])
        found.append(
            each._replace(
                difference=float(race.difference_K[i]),
                margin=float(race.margin_K[i]),
                tied_with_best=may_be,
                why="best" if i == race.first else "within the error" if may_be else "",
                regret=max(0.0, float(race.upper_KK[i].max())),
                p_best=float(chances.best_C[i]),
                p_within=float(chances.within_C[i]),
                text_error=float(to_first.text_C[c]),
                seeds_error=float(to_first.seeds_C[c]),
            )
        )
    return found
