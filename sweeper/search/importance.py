"""Which parameters told good trials from the others, by Optuna's evaluators on the complete search trials.

PED-ANOVA (Watanabe et al. 2023; conditional parameters: Optuna 5): how much the distribution of a
parameter among the best trials differs from that among all. fANOVA (Hutter et al. 2014): shares of the
variance of a random forest's prediction, over parameters that every trial has. Both say what went along
with good values in the trials there were, which a sampler that learns has chosen: not what causes what.
"""

import warnings
from importlib.util import find_spec
from typing import NamedTuple

import optuna
from optuna.importance import (
    BaseImportanceEvaluator,
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)

from sweeper.results.leaderboard import metrics_of
from sweeper.search.study import best_values, directions, frozen
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord
from trainer.errors import lacks

FEWEST = 10  # complete trials; with fewer, any order of parameters can come out
BEST = 5  # of them at least are the best that PED-ANOVA sets apart: Optuna's own advice
FEW_SEEN = 5
MANY = 100  # trials from which on the caution about their number is left out


class CannotTell(ValueError):
    """Why there are no importances, as one sentence."""


class Importance(NamedTuple):
    name: str
    share: float  # of all, which sum to 1
    seen: int  # trials that have the parameter

    def note(self, trials: int) -> str:
        if self.seen == trials:
            return ""
        few = ": too few to go by" if self.seen < FEW_SEEN else ""
        return f"conditional: in {self.seen} of {trials} trials{few}"


class Importances(NamedTuple):
    metric: str
    trials: int
    best: int | None  # how many of them were set apart from all; None: every value counts
    rows: list[Importance]  # most important first
    left_out: list[str]  # conditional ones that the evaluator cannot judge

    def cautions(self, evaluator: str) -> list[str]:
        """What may be concluded; a line each."""
        apart = f", the best {self.best} against all" if self.best else ""
        lines = [
            f"{evaluator}, {self.metric}, {self.trials} complete search trials{apart}.",
            "It says what went along with good values in these trials, which the sampler chose; with so few "
            "the order of parameters that are close is chance."
            if self.trials < MANY
            else "It says what went along with good values in these trials, which the sampler chose.",
        ]
        if self.left_out:
            lines.append(f"Left out, for not every trial has them: {', '.join(self.left_out)}.")
        return lines


def importance(reader: Reader, sweep: SweepRecord, evaluator: str) -> Importances:
    """evaluator: ped-anova or fanova. Of several metrics the first. Raises CannotTell."""
    metric = metrics_of(sweep)[0]
    values = best_values(reader, sweep, [metric])
    trials = [
        trial
        for trial in reader.trials(sweep.id)
        if trial.role == "search" and trial.state == "complete" and trial.repeat_of is None
        if trial.number is not None and trial.id in values
    ]
    if len(trials) < FEWEST:
        raise CannotTell(
            f"{sweep.name} has {len(trials)} complete search trials with a {metric}: "
            f"importances need {FEWEST} at least"
        )
    if evaluator == "fanova" and find_spec("sklearn") is None:
        raise CannotTell(lacks("fANOVA", "scikit-learn", "fanova"))
    seen: dict[str, int] = {}
    for trial in trials:
        for name in trial.params:
            seen[name] = seen.get(name, 0) + 1
    everywhere = [name for name, count in seen.items() if count == len(trials)]
    best = min(max(BEST, round(0.1 * len(trials))), len(trials) - 1)

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction=directions([metric])[0])
    study.add_trials([frozen(trial, values[trial.id]) for trial in trials])
    judge: BaseImportanceEvaluator
    if evaluator == "fanova":
        judge, names = FanovaImportanceEvaluator(seed=0), everywhere
    else:
        judge, names = PedAnovaImportanceEvaluator(target_quantile=best / len(trials)), list(seen)
    if not names:
        raise CannotTell(
            f"no parameter is in every trial of {sweep.name}: --evaluator ped-anova takes them all"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of regimes with few trials: said beside each parameter
        shares = get_param_importances(study, evaluator=judge, params=names)
    rows = [Importance(name, share, seen[name]) for name, share in shares.items()]
    return Importances(
        metric,
        len(trials),
        None if evaluator == "fanova" else best,
        sorted(rows, key=lambda row: -row.share),
        sorted(set(seen) - set(names)),
    )
