"""The answer: which row to take, what that may cost, and how likely it is the right one. In words.

What a race says is over all its looks; what was confirmed, or searched alone, is one look
(sweeper/statistics/standings.py). Terminal, JSON, notebook and dashboard take the words from here."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sweeper.results.fresh import Fresh
from sweeper.results.race_record import Contest
from sweeper.results.row import Row, known
from sweeper.words import brief, excess

if TYPE_CHECKING:  # a board without a race needs none of what checks a specification
    from sweeper.spec.sections import Settle

NOTHING = "nothing measurable"  # a bound of 0 is one-sided: an interval beside it may reach below 0
WITHIN = 0.01  # of perplexity: the margin of a row's p_within where no race has one of its own


class Answer(NamedTuple):
    """Losses are shares of perplexity; None: not known."""

    kind: str  # 'race', 'confirmed', 'search', 'none': what it rests on
    settled: bool  # nothing more would be run: a winner, or a loss within the margin, surely or likely
    configuration: int | None  # to be taken
    value: Any  # of the dimension that `settle.by` names; None where there is none
    winner: bool  # it is better than each of the others, at 95%
    loss: float | None  # at most, at 95%, against those that it was compared with on several seeds
    loss_of_all: float | None  # the same, against any that was searched
    within: float  # the margin
    p_within: float | None
    p_best: float | None
    text: str

    def to_json(self) -> dict[str, Any]:
        return self._asdict()


def answers(
    rows: Sequence[Row], fresh: Fresh | None, winner: int | None, names: Sequence[str]
) -> tuple[Answer, ...]:
    """One, or one for each value of the dimension that the race is run by. names: what varies."""
    ranked = [row for row in rows if row.rank is not None]
    if not ranked:
        return (_nothing("Nothing is ranked: a configuration is once one of its trials is complete."),)
    if fresh is not None and fresh.settle is not None:
        settle = fresh.settle
        return tuple(
            _of_race(contest, settle, ranked, _searched(contest, settle, ranked), names)
            for contest in fresh.contests
        )
    confirmed = [row for row in ranked if row.confirmed_seeds]
    if confirmed:
        return (_of_look("confirmed", confirmed, len(ranked), winner, names),)
    return (_of_look("search", ranked, len(ranked), winner, names),)


# --- of a race ----------------------------------------------------------------------------------
def _of_race(
    contest: Contest, settle: "Settle", rows: Sequence[Row], searched: int, names: Sequence[str]
) -> Answer:
    place = {row.configuration: i for i, row in enumerate(rows)}
    race, chances = contest.race, contest.chances
    of_value = ""
    if settle.by:
        of_value = f"without {settle.by}: " if contest.value is None else f"{settle.by} {contest.value}: "
    if len(contest.contenders) < 2:
        return _alone(contest, searched, of_value)
    row = rows[place[contest.first]]
    if race is None:
        rounds = min(contest.rounds, default=0)
        return _nothing(
            f"{of_value}No answer yet: {len(contest.contenders)} rows race, and nothing can be said before "
            f"each has run 2 seeds ({rounds} so far)."
        )._replace(value=contest.value)
    ended = contest.ended(settle)
    loss, of_all = excess(race.bound), excess(contest.against_all)
    p_best = None if chances is None else float(chances.best_C[race.first])
    p_within = None if chances is None else float(chances.within_C[race.first])
    seeds = _count(race.rounds, "seed")
    ran = _counts(contest.rounds, "seed")
    those = f"the {len(contest.contenders)} rows that were raced ({ran})"
    any_of = f"to any of the {searched} searched" if math.isfinite(of_all) else ""
    chance = _chance(p_best, p_within, settle.within)
    who = f"row {place[contest.first] + 1} ({brief(row.values, names)})"
    if race.winner:
        said = f"{who} beats each of the other rows that were raced, at 95% ({ran})"
        said += f"; it loses {_at_most(of_all)} {any_of}" if any_of else ""
        said += chance
    elif ended == "chance":
        said = f"take {who}{chance} (a chance, no guarantee: at 95% it loses {_at_most(loss)} to {those})"
    else:
        lost = f"it loses {_at_most(loss)} to the best of {those}"
        if any_of:
            lost += f", {_most(of_all) if loss else _at_most(of_all)} {any_of}"
        said = f"take {who}: at 95% {lost}{chance}"
    if ended == "cap":
        more = max(2, race.rounds // 2)
        bound = excess(_projected(contest, more))
        would = f"about {_most(bound)}" if bound else f"that down to {NOTHING}"
        said = f"not settled to {_percent(settle.within)} after {seeds}: {said}"
        said += f"; {_count(more, 'more seed')} would bring {would}"
    elif not ended:
        said = f"not settled yet: {said}"
    return Answer(
        kind="race",
        settled=ended in ("answer", "winner", "chance"),
        configuration=contest.first,
        value=contest.value,
        winner=race.winner,
        loss=known(loss),
        loss_of_all=known(of_all),
        within=settle.within,
        p_within=p_within,
        p_best=p_best,
        text=f"{of_value}{_capital(said)}.",
    )


def _alone(contest: Contest, searched: int, of_value: str) -> Answer:
    """Nobody to race against: nothing more is run, and nothing can be said."""
    only = contest.contenders[0] if contest.contenders else None
    left = "no row" if only is None else "one row"
    said = "One configuration is ranked: there is nothing to compare it to."
    if searched > 1:
        said = f"No answer: {left} is left in the race, for runs of the others failed."
    return _nothing(f"{of_value}{said}")._replace(value=contest.value, configuration=only)


def _searched(contest: Contest, settle: "Settle", rows: Sequence[Row]) -> int:
    """With the race's value of the dimension that it is run by."""
    if settle.by is None:
        return len(rows)
    return sum(row.values.get(settle.by) == contest.value for row in rows)


def _projected(contest: Contest, more: int) -> float:
    """The bound after so many more rounds, if differences stay as they are: what is added to them shrinks by
    the root of the rounds. An outlook, no bound."""
    assert contest.race is not None
    shrunk_K = contest.race.half_K * math.sqrt(contest.race.rounds / (contest.race.rounds + more))
    upper_K = shrunk_K - contest.race.difference_K
    return max(0.0, min(float(upper_K.max()), contest.race.bound))


# --- of one look --------------------------------------------------------------------------------
def _of_look(
    kind: str, rows: Sequence[Row], searched: int, winner: int | None, names: Sequence[str]
) -> Answer:
    """rows: the ones that decide, best first."""
    row, several = rows[0], [row for row in rows if (row.confirmed_seeds or row.seeds) > 1]
    seeds = _counts([row.confirmed_seeds or row.seeds for row in rows], "fresh seed")
    who = f"row 1 ({brief(row.values, names)})" if brief(row.values, names) else "row 1"
    chance = _chance(row.p_best, row.p_within, WITHIN)
    loss = None if row.regret is None else excess(row.regret)
    if len(rows) == 1:
        what = "confirmed: on fresh seeds" if kind == "confirmed" else "ranked:"
        said, loss = f"One configuration is {what} there is nothing to compare it to", None
    elif winner is not None:
        confirmed = f"confirmed on {seeds}" if kind == "confirmed" else "searched"
        said = f"{_capital(who)} beats each of the {len(rows) - 1} others {confirmed}, at 95%{chance}"
    elif loss is not None:
        those = (
            f"the {len(rows)} rows that were confirmed ({seeds})"
            if kind == "confirmed"
            else f"the {len(several)} of {searched} rows that ran on several seeds"
        )
        said = f"Take {who}: at 95% it loses {_at_most(loss)} to the best of {those}{chance}"
    elif row.p_best is not None:
        tied = sum(row.tied_with_best for row in rows)
        said = f"No answer yet: {who} has the lowest val_ppl, on one seed; "
        said += f"{tied} of {len(rows)} rows may be the best (=){chance}"
    elif not several:
        said = (
            f"No answer: each row ran on one seed, so nothing tells merit from luck; {who} has the lowest "
            "val_ppl"
        )
    else:
        said = f"No answer yet: {who} has the lowest val_ppl, and its spread over seeds is not known"
    return Answer(
        kind=kind,
        settled=winner is not None or (loss is not None and loss <= WITHIN),
        configuration=row.configuration,
        value=None,
        winner=winner is not None,
        loss=loss,
        loss_of_all=None,
        within=WITHIN,
        p_within=row.p_within,
        p_best=row.p_best,
        text=f"{said}.",
    )


def _nothing(text: str) -> Answer:
    return Answer("none", False, None, None, False, None, None, WITHIN, None, None, text)


# --- words --------------------------------------------------------------------------------------
def _chance(p_best: float | None, p_within: float | None, within: float) -> str:
    if p_best is None or p_within is None:
        return ""
    return (
        f"; chance that it is within {_percent(within)} of the best {_likely(p_within)}, "
        f"that it is the best {_likely(p_best)}"
    )


def _likely(chance: float) -> str:
    """'.71': two digits are known."""
    if chance >= 0.995:
        return "above .99"
    return "below .01" if chance < 0.005 else f"{chance:.2f}".lstrip("0")


def _at_most(loss: float) -> str:
    return NOTHING if loss == 0 else f"at most {_most(loss)}"


def _most(loss: float) -> str:
    """'0.9%', rounded up: a bound."""
    if math.isinf(loss) or loss > 10:
        return "more than can be said"
    return f"{math.ceil(1000 * loss - 1e-9) / 10:.1f}%" if loss < 0.1 else f"{math.ceil(100 * loss)}%"


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _counts(numbers: Sequence[int], what: str) -> str:
    """'5 seeds', '2 to 5 seeds': rows that are behind leave a race before its end."""
    least, most = min(numbers), max(numbers)
    return _count(most, what) if least == most else f"{least} to {most} {what}s"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
