"""A study of which a sampler sees no more than a fixed number of trials: what bounds a proposal's cost."""

from bisect import bisect_left, insort
from collections.abc import Container
from copy import deepcopy as copy_of

from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from sweeper.strategies.optuna_private import ENQUEUED, FAILED


class BoundedStudy(InMemoryStorage):
    """Of one study. Half of what is seen are the best trials, the rest the latest; failures are seen
    only where they are asked for alone.

    The best by several metrics: equal shares of the best by each. What is seen depends on the trials
    that there are alone, not on the order in which they ended.
    """

    def __init__(self, size: int):
        super().__init__()
        self._size = size
        self._only_study = 0
        self._there: list[int] = []  # ids in order, failures left out
        self._ended: dict[int, FrozenTrial] = {}
        self._ranked: list[list[tuple[float, int]]] = []  # by each metric: the best first
        self._seen: list[int] | None = None  # ids in order, until something changes

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        trial_id = super().create_new_trial(study_id, template_trial)
        self._only_study = study_id
        self._there.append(trial_id)
        self._note(trial_id)
        return trial_id

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: object = None) -> bool:
        changed = super().set_trial_state_values(trial_id, state, values)  # type: ignore[arg-type]
        self._note(trial_id)
        return changed

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if states in (ENQUEUED, FAILED):
            return super().get_all_trials(study_id, deepcopy, states)
        if self._seen is None:
            self._seen = self._choose()
        trials = [self._ended.get(each) or self.get_trial(each) for each in self._seen]
        kept = [trial for trial in trials if states is None or trial.state in states]
        return copy_of(kept) if deepcopy else kept

    def _note(self, trial_id: int) -> None:
        self._seen = None
        trial = self.get_trial(trial_id)
        if not trial.state.is_finished():
            return
        if trial.state == TrialState.FAIL:
            del self._there[bisect_left(self._there, trial_id)]
            return
        self._ended[trial_id] = trial
        if trial.state == TrialState.COMPLETE:
            directions = self.get_study_directions(self._only_study)
            self._ranked = self._ranked or [[] for _ in directions]
            for ranked, direction, value in zip(self._ranked, directions, trial.values, strict=True):
                sign = 1.0 if direction == StudyDirection.MINIMIZE else -1.0
                insort(ranked, (sign * value, trial_id))

    def _choose(self) -> list[int]:
        if len(self._there) <= self._size:
            return list(self._there)
        share = self._size // 2 // max(1, len(self._ranked))
        best = {trial_id for ranked in self._ranked for _, trial_id in ranked[:share]}
        latest: list[int] = []
        for trial_id in reversed(self._there):
            if len(best) + len(latest) == self._size:
                break
            if trial_id not in best:
                latest.append(trial_id)
        return sorted([*best, *latest])
