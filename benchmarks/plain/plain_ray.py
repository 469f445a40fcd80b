"""What one would write with Ray Tune alone: a Tuner with OptunaSearch; `reuse`: its actors are kept."""

import sys
import tempfile
import time
from pathlib import Path

from ray import tune
from ray.tune.search.optuna import OptunaSearch

from benchmarks.busy import REPORTS, loss, work
from benchmarks.plain.two_slots import two_slots


def train(config: dict[str, float]) -> None:
    for report in range(1, REPORTS + 1):
        work()
        tune.report({"loss": loss(config["mu"], report)})


def main() -> None:
    trials, reuse = int(sys.argv[1]), "reuse" in sys.argv[2:]
    with tempfile.TemporaryDirectory(prefix="plain-", dir="/tmp") as folder:
        began = time.perf_counter()
        with two_slots(Path(folder)):
            started = time.perf_counter()
            search = OptunaSearch({"mu": tune.uniform(0.2, 0.8)}, metric="loss", mode="min", seed=0)
            tuner = tune.Tuner(
                tune.with_resources(train, {"cpu": 1}),
                tune_config=tune.TuneConfig(num_samples=trials, reuse_actors=reuse, search_alg=search),
                run_config=tune.RunConfig(storage_path=f"{folder}/results", verbose=0),
            )
            grid = tuner.fit()
            ended = time.perf_counter()
            complete = sum(result.metrics["training_iteration"] == REPORTS for result in grid)
            print({"trials": complete, "seconds": ended - began, "ray": started - began})


if __name__ == "__main__":
    main()
