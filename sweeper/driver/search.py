"""What does the search try, and when is it over? Proposals become trials, repeats are told what is known."""

from collections.abc import Sequence
from typing import NamedTuple

from sweeper.driver.lease import HeldSweep
from sweeper.driver.trials import Trials, steps
from sweeper.search.proposals import AT_RANDOM, SAMPLED, UNFINISHED, Proposal, Proposals
from sweeper.store.records import ForeignTrial, TrialRecord
from trainer.config.problems import InvalidConfig, MissingFiles
from trainer.config.train_config import TrainConfig, content_hash

ENDED_EARLY = "the search has ended: "  # what a sentence begins with that says why it tries no more
MOST_REPEATS = 200  # proposals in a row that were made before: the space is as good as exhausted


class Asked(NamedTuple):
    """A proposal, and the run that it is."""

    proposal: Proposal
    config: TrainConfig | None
    hash: str
    error: str  # why it is no run; '' where it is one


class Search:
    def __init__(self, held: HeldSweep, trials: Trials, foreign: Sequence[ForeignTrial] = ()):
        """foreign: trials of other sweeps, which the sampler knows from the beginning."""
        self._spec, self._trials, self._writer = held.spec, trials, held.writer
        spec = held.spec
        self.target = spec.search.trials  # configurations to try; grows where the sweep is extended
        self._size = spec.space.size() if spec.dimensions else 0
        proposed = [trial for trial in trials.stored if trial.number is not None]
        self._tried = {trial.configuration for trial in proposed}
        self.count = sum(trial.repeat_of is None for trial in proposed)
        self._repeats_in_row = 0
        for trial in proposed:
            self._repeats_in_row = 0 if trial.repeat_of is None else self._repeats_in_row + 1
        self._waiting = [each for each in proposed if each.repeat_of and each.state in UNFINISHED]
        self._proposals = Proposals(spec, trials.stored, trials.outcomes(), foreign)
        self._impossible = False

    def over(self) -> str | None:
        """None while it goes on; '' where it has come to its planned end; else a sentence."""
        if self._impossible:
            tries = SAMPLED + AT_RANDOM
            return f"{ENDED_EARLY}{tries:,} proposals in a row broke a constraint"
        if self._proposals.exhausted or self.count >= self.target:
            return ""
        if self._size is not None and len(self._tried) >= self._size:
            return f"{ENDED_EARLY}all {self._size} configurations of the space have been tried"
        if self._repeats_in_row >= MOST_REPEATS:
            return f"{ENDED_EARLY}{MOST_REPEATS} proposals in a row had been made before"
        return None

    def most_waiting(self, slots: int) -> int:
        """How many trials may wait for their stages before it is no use to propose another.

        What a sampler that learns proposes would be stale by the time that it runs; another's proposals
        never are, and a few more of them may find a stage that is ready.
        """
        return slots if self._spec.search.strategy.learns else 4 * slots

    def ask(self) -> Asked | None:
        """None where nothing was found that satisfies the constraints: the search is over. Raises
        MissingFiles: what can be run one day is no trial that failed. Nothing is written.
        """
        proposal = self._proposals.ask()
        if proposal is None:
            self._impossible = True
            return None
        try:
            config = self._spec.train_config(proposal.params, self._spec.search.seed)
        except MissingFiles:
            raise
        except InvalidConfig as invalid:
            return Asked(proposal, None, content_hash({"impossible": proposal.params}), str(invalid))
        return Asked(proposal, config, content_hash(config.content()), "")

    def add(self, asked: Asked) -> tuple[TrialRecord, str]:
        """A new trial: queued; or repeating another; or with the sentence that says why it cannot be run."""
        proposal, config, hash, error = asked
        original = self._trials.equal_to(hash, self._spec.search.seed)
        if original is not None:
            configuration = self._writer.add_configuration(hash, proposal.params)
            record = self._repeat(proposal, original, configuration, 0 if config is None else steps(config))
        elif config is None:
            # It counts, or a space of nothing else would never end.
            record = self._trials.add_impossible(hash, self._spec.search.seed, proposal, error)
        else:
            record = self._trials.add(config, "search", proposal)
        self._tried.add(record.configuration)
        self.count += original is None
        self._repeats_in_row = 0 if original is None else self._repeats_in_row + 1
        return record, error

    def _repeat(self, proposal: Proposal, original: int, configuration: int, steps: int) -> TrialRecord:
        state = self._trials.states[original]
        record = self._writer.add_trial(
            configuration=configuration,
            role="search",
            seed=self._spec.search.seed,
            steps=steps,
            repeat_of=original,
            state="queued" if state in UNFINISHED else state,
            **proposal._asdict(),
        )
        if state in UNFINISHED:
            self._waiting.append(record)
        else:
            self._proposals.tell(proposal.number or 0, self._trials.outcome(original))
        return record

    def tell(self, record: TrialRecord) -> None:
        """That a trial has ended: whatever repeats it has its state and its value."""
        if record.number is not None:
            self._proposals.tell(record.number, self._trials.outcome(record.id))
        self.settle()

    def settle(self) -> None:
        """Ends the repeats of trials that have ended."""
        for repeat in list(self._waiting):
            original = repeat.repeat_of or 0
            state = self._trials.states[original]
            if state not in UNFINISHED:
                self._waiting.remove(repeat)
                self._writer.end_trial(repeat.id, self._writer.start_trial(repeat.id), state)
                self._proposals.tell(repeat.number or 0, self._trials.outcome(original))
