"""What one would write with Optuna alone: two processes that share a study in SQLite."""

import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import optuna

from benchmarks.busy import REPORTS, loss, work


def objective(trial: optuna.Trial) -> float:
    mu = trial.suggest_float("mu", 0.2, 0.8)
    value = 0.0
    for report in range(1, REPORTS + 1):
        work()
        value = loss(mu, report)
        trial.report(value, report)
    return value


def worker(url: str, trials: int, seed: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    study = optuna.load_study(study_name="study", storage=url, sampler=sampler)
    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.RUNNING)
    study.optimize(objective, callbacks=[optuna.study.MaxTrialsCallback(trials, states=states)])


def main() -> None:
    trials = int(sys.argv[1])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        url = f"sqlite:///{Path(folder) / 'study.db'}"
        optuna.create_study(study_name="study", storage=url)
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=worker, args=(url, trials, seed)) for seed in range(2)]
        for each in workers:
            each.start()
        for each in workers:
            each.join()
        seconds = time.perf_counter() - began
        done = optuna.load_study(study_name="study", storage=url).trials
    complete = sum(trial.state == optuna.trial.TrialState.COMPLETE for trial in done)
    print({"trials": complete, "seconds": seconds, "ray": 0.0})


if __name__ == "__main__":
    main()
