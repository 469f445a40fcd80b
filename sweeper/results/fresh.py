"""What was measured after the search, on seeds that had no part in it: by `confirm`, or by the race of
`settle`?

Once there is such, it alone decides. The search's own numbers flatter its best: they were picked for them.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sweeper.results.race_plan import UNSCORED, left_race
from sweeper.results.race_record import Contest, contests
from sweeper.results.ranking import Ranking, entries_of, ranking
from sweeper.spec.sections import Settle
from sweeper.statistics.field import Run
from sweeper.statistics.standings import Standing, standings
from sweeper.store.queries import Reader
from sweeper.store.records import EvaluationRecord, LatestRecord, SweepRecord, TrialRecord


class Fresh(NamedTuple):
    standings: list[Standing]  # by nelbo, best first
    winner: int | None  # configuration
    effective_documents: float
    test_ppl: Mapping[int, float]  # by configuration, the mean of these runs
    contests: list[Contest]  # of a race: one, or one for each value of a dimension
    settle: Settle | None  # what the race was run by; None: runs confirmed


def fresh(
    reader: Reader,
    sweep: SweepRecord,
    trials: Sequence[TrialRecord],
    evaluations: dict[int, EvaluationRecord],
    latest: Sequence[LatestRecord],
    searched: Ranking,
    values: Mapping[int, dict[str, Any]],
) -> Fresh | None:
    """searched: the ranking by the search's own numbers."""
    if (section := sweep.spec.get("settle")) is not None:
        raced = _raced(reader, sweep, trials, searched, values, Settle.model_validate(section), latest)
        if raced is not None:
            return raced
    confirming = [trial for trial in trials if trial.role == "confirm"]
    found = ranking(entries_of(confirming, evaluations, latest))
    if not found.rows:
        return None
    test = {each.entry.configuration: _test_ppl(each.entry.latest) for each in found.rows}
    return Fresh(
        [each.standing for each in found.rows],
        found.winner,
        found.effective_documents,
        {configuration: ppl for configuration, ppl in test.items() if ppl is not None},
        [],
        None,
    )


def _raced(
    reader: Reader,
    sweep: SweepRecord,
    trials: Sequence[TrialRecord],
    searched: Ranking,
    values: Mapping[int, dict[str, Any]],
    settle: Settle,
    latest: Sequence[LatestRecord],
) -> Fresh | None:
    """None before there are two rounds."""
    scores = [each for each in reader.scores(sweep.id) if each.round > 0 and each.split == "valid"]
    configuration = {trial.id: trial.configuration for trial in trials}
    left = left_race(trials, reader.trials_said(sweep.id, UNSCORED))
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
    test = {
        row.configuration: [r for r in latest if configuration[r.trial] == row.configuration] for row in rows
    }
    raced = {score.trial for score in scores}
    ppl = {c: _test_ppl([r for r in mine if r.trial in raced]) for c, mine in test.items()}
    return Fresh(
        rows,
        winners[0] if len(found) == 1 and winners else None,
        searched.effective_documents,
        {c: each for c, each in ppl.items() if each is not None},
        found,
        settle,
    )


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
    for each in standings(runs, scores[0].tokens).rows:
        i = place[each.configuration]
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
            )
        )
    return found


def _test_ppl(latest: Sequence[LatestRecord]) -> float | None:
    found = [row.best for row in latest if row.name == "test_nelbo"]
    return math.exp(math.fsum(found) / len(found)) if found else None
