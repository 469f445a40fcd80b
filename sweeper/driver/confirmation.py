"""What is run when the search has ended: its best configurations, on seeds and pretrains that it never saw.

The best of many is partly the luckiest of them: its own numbers flatter it. Runs on fresh seeds do not know
that it was picked.
"""

from sweeper.driver.trials import Trials
from sweeper.results.ranking import best_of_search
from sweeper.spec.spec import SweepSpec
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord
from trainer.config.train_config import content_hash


class Confirmation:
    """The trials of role confirm are the record of what was decided; all of a decision come at once."""

    def __init__(self, spec: SweepSpec, sweep: SweepRecord, reader: Reader, trials: Trials):
        self._spec, self._sweep, self._reader, self._trials = spec, sweep, reader, trials

    def due(self) -> list[int]:
        """To be asked for when nothing else is left to run: the trials to be queued, which are added."""
        if self._spec.confirm is None:
            return []
        stored = self._reader.trials(self._sweep.id)
        confirming = [trial.id for trial in stored if trial.role == "confirm"]
        if confirming and max(confirming) > max(trial.id for trial in stored if trial.role != "confirm"):
            return []  # decided since the search has ended
        chosen = best_of_search(self._reader, self._sweep.id, self._spec.confirm.top)
        params = {trial.configuration: trial.params for trial in reversed(stored) if trial.role != "confirm"}
        runs = []
        for seed in self._spec.confirm_seed_values:  # all on one seed first: they share its pretrain
            for configuration in chosen:
                config = self._spec.train_config(params[configuration], seed)
                if self._trials.equal_to(content_hash(config.content()), seed) is None:
                    runs.append((params[configuration], config))
        return self._trials.add_outside("confirm", runs)
