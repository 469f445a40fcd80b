"""A board of whose rows a terminal shows the first: what is it made of, and what is not even read?"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

from sweeper.results.leaderboard import RANKED_WITH, Board, Watched, metrics_of, varied
from sweeper.results.ranking import Entry, entries_of
from sweeper.results.row import Later, Row
from sweeper.results.rows import unranked_rows
from sweeper.store.followed import MANY, Followed, Glance, ahead, glance
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord, TrialRecord


class Glanced(Watched):
    """A board that is made once, of whose rows the first are looked at: what the others have beside what they
    are ranked by is read where somebody asks for it, but their steps, which are none."""

    now: Glance

    def __init__(self, now: Glance, shown: int):
        super().__init__(now)
        self._shown = shown
        self._as_stored: dict[int, Row] = {}  # as if nothing was ranked

    def board(self) -> Board:
        board = super().board()
        self._look_at([row.configuration for row in board.rows[: self._shown]])
        first = [row._replace(step=self._row(row.configuration).step) for row in board.rows[: self._shown]]
        return board._replace(rows=first + board.rows[self._shown :])

    def _describe(self, entries: Sequence[Entry]) -> None:
        places = [entry.configuration for entry in entries]
        if not varied(self.now.sweep.spec):
            for each in places:
                self._differing.add(self.now.values[each])
        values = [Later(self.now.values.__getitem__, each) for each in places]
        metrics = [Later(lambda c: self._row(c).metrics, each) for each in places]
        self._unranked = {row.configuration: row for row in unranked_rows(entries, values, metrics)}

    def _look_ahead(self, later: Sequence[TrialRecord]) -> None:
        """By how much picking flattered is said of what ran after the search, and told by several seeds."""
        after = {trial.configuration for trial in later}
        several = [mine for c, mine in self._trials.items() if len(mine) > 1 or c in after]
        ran = [trial.id for trial in later]
        ahead(self.now.all_latest, ran)
        if after:
            ahead(self.now.evaluations["test"], [*ran, *chain.from_iterable(several)])

    def _look_at(self, configurations: Collection[int]) -> None:
        now, mine = self.now, [id for c in configurations for id in self._trials[c]]
        ahead(now.values, configurations)
        ahead(now.all_latest, mine)
        entries = entries_of([now.trials[each] for each in mine], self._ranks, now.all_latest)
        rows = unranked_rows(entries, [now.values[entry.configuration] for entry in entries])
        self._as_stored |= {row.configuration: row for row in rows}

    def _row(self, configuration: int) -> Row:
        if configuration not in self._as_stored:
            self._look_at(self._entries)
        return self._as_stored[configuration]


@contextmanager
def watched(
    reader: Reader, sweep: SweepRecord, metrics: Collection[str] | None, shown: int | None
) -> Iterator[Watched]:
    """For one board. metrics: that its rows have; None: all. shown: as many rows are looked at, in their own
    order; None: all."""
    read = None if metrics is None else {*metrics, *RANKED_WITH}
    if read is None or shown is None or shown > MANY or len(metrics_of(sweep)) > 1:
        yield Watched(Followed(reader, sweep.name, read))
        return
    with glance(reader, sweep.name, read) as now:
        yield Glanced(now, shown)
