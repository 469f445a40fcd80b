"""Optuna's NSGA-II, but a study that was rebuilt from the store goes on as the one that was lost."""

from optuna.samplers import NSGAIISampler
from optuna.study import Study
from optuna.trial import FrozenTrial


class Evolution(NSGAIISampler):
    """Its name is part of the attributes that Optuna gives a trial, and so of every store: it must stay."""

    def select_parent(self, study: Study, generation: int) -> list[FrozenTrial]:
        """In the order of their numbers: Optuna's first answer is in another order than its later ones,
        which it takes from a memory that dies with the process; and crossover picks by place."""
        return sorted(super().select_parent(study, generation), key=lambda trial: trial.number)
