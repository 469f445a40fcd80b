"""The store's rows as a board: configurations, not runs, ranked with intervals and ties."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from operator import is_not
from typing import Any, NamedTuple

from sweeper.results.alarms import alarms
from sweeper.results.answer import Answer, answers
from sweeper.results.estimates import WhenAsked, gaps
from sweeper.results.fresh import Fresh, fresh
from sweeper.results.limits import Prices, limits
from sweeper.results.pareto import on_the_front
from sweeper.results.race_plan import UNSCORED
from sweeper.results.ranking import (
    AFTER_SEARCH,
    NONE,
    STATES,
    Entry,
    as_evaluation,
    comparable,
    entries_of,
    ranking_of,
)
from sweeper.results.row import Differing, Later, Row
from sweeper.results.rows import ranked_rows, unranked_rows, with_fresh, with_optimism
from sweeper.store.engine import StoreError
from sweeper.store.followed import Followed, ahead
from sweeper.store.queries import Reader
from sweeper.store.records import SWEEP_ENDS, EvaluationRecord, SweepRecord, TrialRecord
from sweeper.words import in_precisions

SCHEMA_VERSION = 2  # 2: rank_low, rank_high, regret, p_best, p_within; = by comparisons with the best


RANKED_WITH = ("val_nelbo", "val_bpb", "test_nelbo")  # metrics that any board is made of


class Board(NamedTuple):
    id: int
    name: str
    state: str
    note: str
    metric: str  # what the sweep ranks by: val_nelbo, val_ppl and val_bpb order alike
    trials: dict[str, int]  # how many in each state, repeats left out
    searched: list[str]  # the dotted names that vary between configurations
    rows: list[Row]  # those with fresh numbers first, then ranked ones; best first
    also: tuple[str, ...] = ()  # the other metrics that the sweep searches on
    winning: int | None = None  # configuration
    effective_documents: float = 0.0  # as many equal ones would say as much
    fresh: Fresh | None = None  # what was measured after the search
    limits: Sequence[str] = ()  # lines: what keeps rows tied with the first, and what would tell; if anything
    alarms: Sequence[str] = ()  # rows that are better than they can be
    varied: tuple[str, ...] = ()  # what the specification varies, in its order: no defaults that come with it
    numbered_before: bool = False  # it ended before trials had numbers, under another rule
    precisions: Mapping[str, int] = {}  # in each of them, how many trials were evaluated

    @property
    def ended(self) -> bool:
        """Whether it does not change any more."""
        return self.state in SWEEP_ENDS

    @property
    def confirmed(self) -> list[Row]:
        return [row for row in self.rows if row.confirmed_seeds]

    @property
    def winner(self) -> Row | None:
        """The configuration that is better than every other beyond the error; None while there is none.

        Once there are fresh numbers, they alone decide.
        """
        return next((row for row in self.rows if row.configuration == self.winning), None)

    @property
    def answers(self) -> tuple[Answer, ...]:
        return answers(self.rows, self.fresh, self.winning, self.varied or self.searched)

    @property
    def said(self) -> tuple[str, ...]:
        """Lines above the rows: the answers, and what limits them while they are not settled."""
        found = self.answers
        more = () if all(each.settled for each in found) else self.limits
        return (*(each.text for each in found), *more, *self._mixed())

    def _mixed(self) -> Iterator[str]:
        if len(self.precisions) > 1:
            yield (
                f"Precision is {in_precisions(self.precisions)}: "
                "differences between these are of rounding, too."
            )

    def to_json(self) -> dict[str, Any]:
        found = self.answers
        return {
            "schema_version": SCHEMA_VERSION,
            "answer": {"text": "\n".join(each.text for each in found), "parts": [a.to_json() for a in found]},
            "limits": list(self.limits),
            "alarms": list(self.alarms),
            "precisions": dict(self.precisions),
            "sweep": {"id": self.id, "name": self.name, "state": self.state, "trials": self.trials},
            "rows": [row.to_json() for row in self.rows],
        }


def leaderboard(reader: Reader, sweep_name: str) -> Board:
    """Raises StoreError where the store has no such sweep."""
    return Watched(Followed(reader, sweep_named(reader, sweep_name).name)).board()


class Watched:
    """A sweep's board, made again from what has changed since the last one. One thread at a time.

    What is held by configuration is made anew where a trial of it has changed, and what is ranked together
    where one of these has."""

    def __init__(self, now: Followed):
        """Reads nothing yet."""
        self.now = now
        self._forget()

    def _forget(self) -> None:
        self._ranks: dict[int, EvaluationRecord] = {}  # by trial
        self._trials: dict[int, list[int]] = {}  # of the search, by configuration
        self._entries: dict[int, Entry] = {}  # the same
        self._unranked: dict[int, Row] = {}  # as if nothing was ranked
        self._differing = Differing()
        self._group: list[Entry] = []  # what is ranked together
        self._search, self._places = NONE, set[int]()
        self._made_of: Any = None  # what the rows that have a rank were made of, beside trials
        self._stages: list[str] = []  # keys of those whose cost is said in them
        self._after: Fresh | None = None
        self._ranked: list[Row] = []
        self._limits: Sequence[str] = ()

    def board(self) -> Board:
        """As one made of all that is stored, to the bit. Raises StoreError where there is no sweep."""
        changed = self.now.refresh()
        if changed is None:
            self._forget()
            changed = set(self.now.trials)
        self._take(changed)
        now, trials = self.now, [each for each in self.now.trials.values() if each.repeat_of is None]
        entries = list(self._entries.values())
        group = comparable(entries)
        ranked_anew = len(group) != len(self._group) or any(map(is_not, group, self._group))
        if ranked_anew:
            self._group, self._search = group, ranking_of(group)
            self._places = {entry.configuration for entry in group}
        self._rank(trials, changed, ranked_anew)
        rest = [self._unranked[c] for c in self._entries if c not in self._places]
        rest.sort(key=lambda row: (_order(row.state), row.val_nelbo or math.inf, row.configuration))
        metrics, after = metrics_of(now.sweep), self._after
        return Board(
            id=now.sweep.id,
            name=now.sweep.name,
            state=now.sweep.state,
            note=now.sweep.note,
            metric=metrics[0],
            trials=dict(Counter(trial.state for trial in trials)),
            searched=sorted(self._differing.names),
            rows=self._ranked + rest,
            also=tuple(metrics[1:]),
            winning=self._search.winner if after is None else after.winner,
            effective_documents=self._search.effective_documents,
            fresh=after,
            limits=self._limits,
            alarms=alarms(entries),
            varied=varied(now.sweep.spec),
            precisions=dict(Counter(e.provenance.get("precision", "float32") for e in self._ranks.values())),
            numbered_before=now.sweep.state in SWEEP_ENDS and all(t.trial_number is None for t in trials),
        )

    def _take(self, changed: set[int]) -> None:
        """What is held by configuration."""
        now, changed_trials = self.now, [self.now.trials[each] for each in sorted(changed)]
        configurations: dict[int, None] = {}  # in order
        for trial in changed_trials:
            scored = [s for s in now.scores.get(trial.id, ()) if s.round == 0 and s.split == "valid"]
            found = as_evaluation(scored[0]) if scored else now.evaluations["valid"].get(trial.id)
            if found is not None:
                self._ranks[trial.id] = found
            if trial.repeat_of is None and trial.role not in AFTER_SEARCH:
                mine = self._trials.setdefault(trial.configuration, [])
                mine += [] if trial.id in mine else [trial.id]
                configurations[trial.configuration] = None
        dirty = [now.trials[id] for c in configurations for id in self._trials[c]]
        entries = entries_of(dirty, self._ranks, now.latest)
        self._describe(entries)
        self._entries |= {entry.configuration: entry for entry in entries}

    def _describe(self, entries: Sequence[Entry]) -> None:
        """Their rows as if nothing was ranked."""
        values = [self.now.values[entry.configuration] for entry in entries]
        for entry, mine in zip(entries, values, strict=True):
            if entry.configuration not in self._entries:
                self._differing.add(mine)
        self._unranked |= {row.configuration: row for row in unranked_rows(entries, values)}

    def _look_ahead(self, later: Sequence[TrialRecord]) -> None:
        """later: trials that ran after the search."""

    def _rank(self, trials: Sequence[TrialRecord], changed: set[int], ranked_anew: bool) -> None:
        """The rows that have a rank, where what they are made of is not as it was."""
        now = self.now
        spec, reader = now.sweep.spec, now.reader
        unscored = reader.trials_said(now.sweep.id, UNSCORED) if "settle" in spec else set[int]()
        made_of = spec, unscored, now.sweep.state in SWEEP_ENDS, reader.stages_behind(self._stages)
        later = [trial for trial in trials if trial.role in AFTER_SEARCH]
        decides = {trial.id for trial in later} | now.scores.keys()
        if not ranked_anew and made_of == self._made_of and not decides & changed:
            return
        test, search = now.evaluations["test"], self._search
        self._look_ahead(later)
        after = fresh(now, trials, self._ranks, search, unscored)
        also = WhenAsked(search.rows, test)
        places = [each.entry.configuration for each in search.rows]
        unranked = [self._unranked[c] for c in places]
        rows = ranked_rows(unranked, search.rows, [Later(also.of, c) for c in places], after)
        rows = with_fresh(rows, after, later)
        if after is not None:
            rows = with_optimism(
                rows, gaps([each.entry for each in search.rows], test, after.gaps), after.gaps
            )
        kind = "search" if after is None else "confirmed" if after.settle is None else "race"
        groups = [search.rows] if after is None else after.ranked
        tied = [row for group in groups for row in group if row.standing.tied_with_best or row is group[0]]
        self._stages = sorted({t.stage for row in tied for t in row.entry.trials if t.stage is not None})
        stages = reader.stages_behind(self._stages)
        prices = Prices({stage.key: stage for stage in stages}, now.all_scores())
        ahead(now.values, (row.entry.configuration for row in tied))
        limited = limits(groups, kind, now.values, prices)
        rows = [
            row if (limit := limited.of.get(row.configuration)) is None else row._replace(limits=limit)
            for row in rows
        ]
        if len(metrics := metrics_of(now.sweep)) > 1:
            best = on_the_front(rows, metrics)
            rows = [row._replace(pareto=row.configuration in best) for row in rows]
        self._made_of = *made_of[:-1], stages
        self._after, self._ranked, self._limits = after, rows, limited.lines


def first_row(board: Board) -> Row | None:
    """What the first answer says to take; where it names none, the first row that is ranked."""
    taken = board.answers[0].configuration
    ranked = (row for row in board.rows if row.rank is not None)
    return next((row for row in ranked if taken in (None, row.configuration)), None)


def best_run(reader: Reader, board: Board, row: Row) -> TrialRecord | None:
    """Of a row's complete runs the one whose best checkpoint has the lowest bound on the valid split: as it
    was scored again where it was, else as the log has it. None: none was evaluated."""
    found = {each.trial: each.nelbo for each in reader.evaluations(board.id, "valid")}
    found |= {
        each.trial: each.nelbo
        for each in reader.scores(board.id)
        if each.round == 0 and each.split == "valid"
    }
    runs = [trial for trial in reader.trials(board.id) if trial.id in row.trials and trial.id in found]
    complete = [trial for trial in runs if trial.state == "complete"]
    return min(complete or runs, key=lambda trial: (found[trial.id], trial.id), default=None)


def sweep_named(reader: Reader, name: str) -> SweepRecord:
    """Raises StoreError where the store has no such sweep."""
    sweep = reader.sweep(name)
    if sweep is None:
        names = ", ".join(each.name for each in reader.sweeps()) or "none"
        raise StoreError(f"there is no sweep {name} in this database; there are: {names}")
    return sweep


def metrics_of(sweep: SweepRecord) -> list[str]:
    """What the search optimises; the first one ranks and prunes."""
    metric = sweep.spec.get("metric", "val_ppl")
    return [metric] if isinstance(metric, str) else list(metric)


def varied(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of its space and of its baselines."""
    entries = spec.get("always") or ()
    return tuple(dict.fromkeys([*(spec.get("space") or ()), *(key for entry in entries for key in entry)]))


def _order(state: str) -> int:
    return STATES.index(state) if state in STATES else len(STATES)
