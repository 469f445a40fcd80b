"""When is a trial that does badly ended early? One class a pruner: its settings, and what it makes of Optuna.

A pruner sees one value of the sweep's (first) metric for each evaluation, by fine-tune step: a shared
pretrain tells no two trials apart. A new one is one class here and its name in the union at the foot.
"""

from abc import abstractmethod
from collections.abc import Mapping
from statistics import median
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import Field

from trainer.values import Settings

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.study import Study
    from optuna.trial import FrozenTrial


class Pruner(Settings):
    """Abstract. Steps are fine-tune steps: the pretrain's are not counted."""

    min_steps: int = Field(ge=1, description="Fine-tune steps before which no trial is ended.")

    @abstractmethod
    def make(self, steps: int) -> "BasePruner":
        """steps: of the longest fine-tune there can be."""

    @abstractmethod
    def why(self, study: "Study", trial: "FrozenTrial") -> str:
        """Of a trial just ended, what follows its value: ' is not among the best 2 of the 9 ...'."""


class _Halving(Pruner):
    """Abstract. At each rung the best 1 in reduction_factor of the trials that have come to it go on."""

    reduction_factor: int

    def compared(self, study: "Study", trial: "FrozenTrial") -> list["FrozenTrial"]:
        return study.get_trials(deepcopy=False)

    def why(self, study: "Study", trial: "FrozenTrial") -> str:
        from sweeper.strategies.optuna_private import RUNG

        sign, others = _sign(study), self.compared(study, trial)
        rung = max(int(key.removeprefix(RUNG)) for key in trial.system_attrs if key.startswith(RUNG))
        name = f"{RUNG}{rung}"
        came = sorted(sign * each.system_attrs[name] for each in others if name in each.system_attrs)
        best = max(1, len(came) // self.reduction_factor)
        best_in_words = "the best" if best == 1 else f"among the best {best}"
        bound = sign * came[best - 1]
        return f" is not {best_in_words} of the {len(came)} trials at rung {rung}, where {bound:.6g} goes on"


class SuccessiveHalving(_Halving):
    """Asynchronous successive halving (Li et al. 2018): rungs at min_steps * reduction_factor^i."""

    pruner: Literal["successive_halving"] = "successive_halving"
    reduction_factor: int = Field(4, ge=2, description="1 in so many goes on; a rung's step over the last's.")

    def make(self, steps: int) -> "BasePruner":
        from optuna.pruners import SuccessiveHalvingPruner

        return SuccessiveHalvingPruner(self.min_steps, self.reduction_factor)


class Hyperband(_Halving):
    """Successive halving in brackets that begin at different rungs (Li et al. 2017).

    A trial's bracket is a hash of the sweep's name and its number; it is compared within it alone.
    """

    pruner: Literal["hyperband"] = "hyperband"
    reduction_factor: int = Field(3, ge=2, description="1 in so many goes on; a rung's step over the last's.")

    def make(self, steps: int) -> "BasePruner":
        from optuna.pruners import HyperbandPruner

        return HyperbandPruner(self.min_steps, max(steps, self.min_steps), self.reduction_factor)

    def compared(self, study: "Study", trial: "FrozenTrial") -> list["FrozenTrial"]:
        from optuna.pruners import HyperbandPruner

        from sweeper.strategies.optuna_private import bracket_of

        pruner = study.pruner
        assert isinstance(pruner, HyperbandPruner)
        bracket = bracket_of(pruner, study, trial)
        return [each for each in super().compared(study, trial) if bracket_of(pruner, study, each) == bracket]


class Pasha(_Halving):
    """Successive halving whose ladder grows while the order at its top is not settled (Bohdal et al. 2022).

    Where it is settled the best so far, and what is within the noise of it, goes on to its end. What of it
    is the paper's is said in progressive_halving.py.
    """

    pruner: Literal["pasha"] = "pasha"
    reduction_factor: int = Field(2, ge=2, description="1 in so many goes on; a rung's step over the last's.")

    def make(self, steps: int) -> "BasePruner":
        from sweeper.strategies.progressive_halving import ProgressiveHalving

        return ProgressiveHalving(self.min_steps, self.reduction_factor)

    def why(self, study: "Study", trial: "FrozenTrial") -> str:
        from sweeper.strategies.progressive_halving import settled_in_words

        return settled_in_words(study, trial) or super().why(study, trial)


class Median(Pruner):
    """Ends a trial whose best value so far is worse than the median of the complete ones at the same step."""

    pruner: Literal["median"] = "median"
    startup_trials: int = Field(5, ge=1, description="Complete trials before any is ended.")

    def make(self, steps: int) -> "BasePruner":
        from optuna.pruners import MedianPruner

        return MedianPruner(n_startup_trials=self.startup_trials, n_warmup_steps=self.min_steps)

    def why(self, study: "Study", trial: "FrozenTrial") -> str:
        sign, others = _sign(study), study.get_trials(deepcopy=False)
        step, best = trial.last_step, sign * min(sign * each for each in trial.intermediate_values.values())
        ended = [each for each in others if each.state.name == "COMPLETE"]
        then = [each.intermediate_values[step] for each in ended if step in each.intermediate_values]
        said = f" (at best {best:.6g}) is worse than the median {median(then):.6g}"
        return f"{said} of {len(then)} complete trials"


class Patient(Pruner):
    """Ends a trial that has not got better for a number of evaluations. Compares it with no other trial."""

    pruner: Literal["patient"] = "patient"
    patience: int = Field(3, ge=0, description="Evaluations without a better value that are endured.")
    min_delta: float = Field(0.0, ge=0, description="What counts as worse, in units of the metric.")

    def make(self, steps: int) -> "BasePruner":
        from optuna.pruners import PatientPruner

        return PatientPruner(None, self.patience, self.min_delta)

    def why(self, study: "Study", trial: "FrozenTrial") -> str:
        sign = _sign(study)
        values = [value for _, value in sorted(trial.intermediate_values.items())]
        before = sign * min(sign * value for value in values[: -self.patience - 1])
        like = f", like the {self.patience} before it," if self.patience else ""
        beyond = f" by more than {self.min_delta:g}" if self.min_delta else ""
        return f"{like} is worse{beyond} than {before:.6g}, the trial's best until then"


def _sign(study: "Study") -> float:
    """1 where low values are good, else -1."""
    return 1.0 if study.direction.name == "MINIMIZE" else -1.0


AnyPruner = Annotated[
    SuccessiveHalving | Hyperband | Pasha | Median | Patient,
    Field(discriminator="pruner"),
]
# By the word in YAML.
PRUNERS: Mapping[str, type[Pruner]] = {
    each.model_fields["pruner"].default: each for each in get_args(get_args(AnyPruner)[0])
}
