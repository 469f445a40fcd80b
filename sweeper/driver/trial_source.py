"""Where do a sweep's trials come from? The baselines, the search, replicates, confirmations, the race."""

from sweeper.driver.control_requests import ControlRequests
from sweeper.driver.event_log import EventLog
from sweeper.driver.jobs import ScoringJob
from sweeper.driver.lease import HeldSweep
from sweeper.driver.replication import Confirmation, Replication
from sweeper.driver.search import Asked, Search
from sweeper.driver.settling import Settling
from sweeper.driver.trials import Trials
from sweeper.results.progress_estimate import Planned
from sweeper.search.early_stopping import early_stopping
from sweeper.search.warm_start import foreign_trials
from sweeper.store.records import ForeignTrial, TrialRecord


class TrialSource:
    """Every method that adds trials returns those that are to be queued; they are in the store by then."""

    def __init__(self, held: HeldSweep, trials: Trials, events: EventLog, requests: ControlRequests):
        self._held, self._spec = held, held.spec
        self._trials, self._events, self._requests = trials, events, requests
        self.look_again()
        self._confirmation = Confirmation(held, trials, events)
        self._settling = Settling(held, trials, events)
        self.planned = Planned.of(held.spec.resolved())

    def look_again(self) -> None:
        """At all trials: what is known of the search comes of the store alone."""
        held, trials = self._held._replace(spec=self._spec), self._trials
        self._search = Search(held, trials, _warm_start(held, self._events))
        self.early_stopping = early_stopping(held.spec, held.record, trials.stored, held.reader)
        self._replication = Replication(held.spec, trials)
        self._search_over = False

    def baselines(self) -> list[int]:
        self._search.settle()
        return self._replication.baselines()

    def replicates(self) -> list[int]:
        """Of what is complete by now."""
        return self._replication.due()

    def may_propose(self, waiting: int, slots: int) -> bool:
        """waiting: trials of the search that are proposed and not begun."""
        if self._search_over:
            return False
        why = self._search.over()
        if why is None:
            return waiting < self._search.most_waiting(slots)
        self._search_over = True
        if why:
            self._events.note("search", why)
        return False

    def ask(self) -> Asked | None:
        """What the search is to try next; nothing is written. None: it is over."""
        return self._search.ask()

    def add(self, asked: Asked) -> tuple[TrialRecord, str]:
        """A trial that is to be run; one that cannot be, and why; or one that repeats another, which is said.
        To be called in a transaction: a kill leaves all of it, or nothing."""
        record, error = self._search.add(asked)
        self._replication.want(record)
        values = {} if record.repeat_of else self._trials.entry(record.id).values
        self.early_stopping.add(record, values)
        if record.repeat_of is None:
            return record, error
        original = self._trials.called(record.repeat_of)
        self._events.record("repeat", f"proposal {record.number} repeats trial {original}", record.id)
        return record, ""

    def confirmations(self) -> list[int]:
        """To be asked for once the search and its replicates have ended."""
        return self._confirmation.due()

    def race(self) -> list[int]:
        """To be asked for once nothing else is left: what runs in its next round."""
        return self._settling.due(self._spec)

    def scorings(self) -> list[ScoringJob]:
        """Of what is complete by now in the race."""
        return self._settling.scorings(self._spec)

    def extend(self) -> bool:
        """Whether someone has asked that the search try more, and it may."""
        before = self._search.target
        self._spec = self._requests.settled(self._requests.extended(self._spec))
        self._search.target = self._spec.search.trials
        self._search_over = self._search_over and self._search.target == before
        self.planned = self.planned._replace(configurations=self._search.target)
        return self._search.target > before

    def tell(self, record: TrialRecord, state: str) -> None:
        """That a trial has ended."""
        self.early_stopping.end(record, state)
        self._search.tell(record)

    @property
    def search_over(self) -> str | None:
        """None while it goes on; '' where it has come to its planned end; else a sentence."""
        return self._search.over()

    @property
    def proposed(self) -> int | None:
        """Configurations, by the search; None: it is over."""
        return None if self._search.over() is not None else self._search.count


def _warm_start(held: HeldSweep, events: EventLog) -> list[ForeignTrial]:
    """Those written down; of a sweep that has just begun, those that fit, which are written down now.

    Raises InvalidConfig in a sentence, with nothing written, where another sweep has none that fit.
    """
    if not held.spec.search.warm_start:
        return []
    if known := held.reader.foreign_trials(held.record.id):
        return known
    chosen = foreign_trials(held.spec, held.reader)
    from_where = ", ".join(held.spec.search.warm_start)
    with held.writer.together():
        held.writer.add_foreign_trials(chosen)
        events.note("warm start", f"the search begins with {len(chosen)} trials of {from_where}")
    return chosen
