"""What is asked of Optuna that Optuna keeps for itself: private names, and how its parts speak to each other.

Read in the sources of the version below. tests/sweeper/strategies/test_optuna_private.py holds each of them
against the one that is installed, and says what to look at where it is another.
"""

from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial, TrialState

if TYPE_CHECKING:
    from optuna.pruners import HyperbandPruner
    from optuna.samplers import NSGAIISampler
    from optuna.study import Study

VERSION = "5.0"
# A trial's attribute, by the number of the rung that it has come to: the value with which it came.
RUNG = "completed_rung_"
# The states of which a study asks its storage for trials that were enqueued, and nothing else asks.
ENQUEUED = (TrialState.WAITING,)
FAILED = (TrialState.FAIL,)  # nothing of Optuna's asks for these alone


def generation_key(sampler: "type[NSGAIISampler]") -> str:
    """The attribute that says which generation a trial belongs to. The name of the class is part of it."""
    return sampler._get_generation_key()


def set_attribute(study: "Study", trial: FrozenTrial, name: str, value: object) -> None:
    """An attribute of a trial of the study; the trial in hand, a copy, does not get it."""
    study._storage.set_trial_system_attr(trial._trial_id, name, value)  # type: ignore[arg-type]


def bracket_of(pruner: "HyperbandPruner", study: "Study", trial: FrozenTrial) -> int:
    """A hash of the study's name and the trial's number. The pruner must have been asked once."""
    return pruner._get_bracket_id(study, trial)
