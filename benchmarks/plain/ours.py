"""The same trials as one would write them here: a spec, and the runner. Ray's own start is timed apart."""

import functools
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.swept import swept

SPEC = """
name: overhead
trainer: {model.size: nano, finetune.steps: 10, finetune.schedule.name: gaussian, evaluation.every: 1}
space: {finetune.schedule.mu: {uniform: [0.2, 0.8]}}
search: {sampler: tpe, trials: TRIALS, seed: 0}
resources: {cpu: 1, gpu: 0, slots: 2}
"""


def main() -> None:
    import ray

    from sweeper.execution.runner import Means
    from sweeper.spec.load import read_spec

    spent = []

    @functools.wraps(ray.init)
    def timed(**options: object) -> object:
        began = time.perf_counter()
        try:
            return start(**options)
        finally:
            spent.append(time.perf_counter() - began)

    start, ray.init = ray.init, timed
    spec = read_spec(SPEC.replace("TRIALS", sys.argv[1]), "overhead.yaml", "overhead", [])
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with swept(spec, Path(folder), Means(train="benchmarks.busy")) as reader:
            seconds = time.perf_counter() - began
            states = [trial.state for trial in reader.trials(1)]
    print({"trials": states.count("complete"), "seconds": seconds, "ray": sum(spent)})


if __name__ == "__main__":
    main()
