"""Which runs does no sampler propose? Baselines, replicates of the search, confirmations of its best.

A replicate has its own seed, and so its own pretrain, data order and masks: what varies from training to
training does so in the pretrain more than in the fine-tune, and replicates that shared one would hide it.

A confirmation has a seed and a pretrain that the search never saw. The best of many is partly the luckiest
of them: its own numbers flatter it. Runs on fresh seeds do not know that it was picked.
"""

from collections.abc import Iterator

from sweeper.driver.event_log import EventLog
from sweeper.driver.lease import HeldSweep
from sweeper.driver.trials import Trials
from sweeper.results.ranking import best_of_search
from sweeper.spec.spec import SweepSpec
from sweeper.store.records import TrialRecord
from trainer.config.train_config import content_hash


class Replication:
    """baselines, once; want, of every trial of the search; due, now and then: trials to be queued."""

    def __init__(self, spec: SweepSpec, trials: Trials):
        self._spec, self._trials = spec, trials
        self._have = {(trial.configuration, trial.seed) for trial in trials.own}
        self._wanted: dict[int, TrialRecord] = {}  # by the trial that must be complete first
        for trial in trials.stored:
            self.want(trial)

    def baselines(self) -> list[int]:
        """Those that are not there yet."""
        have = {(t.configuration, t.seed) for t in self._trials.own if t.role == "baseline"}
        added: list[int] = []
        for seed in self._spec.always_seed_values:
            for params in self._spec.always:
                config = self._spec.train_config(params, seed)
                configuration = self._trials.configuration(config)
                if (configuration, seed) not in have:
                    have.add((configuration, seed))
                    self._have.add((configuration, seed))
                    added += self._trials.add_outside("baseline", [(params, config)])
        return added

    def want(self, record: TrialRecord) -> None:
        """The configuration of a trial of the search, even if that repeats a baseline."""
        if record.number is not None and self._spec.replicates > 1:
            self._wanted.setdefault(record.repeat_of or record.id, record)

    def due(self) -> list[int]:
        """The replicates of what is complete now. Pruned and failed ones get none."""
        added: list[int] = []
        for original in list(self._wanted):
            state = self._trials.states[original]
            if state == "complete":
                added += self._replicate(self._wanted[original])
            if state not in ("queued", "running"):
                del self._wanted[original]
        return added

    def _replicate(self, record: TrialRecord) -> Iterator[int]:
        for seed in self._spec.replicate_seed_values:
            if (record.configuration, seed) not in self._have:
                self._have.add((record.configuration, seed))
                config = self._spec.train_config(record.params, seed)
                yield from self._trials.add_outside("replicate", [(record.params, config)])


class Confirmation:
    """The trials of role confirm are the record of what was decided; all of a decision come at once."""

    def __init__(self, held: HeldSweep, trials: Trials, events: EventLog):
        self._held, self._spec, self._trials, self._events = held, held.spec, trials, events

    def due(self) -> list[int]:
        """To be asked for when nothing else is left to run: the trials to be queued, which are added."""
        if self._spec.confirm is None:
            return []
        reader, sweep = self._held.reader, self._held.record.id
        stored = reader.trials(sweep)
        confirming = [trial.id for trial in stored if trial.role == "confirm"]
        if confirming and max(confirming) > max(trial.id for trial in stored if trial.role != "confirm"):
            return []  # decided since the search has ended
        chosen = best_of_search(reader, sweep, self._spec.confirm.top)
        params = {trial.configuration: trial.params for trial in reversed(stored) if trial.role != "confirm"}
        runs = []
        for seed in self._spec.confirm_seed_values:  # all on one seed first: they share its pretrain
            for configuration in chosen:
                config = self._spec.train_config(params[configuration], seed)
                if self._trials.equal_to(content_hash(config.content()), seed) is None:
                    runs.append((params[configuration], config))
        if not runs:
            return []
        with self._held.writer.together():
            self._events.note(
                "confirm", f"the search has ended; {len(runs)} runs confirm its best on new seeds"
            )
            return self._trials.add_outside("confirm", runs)
