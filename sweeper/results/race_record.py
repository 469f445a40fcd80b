"""What has the race come to? Its rounds, as the store has them.

The driver asks whom to run next, the board what may be said. Neither remembers anything: whoever reads the
same rounds comes to the same. Round r is the r-th of the race's seeds; its runs are scored under masks that
were drawn for it, and only values of one round are ever subtracted."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sweeper.results.ranking import AFTER_SEARCH, Entry, Ranked, entries_of, quantity, ranked_by, ranking
from sweeper.spec.race_counts import LEAST
from sweeper.statistics.chances import Chances, chances
from sweeper.statistics.differences import Pooled, pooled
from sweeper.statistics.field import Field, Run, field_of
from sweeper.statistics.race import Race, against_all, race
from sweeper.store.queries import Reader
from sweeper.store.records import ScoreRecord

if TYPE_CHECKING:  # a board without a race needs none of what checks a specification
    from sweeper.spec.sections import Settle

SCREEN = 2.5  # spreads within which a row of the search may still be the best
NEWEST = 10  # sweeps that the scatter of seeds is taken from
RUNS_ON = 0.05  # chance of being the best below which `until: chance` runs a contender no more


class Contest(NamedTuple):
    """One race: of all contenders, or of those of one value of the dimension that `settle.by` names."""

    value: Any  # of the dimension; None where there is none, and of those that do not have it
    contenders: list[int]  # configurations
    rounds: list[int]  # that each has run: the first of all
    race: Race | None  # None before anything can be said
    chances: Chances | None
    against_all: float  # what the first may cost against any that was searched, nats; infinite: not known

    @property
    def first(self) -> int:
        return self.contenders[0 if self.race is None else self.race.first]

    def ended(self, settle: "Settle") -> str:
        """Why: 'answer', 'winner', 'chance' or 'cap'; '' while it goes on."""
        if len(self.contenders) < 2:
            return "answer"
        if self.race is None:
            return ""
        if self.race.winner:
            return "winner"
        if settle.until == "answer" and self.race.bound <= settle.margin:
            return "answer"
        if settle.until == "chance" and self._within() >= settle.confidence:
            return "chance"
        return "cap" if min(self.rounds[c] for c in self._active(settle)) >= settle.seeds else ""

    def wanted(self, settle: "Settle") -> list[tuple[int, int]]:
        """(configuration, round) to be run next: what lags behind, else one more of each that is still in
        it."""
        if self.ended(settle):
            return []
        active, most = self._active(settle), max(self.rounds)
        lagging = [(c, r) for c in active for r in range(self.rounds[c] + 1, most + 1)]
        more = range(most + 1, max(most + 1, _least(settle)) + 1)
        places = lagging or [(c, r) for r in more for c in active]
        return [(self.contenders[c], r) for c, r in places]

    def _active(self, settle: "Settle") -> list[int]:
        """Places of who runs on: the first, and whoever may be better than it by more than does not
        matter."""
        everyone = list(range(len(self.contenders)))
        if self.race is None:  # one that has joined late makes up for it before anyone runs on
            return [c for c in everyone if self.rounds[c] < 2]
        if settle.until == "chance" and self.chances is not None:
            return [c for c in everyone if c == self.race.first or self.chances.best_C[c] > RUNS_ON]
        return np.flatnonzero(self.race.still_in(settle.margin if settle.until == "answer" else 0.0)).tolist()

    def _within(self) -> float:
        if self.race is None or self.chances is None:
            return 0.0
        return float(self.chances.within_C[self.race.first])


def contests(
    searched: Sequence[Ranked],
    scores: Sequence[ScoreRecord],
    configuration: Mapping[int, int],
    values: Mapping[int, Mapping[str, Any]],
    settle: "Settle",
    left: Collection[int] = (),
) -> list[Contest]:
    """searched: what the search and the baselines have come to. scores: of rounds. configuration: by trial.
    values: by configuration. left: configurations that are out of it, for a run of theirs failed."""
    by_value: dict[Any, list[Ranked]] = {}
    for each in sorted(searched, key=lambda each: each.standing.nelbo):
        value = values[each.entry.configuration].get(settle.by) if settle.by else None
        by_value.setdefault(value, []).append(each)
    spread = spread_of_search(searched)
    mine = [each for each in scores if each.round > 0 and each.split == "valid"]
    raced = {configuration[each.trial] for each in mine}
    found = []
    for value in sorted(by_value, key=lambda value: (value is None, isinstance(value, str), value)):
        rows = by_value[value]
        chosen = _contenders(rows, spread, settle)
        chosen += [c for each in rows if (c := each.entry.configuration) in raced and c not in chosen]
        chosen = [c for c in chosen if c not in left]
        found.append(_contest(value, chosen, rows, mine, configuration, spread, settle))
    return found


def _contenders(rows: Sequence[Ranked], spread: Pooled, settle: "Settle") -> list[int]:
    best = rows[0].standing.nelbo
    reach = SCREEN * math.sqrt(spread.variance) if spread.degrees else math.inf
    near = sum(each.standing.nelbo - best <= reach for each in rows)
    count = min(settle.contenders, max(LEAST, near))
    return [each.entry.configuration for each in rows[:count]]


def _contest(
    value: Any,
    chosen: list[int],
    rows: Sequence[Ranked],
    scores: Sequence[ScoreRecord],
    configuration: Mapping[int, int],
    spread: Pooled,
    settle: "Settle",
) -> Contest:
    mine = [each for each in scores if configuration[each.trial] in chosen]
    mine = [each for each in mine if quantity(each) == quantity(mine[0])]
    ran = {configuration[each.trial]: 0 for each in mine}
    have = {(configuration[each.trial], each.round) for each in mine}
    rounds = [next(r for r in range(len(have) + 1) if (c, r + 1) not in have) for c in chosen]
    nobody = Contest(value, chosen, rounds, None, None, math.inf)
    if max(rounds, default=0) < _least(settle) or not ran:
        return nobody
    prefix = dict(zip(chosen, rounds, strict=True))
    runs = [
        Run(chosen.index(c), each.round, each.nats)
        for each in mine
        if each.round <= prefix[c := configuration[each.trial]]
    ]
    # Whoever has run none stands in no row of the field: it is not held against the others yet.
    places, field = field_of(runs, mine[0].tokens)
    if len(places) < len(chosen):
        return nobody
    found = race(field, settle.seeds, settle.confidence, spread)
    alone = {each.entry.configuration: each for each in rows}
    everyone = [*chosen, *(c for c in alone if c not in chosen)]
    seed = _common_seed([alone[c].entry for c in everyone])
    beside = math.inf
    with_search = field
    if seed is not None:
        nats_CSD = np.array([[alone[c].entry.by_seed()[seed].nats] for c in everyone], np.float64)
        everywhere = Field(nats_CSD, field.tokens_D)
        if nats_CSD.shape[-1] == len(field.tokens_D):
            total = pooled(field.value_CS).plus(spread)
            beside = against_all(found, field, everywhere, range(len(chosen)), settle.confidence, total)
            with_search = Field(
                np.concatenate([nats_CSD[: len(chosen)], field.nats_CSD], axis=1), field.tokens_D
            )
    likely = chances(with_search, settle.margin, pooled(with_search.value_CS).plus(spread))
    return Contest(value, chosen, rounds, found, likely, beside)


def _least(settle: "Settle") -> int:
    """Rounds without which nothing can be said: a chance has the search's own seed beside the first."""
    return 1 if settle.until == "chance" else 2


def spread_of_search(searched: Sequence[Ranked]) -> Pooled:
    """Of what ran on several seeds there: baselines, replicates."""
    several = [each.entry for each in searched if len(each.entry.evaluated) > 1]
    if len(several) < 2:
        return Pooled()
    runs = [
        Run(entry.configuration, seed, each.nats)
        for entry in several
        for seed, each in zip(entry.seeds, entry.evaluated, strict=True)
    ]
    return pooled(field_of(runs, several[0].evaluated[0].tokens)[1].value_CS)


def _common_seed(entries: Sequence[Entry]) -> int | None:
    """A seed that all have run: the search's own."""
    common = set.intersection(*(set(entry.seeds) for entry in entries)) if entries else set()
    return min(common, default=None)


def scatter_of_store(reader: Reader, trainer: Mapping[str, Any]) -> float | None:
    """E, nats per token: what is left of a configuration's scatter over seeds once their common effects are
    out, in the newest sweeps of this store on the same data with the same model. None where none shows it."""
    from trainer.values import flatten  # with all that checks a specification

    total, about = Pooled(), _about(trainer)
    alike = [each for each in reader.sweeps() if _about(flatten(each.spec.get("trainer") or {})) == about]
    for sweep in sorted(alike, key=lambda each: each.created)[-NEWEST:]:
        trials = [trial for trial in reader.trials(sweep.id) if trial.repeat_of is None]
        searched = [trial for trial in trials if trial.role not in AFTER_SEARCH]
        rows = ranking(entries_of(searched, ranked_by(reader, sweep.id))).rows
        total = total.plus(spread_of_search(rows))
    return math.sqrt(total.variance / 2) if total.squares else None


def _about(trainer: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in trainer.items() if key.startswith(("data.", "model."))}
