"""The same trials as one would write them here: a spec, and the runner. Ray's own start is timed apart."""

import functools
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

SPEC = """
name: overhead
trainer: {model.size: nano, finetune.steps: 10, finetune.schedule.name: gaussian, evaluation.every: 1}
space: {finetune.schedule.mu: {uniform: [0.2, 0.8]}}
search: {sampler: tpe, trials: TRIALS, seed: 0}
resources: {cpu: 1, gpu: 0, slots: 2}
"""


def main() -> None:
    import ray

    from sweeper.driver.progress import Lines
    from sweeper.execution.runner import run_sweep
    from sweeper.spec.load import read_spec
    from sweeper.store.queries import Reader

    spent = []

    @functools.wraps(ray.init)
    def timed(**options: object) -> object:
        began = time.perf_counter()
        try:
            return start(**options)
        finally:
            spent.append(time.perf_counter() - began)

    start, ray.init = ray.init, timed
    text = SPEC.replace("TRIALS", sys.argv[1])
    spec = read_spec(text, "overhead.yaml", "overhead", [])
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        url = f"sqlite:///{Path(folder) / 'sweeps.db'}"
        code = run_sweep(spec, text, url, Path(folder) / "files", progress=Lines(), train="benchmarks.busy")
        seconds = time.perf_counter() - began
        assert code == 0, code
        with closing(Reader(url)) as reader:
            states = [trial.state for trial in reader.trials(1)]
    print({"trials": states.count("complete"), "seconds": seconds, "ray": sum(spent)})


if __name__ == "__main__":
    main()
