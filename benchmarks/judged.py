"""What a board of known truth shows of the product's claims: 1 where something was so, 0 where not, NaN where
it
could not be; and what was spent. Beside it, on the same board, the rule before ('formerly ...') and the best
single run ('single ...')."""

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np

from benchmarks.contested import (
    PRETRAIN,
    Look,
    Rounds,
    course,
    evaluations_of,
    searched,
    trials_of,
)
from benchmarks.formerly import formerly
from benchmarks.worlds import Array, Board
from sweeper.results.compare import compare
from sweeper.results.race_record import spread_of_search
from sweeper.results.ranking import Ranked
from sweeper.spec.sections import Settle
from sweeper.statistics.differences import pooled
from sweeper.statistics.field import Field, Run
from sweeper.statistics.race import Race, against_all, looks
from sweeper.statistics.standings import standings
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord

Facts = dict[str, float]
GOOD = 0.005  # nats: what costs less is as good as the best
CHANCES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)  # at which a race until a chance might stop
MARGINS = (0.08, 0.05, 0.02)  # at which one until an answer might
KEPT = 2  # fresh seeds of which the baselines' pretrains are there
FINE = 1e-12
UNTIL_WINNER = Settle(until="winner")


def raced(board: Board, settle: Settle = UNTIL_WINNER) -> Facts:
    """A race as the driver would run it."""
    found = searched(board)
    all_looks = list(course(board, found, settle))
    last = all_looks[-1]
    loss, ended = board.loss(last.contest.first), last.contest.ended(settle)
    alone = int(board.search_CSD[:, 0].sum(1).argmin())
    won = last.contest.race is not None and last.contest.race.winner
    return {
        **over_looks(board, _said(all_looks)),
        "best is raced": float(board.best in last.contest.contenders),
        "right winner": float(won and board.alone(last.contest.first)),
        "settled": float(ended != "cap"),
        "first is right": float(loss == 0),
        "first is good": float(loss <= GOOD),
        "bound at the end": last.contest.race.bound if last.contest.race else math.nan,
        "trainings": last.trainings(),
        "chance holds": float(loss <= settle.margin) if ended == "chance" else math.nan,
        "chance shown": _shown(last) if ended == "chance" else math.nan,
        "single right winner": float(board.alone(alone)),
        "single false winner": float(not board.alone(alone)),
        **_formerly(board, last.contest.contenders),
    }


def watched(board: Board) -> Facts:
    """What is said after each round where all contenders run all; and the board of the search before it."""
    found = searched(board)
    order = [each.entry.configuration for each in found]
    contenders = Rounds(board, found, UNTIL_WINNER).contest().contenders
    everyone = [*contenders, *(c for c in order if c not in contenders)]
    rounds = Field(board.rounds_CRD[contenders], board.tokens_D)
    alone = Field(board.search_CSD[everyone, :1], board.tokens_D)
    of_search, places = spread_of_search(found), range(len(contenders))
    luckiest = board.alone(int(board.search_CSD[:, 0].sum(1).argmin()))
    said = []
    for race in looks(rounds, UNTIL_WINNER.seeds, UNTIL_WINNER.confidence, of_search):
        if race.rounds > 1:
            so_far = rounds.first(race.rounds)
            spread = pooled(so_far.value_CS).plus(of_search)
            beside = against_all(race, so_far, alone, places, UNTIL_WINNER.confidence, spread)
            said.append(Said(contenders, race, beside))
    return {
        **over_looks(board, said),
        "board drops the best": float(not _tied(found, board.best)),
        "single right winner": float(luckiest),
        "single false winner": float(not luckiest),
        **_formerly(board, contenders),
    }


class Said(NamedTuple):
    """At a look."""

    contenders: Sequence[int]
    race: Race
    against_all: float


def over_looks(board: Board, looks: Sequence[Said]) -> Facts:
    """Whether anything that was said at any look was false; of differences, at the last one too."""
    false_winner = bound = all_bound = drops = misses = missed = False
    for contenders, race, beside in looks:
        first, truth_K = contenders[race.first], board.truth_C[contenders]
        false_winner |= race.winner and not board.alone(first)
        bound |= truth_K[race.first] - truth_K.min() > race.bound + FINE
        all_bound |= board.loss(first) > beside + FINE
        drops |= not race.may_be_best_K[truth_K.argmin()]
        error_K = np.abs(race.difference_K - (truth_K - truth_K[race.first]))
        missed = bool((error_K > race.margin_K + FINE).any())
        misses |= missed
    return {
        "false winner": float(false_winner),
        "bound fails": float(bound),
        "bound over all fails": float(all_bound),
        "race drops the best": float(drops),
        "difference covered": float(not misses),
        "difference covered at the end": float(not missed),
    }


def _said(looks: Sequence[Look]) -> list[Said]:
    """Where something can be."""
    contests = [look.contest for look in looks]
    return [Said(each.contenders, each.race, each.against_all) for each in contests if each.race is not None]


def _formerly(board: Board, contenders: Sequence[int]) -> Facts:
    """Had all of them run all rounds, by the rule before, looked at after each."""
    nats_KRD, truth_K = board.rounds_CRD[contenders], board.truth_C[contenders]
    before = [formerly(nats_KRD[:, :r], board.tokens_D) for r in range(2, nats_KRD.shape[1] + 1)]
    errors = [np.abs(each.difference_K - (truth_K - truth_K[each.first])) for each in before]
    covered = [bool((e <= each.margin_K + FINE).all()) for e, each in zip(errors, before, strict=True)]
    return {
        "formerly false winner": float(
            any(x.winner and not board.alone(contenders[x.first]) for x in before)
        ),
        "formerly race drops the best": float(any(not x.tied_K[truth_K.argmin()] for x in before)),
        "formerly difference covered": float(covered[-1]),
        "formerly right winner": float(before[-1].winner and board.alone(contenders[before[-1].first])),
        "formerly first is right": float(board.loss(contenders[before[-1].first]) == 0),
    }


def until_chance(board: Board) -> Facts:
    """At each of CHANCES where it might stop: whether the first is good, and what was spent; and the same of
    `confirm: {top: 3, seeds: 5}`."""
    settle, found = Settle(until="chance"), searched(board)
    seen = list(course(board, found, settle))
    facts = _confirmed(board, found)
    for chance in CHANCES:
        at = next((look for look in seen if _ends(look, settle, chance)), seen[-1])
        facts |= _spent(board, at, str(chance))
    return facts


def until_answer(board: Board) -> Facts:
    """The same at each of MARGINS, of a race until a bound."""
    found = searched(board)
    facts = _confirmed(board, found)
    for margin in MARGINS:
        *_, last = course(board, found, Settle(within=margin))
        facts |= _spent(board, last, str(margin))
    return facts


def _ends(look: Look, settle: Settle, chance: float) -> bool:
    won = look.contest.race is not None and look.contest.race.winner
    return won or _shown(look) >= chance


def _shown(look: Look) -> float:
    race, chances = look.contest.race, look.contest.chances
    return 0.0 if race is None or chances is None else float(chances.within_C[race.first])


def _spent(board: Board, look: Look, name: str) -> Facts:
    return {
        f"good {name}": float(board.loss(look.contest.first) <= GOOD),
        f"trainings {name}": look.trainings(),
        f"cost {name}": look.cost(),
        f"kept {name}": look.cost(KEPT),
    }


def _confirmed(board: Board, found: Sequence[Ranked], top: int = 3, seeds: int = 5) -> Facts:
    first = [each.entry.configuration for each in found[:top]]
    mean_K = board.search_CSD[first, 1 : 1 + seeds].sum((1, 2))  # it has the search's masks
    cost = top * seeds + PRETRAIN * seeds
    good = float(board.loss(first[int(mean_K.argmin())]) <= GOOD)
    return {"good confirm": good, "trainings confirm": top * seeds, "cost confirm": cost}


def readmitted(board: Board) -> Facts:
    """A race whose end lets in four more, the next of the search's order; it goes on until it ends again."""
    settle, found = Settle(), searched(board)
    rounds = Rounds(board, found, settle)
    seen = list(course(board, found, settle, rounds))
    before = seen[-1].contest
    more = [c for each in found if (c := each.entry.configuration) not in before.contenders][:4]
    rounds.run([(c, r) for c in more for r in (1, 2)])
    seen.extend(course(board, found, settle, rounds))
    after = seen[-1].contest
    return {
        **over_looks(board, _said(seen)),
        "over all before": before.against_all,
        "over all after": after.against_all,
        "best is raced": float(board.best in after.contenders),
    }


def compared(board: Board, seeds: int) -> Facts:
    """Two that were named beforehand, among five that have run so many seeds; and the board's bounds of
    it."""
    places = [(c, s) for c in range(5) for s in range(1, seeds + 1)]
    nats = {place: board.rounds_CRD[place[0], place[1] - 1] for place in places}
    trials = trials_of(places, "search")
    evaluations = evaluations_of(nats, board.tokens_D)
    shelf = SimpleNamespace(
        trials=lambda sweep: trials,
        evaluations=lambda sweep, split: evaluations,
        configurations=lambda sweep: {c: {} for c in range(5)},
    )
    sweep = cast(SweepRecord, SimpleNamespace(id=0, name="compared"))
    pair = compare(cast(Reader, shelf), sweep, trials[0].id, trials[seeds].id)
    true = board.truth_C[0] - board.truth_C[1]
    runs = [Run(c, s, n.tolist()) for (c, s), n in nats.items()]
    rows = standings(runs, board.tokens_D.tolist()).rows
    first = board.truth_C[rows[0].configuration]
    errors = [abs(each.difference - (board.truth_C[each.configuration] - first)) for each in rows]
    regret = any(board.loss(each.configuration) > each.regret + FINE for each in rows[:1])
    before = formerly(_block(nats, 5, seeds), board.tokens_D)
    truth_K = board.truth_C[:5]
    error_K = np.abs(before.difference_K - (truth_K - truth_K[before.first]))
    return {
        "pair covered": float(pair.low <= true <= pair.high),
        "difference covered": float(all(e <= r.margin + FINE for e, r in zip(errors, rows, strict=True))),
        "formerly difference covered": float((error_K <= before.margin_K + FINE).all()),
        "regret fails": float(regret),
    }


def _block(nats: dict[tuple[int, int], Array], configurations: int, seeds: int) -> Array:
    return np.array([[nats[c, s] for s in range(1, seeds + 1)] for c in range(configurations)])


def _tied(found: Sequence[Ranked], configuration: int) -> bool:
    standing: Any = next(each.standing for each in found if each.entry.configuration == configuration)
    return bool(standing.tied_with_best)
