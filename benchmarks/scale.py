"""python -m benchmarks.scale [--quick]: what a trial costs the driver, from the first to the ten-thousandth.

A trainer that reports without training (benchmarks/simulated.py), one driver, real Ray Tune, two slots,
SQLite. For each sampler: the driver's CPU per trial in windows of the sweep, its memory, and the store's
size. Where a trial's cost grows with their number, a sweep's is quadratic.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.document import finish

SPEC = """
name: scale
trainer: {model.size: nano, finetune.steps: 200, evaluation.every: 50, evaluation.test: false}
space:
  finetune.block_size: {choice: [4, 8, 16]}
  finetune.schedule.name: {choice: [loglinear, cosine, gaussian]}
  finetune.schedule.mu: {uniform: [0.2, 0.8], when: {finetune.schedule.name: gaussian}}
  finetune.lr: {log_uniform: [1.0e-4, 1.0e-2]}
  finetune.clip.low: {uniform: [0.0, 0.45]}
  finetune.clip.high: {uniform: [0.55, 1.0]}
search: {sampler: SAMPLER, trials: TRIALS, seed: 0}
resources: {cpu: 1, gpu: 0, slots: 2}
"""
EDGES = (100, 300, 1_000, 3_000, 10_000)


class Meter:
    """A Progress that notes the driver's clock whenever a window of trials has ended."""

    def __init__(self, edges: tuple[int, ...], store: Path):
        self._edges, self._store = edges, store
        self._ended, self._cpu, self._wall, self._from = 0, time.process_time(), time.perf_counter(), 0
        self.windows: list[dict[str, Any]] = []

    def started(self, trial: int | None, text: str) -> None: ...

    def rows(self, trial: int, step: int, values: Mapping[str, float]) -> None: ...

    def ended(self, trial: int | None, state: str, text: str) -> None:
        self._ended += 1
        if self._ended == 20:  # the first ones pay for the start of Ray and of the workers
            self._cpu, self._wall, self._from = time.process_time(), time.perf_counter(), 20
        if self._ended in self._edges:
            cpu, wall, number = time.process_time(), time.perf_counter(), self._ended - self._from
            self.windows.append(
                {
                    "from": self._from,
                    "to": self._ended,
                    "cpu_ms_per_trial": round(1000 * (cpu - self._cpu) / number, 2),
                    "ms_per_trial": round(1000 * (wall - self._wall) / number, 2),
                    "driver_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                    "store_mb": round(sum(f.stat().st_size for f in self._files()) / 2**20, 2),
                }
            )
            self._cpu, self._wall, self._from = time.process_time(), time.perf_counter(), self._ended

    def _files(self) -> list[Path]:
        return list(self._store.parent.glob(f"{self._store.name}*"))

    def note(self, text: str) -> None:
        print(text, file=sys.stderr)

    def status(self, status: object) -> None: ...

    def close(self) -> None: ...


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="300 trials.")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe"])
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    trials = 300 if given.quick else given.trials
    if given.one:
        one(given.one, trials)
        return
    rows = []
    print(f"{'sampler':<9}{'trials':>15}{'CPU ms':>9}{'wall ms':>9}{'driver MB':>11}{'store MB':>10}")
    for sampler in given.samplers:
        command = [sys.executable, "-m", "benchmarks.scale", "--one", sampler, "--trials", str(trials)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        for row in json.loads(done.stdout.strip().splitlines()[-1]):
            rows.append({"sampler": sampler, **row})
            print(
                f"{sampler:<9}{row['from']:>7,}-{row['to']:<7,}{row['cpu_ms_per_trial']:>9.1f}"
                f"{row['ms_per_trial']:>9.1f}{row['driver_mb']:>11}{row['store_mb']:>10.1f}",
                flush=True,
            )
    summary = {}
    for sampler in given.samplers:
        own = [row["cpu_ms_per_trial"] for row in rows if row["sampler"] == sampler]
        summary[sampler] = {"last_over_first": round(own[-1] / own[0], 2), "most_ms": max(own)}
    finish("scale", {"trials": trials, "slots": 2}, rows, summary, not given.quick)


def one(sampler: str, trials: int) -> None:
    from sweeper.runner import run_sweep
    from sweeper.spec import read_spec

    text = SPEC.replace("SAMPLER", sampler).replace("TRIALS", str(trials))
    spec = read_spec(text, "scale.yaml", "scale", [])
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "sweeps.db"
        meter = Meter(EDGES, store)
        code = run_sweep(
            spec,
            text,
            f"sqlite:///{store}",
            Path(folder) / "files",
            progress=meter,
            train="benchmarks.simulated",
        )
        assert code == 0, code
    print(json.dumps(meter.windows))


if __name__ == "__main__":
    main()
